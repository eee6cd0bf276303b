"""Scoring, blending and ranking in numpy: the same code inside Spark's workers and inside the served model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from retail_spark.domains.recommend.models.topk import Board, Entries, Floats, Integers, Ints
from retail_spark.modelling import recipe as modelling
from retail_spark.tables.values import STRATEGIES

Codes = npt.NDArray[np.int8]

POPULAR, ALS, CONTENT, REPURCHASE, EXPLORE, POPULAR_STORE, POPULAR_REGION = STRATEGIES
_CODE = {name: np.int8(at) for at, name in enumerate(STRATEGIES)}
_CELLS = 1 << 20
_NO_ENTRIES = Entries(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
ALS_FLOOR = 1e-4
BM25_K1, BM25_B = 1.2, 0.75
"""Robertson and Zaragoza (2009): saturation, and how much the length of a customer's history counts."""
_ROW_FEATURES = ("orders", "decayed", "als")
PRODUCT_FLOORS = {"buyers": 1.0, "recent": 0.5, "trend": 0.3, "repeat_rate": 0.0}
PRODUCT_FEATURES = (*PRODUCT_FLOORS, "popular_recent", "popular_ever")
POWERS = (*_ROW_FEATURES, *PRODUCT_FLOORS)
"""Names that `repurchase_powers` may use."""


@dataclass(frozen=True)
class Blend:
    """How a list is ordered. A product's score is the sum of three parts, each 0 where it does not apply.

    repurchase: `repurchase_scale` x the product of features to their powers, for what the customer bought before;
    als: `als_scale` x the customer's affinity x trend to the power `als_trend_power`;
    popular: `popularity_scale` x the product's popularity in 0..1, so that every list fills up.
    With `leaves_out_bought` nothing that the customer bought before is shown, whatever the list.
    """

    repurchase_powers: Mapping[str, float] = field(default_factory=dict)
    repurchase_scale: float = 0.0
    als_scale: float = 0.0
    als_trend_power: float = 0.0
    popularity: str = "popular_recent"
    popularity_scale: float = 1.0
    leaves_out_bought: bool = False


@dataclass(frozen=True)
class Recipe(modelling.Recipe):
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
    is_explicit: bool = False
    confidence: str = "counts"
    nets_returns: bool = False
    order_weight: str = "one"

    def blend(self, name: str) -> Blend:
        """The blend of list `all` or `discover`."""
        return self.all if name == "all" else self.discover

    def with_blends(self, blends: Mapping[str, Blend]) -> Recipe:
        """The recipe with other blends for some lists: the factors are the same."""
        return replace(self, all=blends.get("all", self.all), discover=blends.get("discover", self.discover))


@dataclass(frozen=True)
class Products:
    """Some products, sorted by product_id: factors (n x rank) and the features of each.

    `is_content` tells whose factors were lent by neighbours in content, because nobody has bought them yet;
    `categories` holds a code for each product's category, where quotas are wanted.
    """

    ids: npt.NDArray[np.object_]
    factors: Floats
    features: Mapping[str, Floats]
    is_content: npt.NDArray[np.bool_] | None = None
    categories: Integers | None = None

    def only(self, places: Integers) -> Products:
        """The products at these places."""
        return Products(
            self.ids[places],
            self.factors[places],
            {name: values[places] for name, values in self.features.items()},
            None if self.is_content is None else self.is_content[places],
            None if self.categories is None else self.categories[places],
        )


@dataclass(frozen=True)
class Customers:
    """Some customers: factors (n x rank, zero where not learned) and what each bought of the products at hand.

    The history is flat and sorted by row: entry e belongs to customer row[e] and the product at place[e].
    """

    factors: Floats
    row: Ints
    place: Ints
    orders: Floats
    decayed: Floats


@dataclass(frozen=True)
class Ranking:
    """The best products of each customer: places in Products, n x k, score below 0 where the list ends.

    `strategies` are places in STRATEGIES.
    """

    places: Ints
    scores: Floats
    strategies: Codes


def rank_products(
    customers: Customers, products: Products, *, blend: Blend, k: int, only_new: bool, quota: int | None = None
) -> Ranking:
    """The k best products of each customer by (score, product_id); `only_new` leaves out what was bought before, and
    so does a blend that `leaves_out_bought`.

    `quota` is how many products of one category a list may hold. No matrix of all scores is ever made: memory is that
    of the factors, the histories and the answer, plus a few megabytes.
    """
    n, k = len(customers.factors), min(k, len(products.ids))
    only_new = only_new or blend.leaves_out_bought
    scaled = _scaled_factors(products, blend=blend)
    popular = np.float32(blend.popularity_scale) * products.features[blend.popularity]
    repeats = blend.repurchase_scale > 0 and not only_new
    score = np.zeros(len(customers.row), dtype=np.float32)
    if repeats:
        score = _repurchase_scores(customers, products, blend=blend) + popular[customers.place]
        if scaled is not None:
            weight = np.float32(blend.als_scale) * _trend_weight(products, blend=blend)
            score += np.maximum(_own_affinity(customers, products), np.float32(0)) * weight[customers.place]
    left_out_or_repeated = only_new or repeats
    own = Entries(customers.row, customers.place, score) if left_out_or_repeated else _NO_ENTRIES
    left = None if scaled is None else customers.factors
    board = Board(n, left, scaled, popular, own, leaves_out=only_new)
    places, best = board.best(k, categories=products.categories, quota=quota)
    codes = np.full(places.shape, _CODE[POPULAR], dtype=np.int8)
    if scaled is not None:
        is_known = np.abs(customers.factors).sum(axis=1) > 0
        codes[is_known] = _CODE[ALS]
        if products.is_content is not None:
            codes[products.is_content[places] & is_known[:, None]] = _CODE[CONTENT]
    if repeats:
        codes[_is_among(places, customers, width=len(products.ids))] = _CODE[REPURCHASE]
    return Ranking(places, best, codes)


def _is_among(places: Ints, customers: Customers, *, width: int) -> npt.NDArray[np.bool_]:
    """Which of the places (n x k) hold what the customer bought before."""
    bought = np.sort(customers.row.astype(np.int64) * width + customers.place)
    if not len(bought):
        return np.zeros(places.shape, dtype=bool)
    asked = np.arange(len(places), dtype=np.int64)[:, None] * width + places
    at = np.minimum(np.searchsorted(bought, asked.ravel()), len(bought) - 1)
    return np.asarray((bought[at] == asked.ravel()).reshape(places.shape))


def fold_in(
    item_factors: Floats, gram: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], *, recipe: Recipe
) -> npt.NDArray[np.float64]:
    """The factors of one customer against fixed product factors, as ALS itself solves them.

    `item_factors` (n x rank) and `weights` (n) are of the products that the customer bought; `gram` is the sum of
    outer products over all products. Implicit (Hu, Koren, Volinsky 2008): preference 1 with confidence
    1 + alpha x weight, ridge reg_param x n; explicit: the weights are the ratings. Rank numbers come back.
    """
    items = item_factors.astype(np.float64)
    ridge = recipe.reg_param * len(items) * np.eye(items.shape[1])
    if recipe.is_explicit:
        return np.asarray(np.linalg.solve(items.T @ items + ridge, items.T @ weights), dtype=np.float64)
    extra = recipe.alpha * np.abs(weights)
    lhs, rhs = gram + (items.T * extra) @ items + ridge, items.T @ (1.0 + extra)
    return np.asarray(np.linalg.solve(lhs, rhs), dtype=np.float64)


def confident(
    decayed: npt.NDArray[np.float64],
    buyers: npt.NDArray[np.float64],
    *,
    confidence: str,
    market: Mapping[str, float],
) -> npt.NDArray[np.float64]:
    """What ALS learns from, of one customer's decayed orders; the rule of transforms.with_confidence, in numpy.

    `market` holds customers (how many there are) and mean_orders (their mean of decayed orders).
    """
    if confidence == "counts":
        return decayed
    if confidence == "log":
        return np.log1p(decayed)
    idf = np.log1p((market["customers"] - buyers + 0.5) / (buyers + 0.5))
    norm = 1 - BM25_B + BM25_B * decayed.sum() / market["mean_orders"]
    return np.asarray(idf * decayed * (BM25_K1 + 1) / (decayed + BM25_K1 * norm))


def _scaled_factors(products: Products, *, blend: Blend) -> Floats | None:
    """Product factors times the weight of ALS, ready for a matrix product; None where ALS has no part."""
    if blend.als_scale <= 0:
        return None
    weight = np.float32(blend.als_scale) * _trend_weight(products, blend=blend)
    return np.ascontiguousarray((products.factors * weight[:, None]).T)


def _trend_weight(products: Products, *, blend: Blend) -> Floats:
    trend = products.features["trend"] + np.float32(PRODUCT_FLOORS["trend"])
    return np.asarray(trend ** np.float32(blend.als_trend_power), dtype=np.float32)


def _repurchase_scores(customers: Customers, products: Products, *, blend: Blend) -> Floats:
    """One score an entry of the history: the scale times the product of its features to their powers."""
    logs = np.zeros(len(customers.row), dtype=np.float64)
    for name, power in blend.repurchase_powers.items():
        if name == "als":
            values = np.maximum(_own_affinity(customers, products), np.float32(ALS_FLOOR))
        elif name in _ROW_FEATURES:
            values = customers.orders if name == "orders" else customers.decayed
        else:
            values = products.features[name][customers.place] + np.float32(PRODUCT_FLOORS[name])
        logs += power * np.log(np.maximum(values.astype(np.float64), 1e-12))
    return (blend.repurchase_scale * np.exp(logs)).astype(np.float32)


def _own_affinity(customers: Customers, products: Products) -> Floats:
    """The affinity of every entry of the history."""
    found = np.empty(len(customers.row), dtype=np.float32)
    step = max(1, _CELLS // max(customers.factors.shape[1], 1))
    for first in range(0, len(found), step):
        part = slice(first, first + step)
        left, right = customers.factors[customers.row[part]], products.factors[customers.place[part]]
        found[part] = np.einsum("ij,ij->i", left, right)
    return found
