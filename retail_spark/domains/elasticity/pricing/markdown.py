"""A path of prices that only fall, for what must be sold until a day: dynamic programming over units and weeks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from retail_spark.stats.arrays import Array

_LOTS = 60
_QUANTILES = 15


@dataclass(frozen=True)
class Ending:
    """An item with an end: price and cost in shop currency, units a period at that price, units left."""

    price: float
    cost: float
    units: float
    elasticity: float
    std_error: float
    stock: float
    periods: int


@dataclass(frozen=True)
class Step:
    """A period of the plan."""

    price: float
    discount: float
    units_before: float
    expected_units: float


def plan(item: Ending, *, steps: tuple[float, ...], salvage_share: float) -> list[Step]:
    """The path of the greatest expected takings, salvage included.

    Demand of a period is Poisson, mixed over quantiles of the elasticity's posterior; stock above 60 units is counted
    in lots. The plan is told for the expected course: after each period it should be made again.
    """
    lots = int(min(_LOTS, max(np.ceil(item.stock), 0)))
    if lots == 0 or item.periods < 1:
        return []
    lot = item.stock / lots
    prices = item.price * (1 - np.array(steps))
    sold = _sold(item, prices, lots, lot)
    values = _values(sold, prices * lot, item.periods, salvage=item.cost * salvage_share * lot)
    path, left, at = [], float(lots), 0
    for period in range(item.periods):
        row = round(left)
        best = at + int(np.argmax(values[period][at:, row] - 1e-9 * np.arange(len(prices) - at)))
        expected = min(float(sold[best, row] @ np.arange(lots + 1)), left)
        path.append(Step(float(prices[best]), float(steps[best]), left * lot, expected * lot))
        left, at = left - expected, best
    return path


def _sold(item: Ending, prices: Array, lots: int, lot: float) -> Array:
    """P(sold lots | price, lots left) as (prices, lots left, sold)."""
    quantiles = stats.norm.ppf((np.arange(_QUANTILES) + 0.5) / _QUANTILES)
    elasticities = np.minimum(item.elasticity + item.std_error * quantiles, 0.0)
    means = item.units * (prices[:, None] / item.price) ** elasticities / lot
    wanted = stats.poisson.pmf(np.arange(lots + 1)[None, None, :], means[:, :, None]).mean(axis=1)
    sold = np.zeros((len(prices), lots + 1, lots + 1))
    for left in range(lots + 1):
        sold[:, left, :left] = wanted[:, :left]
        sold[:, left, left] = 1 - wanted[:, :left].sum(axis=1)
    return np.clip(sold, 0.0, 1.0)


def _values(sold: Array, takings: Array, periods: int, *, salvage: float) -> list[Array]:
    """For each period, the value (price, lots left) of taking that price now and the best falling path after it."""
    count, size, _ = sold.shape
    amounts = np.arange(size)
    after = np.tile(salvage * amounts, (count, 1)).astype(np.float64)
    found: list[Array] = []
    rows = np.arange(size)[:, None]
    left_after = np.clip(rows - amounts[None, :], 0, None)
    for _ in range(periods):
        now = np.stack(
            [sold[k] @ amounts * takings[k] + (sold[k] * after[k][left_after]).sum(axis=1) for k in range(count)]
        )
        found.insert(0, now)
        after = np.maximum.accumulate(now[::-1], axis=0)[::-1]
    return found
