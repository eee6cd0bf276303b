"""Local models over a whole panel at once: each walks the periods once, and answers at every cut on the way.

A model takes y (N, T) with NaN where nothing is known, the cuts (numbers of known periods) and the reach, and gives
(cuts, N, reach): what it foretells at each cut for each period from the first after it on. A series whose past a model
cannot use gets NaN from it, and its neighbours never notice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from retail_spark.domains.forecast.models.weekday_means import recent_means
from retail_spark.domains.forecast.series.panel import filled_forward, trailing_mean
from retail_spark.stats.arrays import Array

Cuts = Sequence[int]
Model = Callable[..., Array]
_ALPHAS = np.array([0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9])[:, None]
_SMOOTHING = 0.1
_LEVELS, _TRENDS, _DAMPINGS = np.array([0.1, 0.3, 0.6]), np.array([0.05, 0.1, 0.3, 0.6]), np.array([0.9, 0.98, 1.0])


def naive(y: Array, *, cuts: Cuts, reach: int, season: int) -> Array:
    """The last known value."""
    last = filled_forward(y)
    return np.stack([np.repeat(last[:, c - 1 : c], reach, axis=1) for c in cuts])


def mean(y: Array, *, cuts: Cuts, reach: int, season: int) -> Array:
    """The mean of all that is known."""
    whole = trailing_mean(y, length=y.shape[1])
    return np.stack([np.repeat(whole[:, c - 1 : c], reach, axis=1) for c in cuts])


def seasonal_naive(y: Array, *, cuts: Cuts, reach: int, season: int) -> Array:
    """The value one season before; what lies before the first one, or is not known, is the mean of what is."""
    ahead = np.arange(reach) % season
    whole = mean(y, cuts=cuts, reach=reach, season=season)
    found = []
    for c, instead in zip(cuts, whole, strict=True):
        columns = c - season + ahead
        values = np.where(columns >= 0, y[:, np.maximum(columns, 0)], np.nan)
        found.append(np.where(np.isnan(values), instead, values))
    return np.stack(found)


def seasonal_mean(y: Array, *, cuts: Cuts, reach: int, season: int) -> Array:
    """The mean of the last 8 known values at the same place in the season: of the same weekday, where it is a week."""
    return recent_means(y, None, cuts=cuts, reach=reach, season=season)


def ses(y: Array, *, cuts: Cuts, reach: int, season: int) -> Array:
    """Simple exponential smoothing; of ten weights the one that foretold the past best, for each series and cut."""
    count, periods = y.shape
    level = np.full((len(_ALPHAS), count), np.nan)
    squares = np.zeros_like(level)
    answers = {}
    for t in range(periods):
        value = y[:, t]
        is_known = ~np.isnan(value)
        error = np.where(is_known & ~np.isnan(level), value - level, 0.0)
        squares += error**2
        level = np.where(np.isnan(level) & is_known, value, level + _ALPHAS * error)
        if t + 1 in cuts:
            answers[t + 1] = level[squares.argmin(axis=0), np.arange(count)]
    return _flat(answers, cuts=cuts, reach=reach)


def damped_trend(y: Array, *, cuts: Cuts, reach: int, season: int) -> Array:
    """Holt's level and trend, the trend damped (Gardner and McKenzie 1985); of 36 weightings the best in the past.

    The trend begins at 0, so that two values that happen to differ are no trend.
    """
    alpha, beta, phi = (grid.reshape(-1, 1) for grid in np.meshgrid(_LEVELS, _TRENDS, _DAMPINGS, indexing="ij"))
    level = np.full((len(alpha), len(y)), np.nan)
    trend, squares = np.zeros_like(level), np.zeros_like(level)
    answers = {}
    for t in range(y.shape[1]):
        value = y[:, t]
        is_known = ~np.isnan(value)
        said = level + phi * trend
        error = np.where(is_known & ~np.isnan(level), value - said, 0.0)
        squares += error**2
        level = np.where(np.isnan(level) & is_known, value, said + alpha * error)
        trend = phi * trend + alpha * beta * error
        if t + 1 in cuts:
            best = (squares.argmin(axis=0), np.arange(len(y)))
            powers = np.cumsum(phi[best[0]] ** np.arange(1, reach + 1), axis=1)
            answers[t + 1] = np.maximum(level[best][:, None] + powers * trend[best][:, None], 0.0)
    return np.stack([answers[c] for c in cuts])


def croston_sba(y: Array, *, cuts: Cuts, reach: int, season: int) -> Array:
    """Croston's sizes over intervals, less his bias (Syntetos and Boylan 2005). Without a sale: 0."""
    size, interval = (np.full(len(y), np.nan) for _ in range(2))
    since = np.ones(len(y))
    answers = {}
    for t in range(y.shape[1]):
        value = y[:, t]
        is_sale = value > 0
        size = np.where(is_sale, np.where(np.isnan(size), value, size + _SMOOTHING * (value - size)), size)
        longer = np.where(np.isnan(interval), since, interval + _SMOOTHING * (since - interval))
        interval = np.where(is_sale, longer, interval)
        since = np.where(is_sale, 1.0, since + ~np.isnan(value))
        if t + 1 in cuts:
            answers[t + 1] = _once_known(y[:, : t + 1], (1 - _SMOOTHING / 2) * size / interval)
    return _flat(answers, cuts=cuts, reach=reach)


def tsb(y: Array, *, cuts: Cuts, reach: int, season: int) -> Array:
    """Sizes times the chance of a sale, which falls while none comes (Teunter, Syntetos and Babai 2011)."""
    size, chance = (np.full(len(y), np.nan) for _ in range(2))
    answers = {}
    for t in range(y.shape[1]):
        value = y[:, t]
        is_known, is_sale = ~np.isnan(value), value > 0
        size = np.where(is_sale, np.where(np.isnan(size), value, size + _SMOOTHING * (value - size)), size)
        drawn = np.where(np.isnan(chance), is_sale, chance + _SMOOTHING * (is_sale - chance))
        chance = np.where(is_known, drawn, chance)
        if t + 1 in cuts:
            answers[t + 1] = _once_known(y[:, : t + 1], size * chance)
    return _flat(answers, cuts=cuts, reach=reach)


def _once_known(y: Array, said: Array) -> Array:
    """0 where nothing was sold so far, NaN where nothing is known at all."""
    return np.where(np.isnan(y).all(axis=1), np.nan, np.nan_to_num(said))


def adida(y: Array, *, cuts: Cuts, reach: int, season: int) -> Array:
    """Smoothing of blocks as long as the mean interval between sales (Nikolopoulos et al. 2011)."""
    return np.stack([_blocks(y[:, :c], reach=reach, lengths=lambda longest: [longest]) for c in cuts])


def imapa(y: Array, *, cuts: Cuts, reach: int, season: int) -> Array:
    """The mean of what blocks of every length up to the mean interval say (Petropoulos and Kourentzes 2015)."""
    return np.stack([_blocks(y[:, :c], reach=reach, lengths=lambda n: list(range(1, n + 1))) for c in cuts])


def _blocks(y: Array, *, reach: int, lengths: Callable[[int], list[int]]) -> Array:
    with np.errstate(invalid="ignore"):
        sales, known = (y > 0).sum(axis=1), (~np.isnan(y)).sum(axis=1)
    longest = np.clip(np.rint(known / np.maximum(sales, 1)), 1, max(y.shape[1] // 2, 1)).astype(int)
    found = np.full((len(y), reach), np.nan)
    for length in np.unique(longest):
        rows = np.flatnonzero(longest == length)
        said = [_in_blocks(y[rows], length=n) for n in lengths(int(length))]
        found[rows] = np.mean(said, axis=0)[:, None]
    return found


def _in_blocks(y: Array, *, length: int) -> Array:
    """What smoothing says of one period, from means of blocks of `length` periods, the last ending at the end."""
    whole = y.shape[1] // length
    blocks = y[:, y.shape[1] - whole * length :].reshape(len(y), whole, length)
    is_known = ~np.isnan(blocks)
    count = is_known.sum(axis=2)
    means = np.where(count > 0, np.where(is_known, blocks, 0.0).sum(axis=2) / np.maximum(count, 1), np.nan)
    return ses(means, cuts=[whole], reach=1, season=1)[0, :, 0]


def _flat(answers: dict[int, Array], *, cuts: Cuts, reach: int) -> Array:
    return np.stack([np.repeat(answers[c][:, None], reach, axis=1) for c in cuts])


LOCAL: dict[str, Model] = {
    "naive": naive,
    "seasonal_naive": seasonal_naive,
    "mean": mean,
    "ses": ses,
    "damped_trend": damped_trend,
    "seasonal_mean": seasonal_mean,
    "croston_sba": croston_sba,
    "tsb": tsb,
    "adida": adida,
    "imapa": imapa,
}
