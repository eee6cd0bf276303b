"""Scoring, blending and ranking in numpy: the same code inside Spark's workers and inside the served model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

REPURCHASE, ALS, POPULAR = "repurchase", "als", "popular"
_NOISE_BITS = 4
"""Lowest bits of a float32 score that are rounded away before ranking: products whose scores differ by less than a
millionth are ties, decided by product_id, and the order of a sum inside BLAS or Spark decides nothing."""
_ALS_FLOOR = 1e-4
_ROW_FEATURES = ("orders", "decayed", "als")
_PRODUCT_FLOORS = {"buyers": 1.0, "recent": 0.5, "trend": 0.3, "repeat_rate": 0.0}
PRODUCT_FEATURES = (*_PRODUCT_FLOORS, "popular_recent", "popular_ever")
POWERS = (*_ROW_FEATURES, *_PRODUCT_FLOORS)
"""Names that `repurchase_powers` may use."""


@dataclass(frozen=True)
class Blend:
    """How a list is ordered. A product's score is the sum of three parts, each 0 where it does not apply.

    repurchase: `repurchase_scale` x the product of features to their powers, for what the customer bought before;
    als: `als_scale` x the customer's affinity x trend to the power `als_trend_power`;
    popular: `popularity_scale` x the product's popularity in 0..1, so that every list fills up.
    """

    repurchase_powers: Mapping[str, float] = field(default_factory=dict)
    repurchase_scale: float = 0.0
    als_scale: float = 0.0
    als_trend_power: float = 0.0
    popularity: str = "popular_recent"
    popularity_scale: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """All that is needed to learn and score again on other data: what a champion is known by."""

    rank: int
    reg_param: float
    alpha: float
    iterations: int
    blocks: int
    half_life_days: float
    recent_days: int
    trend_half_life_days: float
    all: Blend
    discover: Blend

    def to_json(self) -> dict[str, Any]:
        """JSON values; `from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe of a registered model. Raises ValueError for one that this version does not understand."""
        known = {f.name for f in fields(cls)}
        if set(values) != known:
            raise ValueError(f"recipe keys differ: {sorted(set(values) ^ known)}")
        blends = {name: Blend(**values[name]) for name in ("all", "discover")}
        return cls(**{**values, **blends})


@dataclass(frozen=True)
class Products:
    """Some products, sorted by product_id: factors (n x rank) and the features of each."""

    ids: npt.NDArray[np.object_]
    factors: Floats
    features: Mapping[str, Floats]


@dataclass(frozen=True)
class Customers:
    """Some customers: factors (n x rank, zero where not learned) and what each bought of the products at hand.

    The history is flat: entry e belongs to customer row[e] and the product at place[e].
    """

    factors: Floats
    row: Ints
    place: Ints
    orders: Floats
    decayed: Floats


@dataclass(frozen=True)
class Ranking:
    """The best products of each customer: places in Products, n x k, score below 0 where the list ends."""

    places: Ints
    scores: Floats
    strategies: npt.NDArray[np.object_]


def rank_products(customers: Customers, products: Products, *, blend: Blend, k: int, only_new: bool) -> Ranking:
    """The k best products of each customer by (score, product_id); `only_new` leaves out what was bought before."""
    affinity = np.maximum(customers.factors @ products.factors.T, np.float32(0))
    scores = _open_scores(affinity, products, blend=blend)
    bought = np.zeros(scores.shape, dtype=bool)
    bought[customers.row, customers.place] = True
    if only_new:
        scores[bought] = -1
    elif blend.repurchase_scale > 0:
        scores[customers.row, customers.place] += _repurchase_scores(affinity, customers, products, blend=blend)
    scores = _without_noise(scores)
    places = _best_places(scores, k=k)
    best = np.take_along_axis(scores, places, axis=1)
    is_known: Flags = np.abs(customers.factors).sum(axis=1) > 0
    uses_als = blend.als_scale > 0
    strategies = np.full(places.shape, POPULAR, dtype=object)
    strategies[is_known & uses_als] = ALS
    if blend.repurchase_scale > 0:
        strategies[np.take_along_axis(bought, places, axis=1)] = REPURCHASE
    return Ranking(places, best, strategies)


def _open_scores(affinity: Floats, products: Products, *, blend: Blend) -> Floats:
    """Scores that every product has, bought before or not."""
    popular = np.float32(blend.popularity_scale) * products.features[blend.popularity]
    scores = np.repeat(popular[None, :], len(affinity), axis=0)
    if blend.als_scale > 0:
        trend = products.features["trend"] + np.float32(_PRODUCT_FLOORS["trend"])
        weight = np.float32(blend.als_scale) * trend ** np.float32(blend.als_trend_power)
        scores += affinity * weight[None, :]
    return scores


def _repurchase_scores(affinity: Floats, customers: Customers, products: Products, *, blend: Blend) -> Floats:
    """One score an entry of the history: the scale times the product of its features to their powers."""
    logs = np.zeros(len(customers.row), dtype=np.float64)
    of_entry = {
        "orders": customers.orders,
        "decayed": customers.decayed,
        "als": np.maximum(affinity[customers.row, customers.place], np.float32(_ALS_FLOOR)),
    }
    for name, power in blend.repurchase_powers.items():
        values = (
            of_entry[name] if name in of_entry else products.features[name][customers.place] + _PRODUCT_FLOORS[name]
        )
        logs += power * np.log(np.maximum(values.astype(np.float64), 1e-12))
    return (blend.repurchase_scale * np.exp(logs)).astype(np.float32)


def _without_noise(scores: Floats) -> Floats:
    """Scores with the lowest bits rounded away; order is kept."""
    half, mask = np.int32(1 << (_NOISE_BITS - 1)), np.int32(-(1 << _NOISE_BITS))
    return ((scores.view(np.int32) + half) & mask).view(np.float32)


def _best_places(scores: Floats, *, k: int) -> Ints:
    """Places of the k highest scores of each row, ties by place; all of them when there are fewer than k."""
    n = scores.shape[1]
    k = min(k, n)
    if n > 4 * k:
        # Everything above the k-th score is in; of what equals it, the first places are taken.
        threshold = np.partition(scores, n - k, axis=1)[:, n - k][:, None]
        above = scores > threshold
        equal = scores == threshold
        room = k - above.sum(axis=1, keepdims=True)
        chosen = above | (equal & (np.cumsum(equal, axis=1) <= room))
        candidates = np.nonzero(chosen)[1].reshape(len(scores), k)
    else:
        candidates = np.broadcast_to(np.arange(n), scores.shape)
    found = np.take_along_axis(scores, candidates, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(candidates, order, axis=1).astype(np.int32)
