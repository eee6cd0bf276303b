"""Which candidate foretells a series: what it and its class erred in the backtest, a guard on bias, and a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retail_spark.domains.forecast.backtest import Tried
from retail_spark.domains.forecast.recipe import FALLBACK, GLOBAL, ZERO, Recipe
from retail_spark.domains.forecast.series.demand_class import CLASSES, class_of
from retail_spark.stats.arrays import Array

Prior = Mapping[str, Mapping[str, float]]
"""Class -> candidate -> mean logarithm of the scores of the class: a mean of ratios is ruled by its worst series."""
TIE = 1e-9
_LEAST = 1e-3
QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Scores:
    """Over the windows asked for, each (N, M): NaN where a candidate was not there in all of them, or nothing known."""

    rmsse: Array
    pinball: Array
    bias: Array
    """Forecast less actual, as a share of actual."""
    wape: Array
    points: Array
    """(N,): known periods."""

    def of(self, name: str) -> Array:
        """Logarithms of the scores to choose by."""
        return np.log(np.maximum(self.pinball if name == "pinball" else self.rmsse, _LEAST))


def score(tried: Tried, *, windows: range) -> Scores:
    """What every candidate erred in these windows."""
    chosen = list(windows)
    actual = tried.actual[chosen].transpose(1, 0, 2)
    scale = tried.scale[chosen].T[:, :, None]
    count = len(actual)
    is_known = ~np.isnan(actual)
    points = is_known.sum(axis=(1, 2)).astype(np.float64)
    shape = (count, len(tried.names))
    found = {name: np.full(shape, np.nan) for name in ("rmsse", "pinball", "bias", "wape")}
    volume = np.where(is_known, actual, 0.0).sum(axis=(1, 2))
    floor = np.maximum(volume, 1e-9)
    for m in range(len(tried.names)):
        said = tried.values[chosen, m].transpose(1, 0, 2)
        errors = np.where(is_known, said - actual, 0.0)
        is_there = (points > 0) & ~np.isnan(errors).any(axis=(1, 2))
        n = np.maximum(points, 1)
        figures = {
            "rmsse": np.sqrt(((errors / scale) ** 2).sum(axis=(1, 2)) / n),
            "pinball": _pinball(np.where(is_known, errors / scale, np.nan).reshape(count, -1)),
            "bias": errors.sum(axis=(1, 2)) / floor,
            "wape": np.abs(errors).sum(axis=(1, 2)) / floor,
        }
        for name, values in figures.items():
            found[name][:, m] = np.where(is_there, values, np.nan)
    return Scores(points=points, **found)


def _pinball(errors: Array) -> Array:
    """Mean pinball loss of the quantiles that a series' own errors would give it, in its scale."""
    if errors.size == 0:
        return np.full(len(errors), np.nan)
    with np.errstate(invalid="ignore"):
        is_blank = np.asarray(np.isnan(errors).all(axis=1))
        residuals = -np.where(is_blank[:, None], 0.0, errors)
        parts: list[Array] = []
        for share, middle in zip(QUANTILES, _quantiles(residuals), strict=True):
            rest = residuals - middle[:, None]
            parts.append(np.nanmean(np.maximum(share * rest, (share - 1) * rest), axis=1))
    return np.asarray(np.mean(parts, axis=0))


def _quantiles(values: Array) -> Array:
    """(QUANTILES, N): of the known values of each row, at least one. As numpy's nanquantile, which loops over rows."""
    rows = np.sort(values, axis=1)  # NaN last
    place = ((~np.isnan(values)).sum(axis=1) - 1)[:, None] * np.asarray(QUANTILES)
    below = np.floor(place).astype(np.int64)
    low = np.take_along_axis(rows, below, axis=1)
    high = np.take_along_axis(rows, np.ceil(place).astype(np.int64), axis=1)
    part = place - below
    between: Array = np.where(part < 0.5, low + (high - low) * part, high - (high - low) * (1 - part))
    return between.T


@dataclass(frozen=True)
class Choice:
    """A candidate by its place in the names of `Tried` (-1: the fallback, -2: zero), and why, for each series."""

    place: npt.NDArray[np.int64]
    reason: list[str]
    failed: list[str | None]
    """Why a series has only the fallback."""

    def names(self, tried: Tried) -> list[str]:
        special = {-1: FALLBACK, -2: ZERO}
        return [special.get(int(p), tried.names[max(int(p), 0)]) for p in self.place]


def choose(tried: Tried, scores: Scores, *, prior: Prior, recipe: Recipe, broken: list[str | None], at: int) -> Choice:
    """The best candidate of every series among those that had something to say at cut number `at`.

    A series' own score counts by its known periods, that of its class as `prior_points` of them. A candidate whose
    bias is beyond `max_bias` is left out as long as one within it is there; ties go to the one named first.
    """
    names, classes = tried.names, [class_of(str(name)) for name in tried.classes[at]]
    means = np.array([[prior.get(c, {}).get(name, np.nan) for name in names] for c in classes])
    own = scores.of(recipe.select_by)
    weight = np.where(np.isnan(own), 0.0, scores.points[:, None])
    pull = np.where(np.isnan(means), 0.0, recipe.prior_points)
    total = weight + pull
    blended = (weight * np.nan_to_num(own) + pull * np.nan_to_num(means)) / np.where(total > 0, total, 1.0)
    blended = np.where(total > 0, blended, 1e6 + np.arange(len(names)))
    is_there = ~np.isnan(tried.values[at]).any(axis=-1).T
    blended = np.where(is_there, blended, np.inf)
    biased = np.abs(scores.bias) > recipe.max_bias
    guarded = np.where(biased, np.inf, blended)
    has_unbiased = np.asarray(np.isfinite(guarded).any(axis=1))
    final = np.where(has_unbiased[:, None], guarded, blended)
    place = final.argmin(axis=1).astype(np.int64)
    reason, failed = [], []
    for n in range(len(place)):
        told, error = _reason(n, final[n], blended[n], scores, tried, broken[n], classes[n], select_by=recipe.select_by)
        reason.append(told)
        failed.append(error)
        if error is not None:
            place[n] = -1
        elif classes[n] == "dead":
            place[n] = -2
    return Choice(place, reason, failed)


def _reason(
    n: int,
    final: Array,
    blended: Array,
    scores: Scores,
    tried: Tried,
    broken: str | None,
    demand_class: str,
    *,
    select_by: str,
) -> tuple[str, str | None]:
    """Why, in words, and what is wrong where nothing could be chosen."""
    if broken is not None:
        return "the fallback: the series is broken", broken
    if demand_class == "dead":
        return "nothing is sold here any more", None
    best = final.min()
    if not np.isfinite(best):
        return "the fallback: no model can take the series", "no model can take the series"
    if scores.points[n] == 0:
        return f"no backtest of its own: the best of class {demand_class}", None
    equal = np.flatnonzero(final <= best + TIE)
    if len(equal) > 1:
        others = ", ".join(tried.names[k] for k in equal[1:3])
        return f"tie in {select_by} with {others}: the first named", None
    if blended.min() < best:
        return f"lowest {select_by} within the bias allowed; {tried.names[blended.argmin()]} is beyond it", None
    return f"lowest {select_by}", None


def picked(tried: Tried, choice: Choice, *, at: int) -> Array:
    """(N, horizon): what the chosen candidates say at cut number `at`; the fallback where they say nothing."""
    rows = np.arange(len(choice.place))
    said = tried.values[at][np.maximum(choice.place, 0), rows]
    instead = tried.instead[at][:, None] * tried.open[at]
    said = np.where(np.isnan(said), instead, said)
    said = np.where((choice.place == -1)[:, None], instead, said)
    return np.where((choice.place == -2)[:, None], 0.0, said)


__all__ = ["CLASSES", "GLOBAL", "Choice", "Prior", "Scores", "choose", "picked", "score"]
