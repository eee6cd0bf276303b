"""Local models of a short season: means of the same weekdays, and what holidays are to a usual day."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from retail_spark.domains.forecast.series.panel import Ints, trailing_mean
from retail_spark.stats.arrays import Array

Flags = npt.NDArray[np.bool_]
_COUNT = 8  # same weekdays that a mean is of
_PRIOR = 2.0  # weekdays that the mean over all of them weighs beside those with the same promotion
_LEVEL = 28  # days before a holiday that tell what is usual
_FEW = 3.0  # usual days that the product's other stores weigh in the ratio of holidays


def recent_means(y: Array, state: Callable[[int], Flags] | None, *, cuts: Sequence[int], reach: int,
                 season: int) -> Array:  # fmt: skip
    """(cuts, N, reach): the mean of the last 8 known values at the same place in the season.

    `state(cut)` tells of each period up to the last one ahead, as known at the cut, whether it is promoted; values in
    the same state count then, and a few of both.
    """
    return np.stack([_at_cut(y[:, :cut], state(cut) if state else None, reach=reach, season=season) for cut in cuts])


def _at_cut(y: Array, state: Flags | None, *, reach: int, season: int) -> Array:
    cut = y.shape[1]
    whole = trailing_mean(y, length=max(cut, 1))[:, -1]
    found = np.empty((len(y), reach))
    for place in range(min(season, reach)):
        columns = np.arange(cut - season + place, -1, -season)
        columns = columns[columns < cut]
        values = y[:, columns]
        plain, _ = _mean_of_last(values, ~np.isnan(values))
        plain = np.where(np.isnan(plain), whole, plain)
        by_state = []
        for is_promoted in (False, True) if state is not None else ():
            same = ~np.isnan(values) & (state[:, columns] == is_promoted)  # type: ignore[index]
            mean, count = _mean_of_last(values, same)
            by_state.append((np.nan_to_num(mean) * count + _PRIOR * plain) / (count + _PRIOR))
        for step in range(place, reach, season):
            now = state[:, cut + step] if state is not None else None
            found[:, step] = plain if now is None else np.where(now, by_state[1], by_state[0])
    return found


def _mean_of_last(values: Array, chosen: Flags) -> tuple[Array, Array]:
    """Mean of the first _COUNT chosen values of each row (the newest stand first), and how many there are."""
    taken = chosen & (np.cumsum(chosen, axis=1) <= _COUNT)
    count = taken.sum(axis=1).astype(np.float64)
    total = np.where(taken, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), count


def with_holidays(said: Array, y: Array, *, events: Flags, cuts: Sequence[int], season: int, products: Ints) -> Array:
    """`said` (cuts, N, reach) of a model that never saw a holiday, with each holiday at its ratio to a usual day.

    The ratio is that of the series, drawn to that of its product; where no holiday is known the model's word stands.
    """
    quiet = np.where(events[:, : y.shape[1]], np.nan, y)
    level = trailing_mean(quiet, length=_LEVEL)
    before = np.concatenate([np.full((len(y), 1), np.nan), level[:, :-1]], axis=1)
    is_told = events[:, : y.shape[1]] & ~np.isnan(y) & ~np.isnan(before)
    found = said.copy()
    for k, cut in enumerate(cuts):
        ahead = events[:, cut : cut + said.shape[2]]
        sold, normal = (np.where(is_told, v, 0.0)[:, :cut].sum(axis=1) for v in (y, before))
        ratio = _ratio(sold, normal, level[:, cut - 1], products)
        usual = _usual(said[k], ahead, season=season)
        value = ratio[:, None] * usual
        found[k] = np.where(ahead & ~np.isnan(value), value, said[k])
    return found


def _ratio(sold: Array, usual: Array, level: Array, products: Ints) -> Array:
    """Sold on holidays by what was usual; NaN where no store of the product knows a holiday."""
    size = int(products.max()) + 1 if len(products) else 0
    total, whole = (np.bincount(products, weights=v, minlength=size)[products] for v in (sold, usual))
    pooled = np.where(whole > 0, total / np.where(whole > 0, whole, 1.0), np.nan)
    few = _FEW * np.nan_to_num(level)
    own = (sold + few * np.nan_to_num(pooled)) / np.where(usual + few > 0, usual + few, 1.0)
    return np.clip(np.where(np.isnan(pooled) | (usual + few <= 0), pooled, own), 0.05, 20.0)


def _usual(said: Array, ahead: Flags, *, season: int) -> Array:
    """(N, reach): mean of what is said of the other days within a season of each."""
    quiet = np.where(ahead, np.nan, said)
    both = [trailing_mean(quiet, length=season), trailing_mean(quiet[:, ::-1], length=season)[:, ::-1]]
    count = (~np.isnan(np.stack(both))).sum(axis=0)
    return np.where(count > 0, np.nansum(np.stack(both), axis=0) / np.maximum(count, 1), np.nan)
