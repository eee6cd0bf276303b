"""What promotions do to a series: its own cuts of late, and what its product sold in all its stores at such ones.

Everything is told as known at the end of column `last`: `told` is PAID over the columns from `start` to the target,
plans that were not known by then left out (`Panel.covariate`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from retail_spark.domains.forecast.series.panel import Ints, upper_price
from retail_spark.stats.arrays import Array

_DEEP = 0.1  # logarithm below the regular price from which a price promotes by itself
_LONGEST = 13  # periods after which a promotion is forgotten
_BEFORE = (1, 2, 3)
_WIDTHS = {"price": 0.1, "promotion": 0.3, "deal": 0.5}  # of the kernel over periods; price in logarithms
_FEW = 0.5  # periods that no lift at all weighs
NAMES: tuple[str, ...] = (
    "price_to_regular", *(f"{name}_{k}_before" for k in _BEFORE for name in ("cut", "promotion", "deal")),
    "since_promoted", "product_similar", "product_similar_count",
)  # fmt: skip


def promotions(told: Mapping[str, Array], ratio: Array, products: Ints) -> dict[str, Array]:
    """NAMES, (N,) each. `told` ends with the target, `ratio` (y less the level before it) with the last known period.

    `told["price"]` is in logarithms; `products` numbers the product of each series.
    """
    known = ratio.shape[1]
    now = told["price"].shape[1] - 1
    regular = upper_price(told["price"][:, max(known - 26, 0) : known])
    cut = told["price"] - regular[:, None]
    found = {"price_to_regular": cut[:, now]}
    for k in _BEFORE:
        for name, values in (("cut", cut), ("promotion", told["promotion"]), ("deal", told["deal"])):
            found[f"{name}_{k}_before"] = values[:, now - k] if now >= k else np.full(len(cut), np.nan)
    is_promoted = (np.nan_to_num(cut[:, :now]) < -_DEEP) | (told["promotion"][:, :now] > 0)
    since = is_promoted[:, ::-1].argmax(axis=1) + 1.0
    found["since_promoted"] = np.where(is_promoted.any(axis=1), np.minimum(since, _LONGEST), _LONGEST)
    return found | _by_product({**told, "price": cut}, ratio, products)


def _by_product(told: Mapping[str, Array], ratio: Array, products: Ints) -> dict[str, Array]:
    """What the product sold in all its stores in periods so promoted: a kernel's mean, and what it rests on.

    The kernel runs over means of a period's stores, since a promotion holds in most of them: a period is one fact.
    """
    known, now = ratio.shape[1], told["price"].shape[1] - 1
    distance = np.zeros_like(ratio)
    for name, width in _WIDTHS.items():
        then = _means(told[name][:, :known], products)[products]
        distance += np.nan_to_num((then - told[name][:, now][:, None]) / width) ** 2
    lifts = _means(ratio, products)[products]
    weight = np.where(np.isnan(lifts), 0.0, np.exp(-0.5 * distance))
    total = weight.sum(axis=1)
    return {
        "product_similar": (weight * np.nan_to_num(lifts)).sum(axis=1) / (total + _FEW),
        "product_similar_count": np.log1p(total),
    }


def _means(values: Array, groups: Ints) -> Array:
    """(groups, T): the mean of the known values of each group; NaN where none is. No group is empty."""
    if not len(groups):
        return np.empty((0, values.shape[1]))
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(int(groups.max()) + 1))
    rows = values[order]
    total = np.add.reduceat(np.nan_to_num(rows), starts, axis=0)
    known = np.add.reduceat((~np.isnan(rows)).astype(np.float64), starts, axis=0)
    return np.where(known > 0, total / np.maximum(known, 1), np.nan)
