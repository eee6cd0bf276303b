"""The model `svd_seasonal`: last year again, noise taken out across the stores of a product, holidays in their place.

The idea is that of the winner of the Walmart store sales competition of 2014: a product's stores by weeks is a matrix
of low rank, and what its first components leave is noise; how many to keep is averaged over. The week a year ago is
not the same days: the value is drawn
between the two weeks that hold them. Growth of late is carried on in part.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from retail_spark.domains.forecast.series.panel import Ints
from retail_spark.domains.forecast.series.periods import Clock, easter
from retail_spark.stats.arrays import Array

_RECENT = 13  # weeks


def svd_seasonal(
    y: Array,
    *,
    products: Ints,
    clock: Clock,
    end: int,
    cuts: Sequence[int],
    reach: int,
    ranks: Sequence[int],
    growth_share: float,
    with_easter: bool,
) -> Array:
    """(cuts, N, reach); NaN for a series that does not know a year. `products` numbers the product of each series.

    Rank 0 keeps all. `growth_share` is the power of a year's growth that is carried on.
    """
    answers = []
    for cut in cuts:
        weights = year_before(clock, end=end, periods=y.shape[1], cut=cut, reach=reach, with_easter=with_easter)
        known = y[:, :cut]
        smooth = np.mean([_smoothed(known, products=products, rank=rank) for rank in ranks], axis=0)
        before = _weighted(smooth, weights)
        answers.append(before * _growth(known, clock=clock, share=growth_share)[:, None])
    return np.stack(answers)


def year_before(
    clock: Clock, *, end: int, periods: int, cut: int, reach: int, with_easter: bool
) -> npt.NDArray[np.float64]:
    """(reach, cut): how the value of each period ahead is drawn from the known ones a year ago."""
    found = np.zeros((reach, cut))
    start = end - periods + 1
    for ahead in range(reach):
        first = clock.first_day(start + cut + ahead)
        near = _easter_offset(first) if with_easter and clock.frequency != "month" else None
        for lag_years in (1, 2, 3):
            if near is not None:
                days = [easter(first.year - lag_years) + timedelta(days=near)]
            elif clock.frequency == "week":
                days = [first - timedelta(days=round(365.25 * lag_years) - k) for k in range(7)]
            elif clock.frequency == "month":
                days = [first.replace(year=first.year - lag_years)]
            else:
                days = [first - timedelta(days=364 * lag_years)]
            columns = [clock.period_of(day) - start for day in days]
            if all(0 <= column < cut for column in columns):
                np.add.at(found[ahead], columns, 1 / len(columns))
                break
    return found


def _easter_offset(first: date) -> int | None:
    """Days from Easter Sunday to the first day of a period that holds it or comes just before it; None otherwise."""
    offset = (first - easter(first.year)).days
    return offset if -14 < offset <= 0 else None


def _weighted(values: Array, weights: Array) -> Array:
    """values times weights' rows; NaN where a period has no weights at all."""
    found = values @ weights.T
    return np.where(weights.sum(axis=1) > 0, found, np.nan)


def _smoothed(known: Array, *, products: Ints, rank: int) -> Array:
    """Each product's stores by periods at that rank; what is not known is 0 before, and stays known as such."""
    filled = np.nan_to_num(known)
    if rank <= 0:
        return filled
    found = filled.copy()
    order = np.argsort(products, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(products[order])) + 1):
        if len(rows) > rank:
            u, s, vt = np.linalg.svd(filled[rows], full_matrices=False)
            found[rows] = (u[:, :rank] * s[:rank]) @ vt[:rank]
    return found


def _growth(known: Array, *, clock: Clock, share: float) -> Array:
    """Units of late over those a year earlier, to the power `share`; 1 where too little is known."""
    year, recent = clock.year, {"day": 7 * _RECENT, "week": _RECENT, "month": 4}[clock.frequency]
    recent = min(recent, known.shape[1] - year)
    if recent < 4:
        return np.ones(len(known))
    now, before = known[:, -recent:], known[:, -recent - year : known.shape[1] - year]
    both = ~np.isnan(now) & ~np.isnan(before)
    total, earlier = (np.where(both, part, 0.0).sum(axis=1) for part in (now, before))
    is_told = (total > 0) & (earlier > 0) & (both.sum(axis=1) >= 4)
    ratio = np.where(is_told, total / np.where(is_told, earlier, 1.0), 1.0)
    return np.clip(ratio, 0.5, 2.0) ** share
