"""What every candidate would have foretold at each cut of a panel, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_spark.domains.forecast.features.matrix import Days, Past
from retail_spark.domains.forecast.models.auto import searched
from retail_spark.domains.forecast.models.ensemble import ensembles
from retail_spark.domains.forecast.models.global_booster import Booster
from retail_spark.domains.forecast.models.local import LOCAL
from retail_spark.domains.forecast.models.svd_seasonal import svd_seasonal
from retail_spark.domains.forecast.models.weekday_means import recent_means, with_holidays
from retail_spark.domains.forecast.recipe import PROMOTED, SEARCHED, Recipe
from retail_spark.domains.forecast.series.demand_class import demand_classes
from retail_spark.domains.forecast.series.panel import Panel, trailing_mean
from retail_spark.stats.arrays import Array

LOG = "_log"
_CHANGES = 8  # known changes from which they alone tell the scale of a series
_GROWTH = 2.0  # times the most that a series ever sold: nothing more is said by a model that carries a trend on


@dataclass(frozen=True)
class Tried:
    """Candidates by cuts. `values` is (cuts, candidates, N, horizon), NaN where a candidate had nothing to say."""

    names: tuple[str, ...]
    values: Array
    actual: Array
    """(cuts - 1, N, horizon); NaN where it is not known."""
    scale: Array
    """(cuts, N): root mean square of the change from one period to the next, as known at the cut."""
    classes: npt.NDArray[np.str_]
    """(cuts, N): the demand class as known at the cut; of a new series with its age, such as new_2."""
    instead: Array
    """(cuts, N): the mean of what is known, of the peers where nothing is: the fallback."""
    open: Array
    """(cuts, N, horizon): share of each period's days on which a series can be sold."""

    @property
    def windows(self) -> int:
        return len(self.actual)


def try_all(
    panel: Panel, days: Days, *, recipe: Recipe, boosters: Sequence[Booster], kept: Array | None = None
) -> Tried:
    """Every candidate at every cut. `boosters` is one a cut, each trained on what was known by then, or none.

    `kept` (N, cuts x local models x horizon) is what the local models are known to say; rows of NaN are worked out.
    """
    cuts = recipe.cuts(panel.periods)
    skip = slice(recipe.gap, recipe.reach)
    opened = panel.opened()
    share = np.stack([panel.open[:, c + recipe.gap : c + recipe.reach] for c in cuts])
    said = list(_all_local(opened, days, cuts=cuts, recipe=recipe, kept=kept))
    if recipe.global_model and boosters:
        past = Past.of(opened, frequency=recipe.frequency)
        both = zip(cuts, boosters, strict=True)
        whole = np.stack([b.forecast(opened, past, days, cut=c, recipe=recipe)[:, skip] for c, b in both])
        said.append(whole * share)
    elif recipe.global_model:
        said.append(np.full((len(cuts), panel.size, recipe.horizon), np.nan))
    values = np.maximum(np.stack(said, axis=1), 0.0)
    values[~np.isfinite(values)] = np.nan
    actual = np.stack([panel.y[:, c + recipe.gap : c + recipe.reach] for c in cuts[:-1]]) if len(cuts) > 1 else None
    truth = np.empty((0, panel.size, recipe.horizon)) if actual is None else actual
    instead = _instead(opened, cuts)
    scale = _scale(panel.y, instead, cuts=cuts)
    values = np.concatenate([values, *ensembles(values, truth, scale, names=recipe.ensembles)], axis=1)
    classes = np.stack([demand_classes(panel, recipe=recipe, cut=c) for c in cuts])
    return Tried(recipe.candidates, values, truth, scale, classes, instead, share)


def _all_local(panel: Panel, days: Days, *, cuts: Sequence[int], recipe: Recipe, kept: Array | None) -> Array:
    """(local models, cuts, N, horizon), of an opened panel. Holidays stand out of days; of weeks they are a part."""
    shape = (panel.size, len(cuts), len(recipe.models), recipe.horizon)
    found = np.full(shape, np.nan) if kept is None else kept.reshape(shape)
    todo = np.flatnonzero(np.isnan(found).all(axis=(1, 2, 3)))
    if len(todo):
        part, events = panel.rows(todo), np.broadcast_to(days.by_name["is_event"] > 0, panel.open.shape)[todo]
        has_events = recipe.frequency == "day" and bool(events.any())
        quiet = replace(part, y=np.where(events[:, : part.periods], np.nan, part.y)) if has_events else part
        products = pd.factorize(part.keys["product_id"])[0].astype(np.int64)
        fresh = []
        for name in recipe.models:
            said = _local(name, quiet, cuts=cuts, recipe=recipe)
            if has_events:
                said = with_holidays(said, part.y, events=events, cuts=cuts, season=recipe.year, products=products)
            share = np.stack([part.open[:, c : c + recipe.reach] for c in cuts])
            fresh.append((said * share)[:, :, recipe.gap :])
        found[todo] = np.stack(fresh).transpose(2, 1, 0, 3)
    return found.transpose(2, 1, 0, 3)


def _local(name: str, panel: Panel, *, cuts: Sequence[int], recipe: Recipe) -> Array:
    """One local model; `<model>_log` is the same on log(1 + y)."""
    base = name.removesuffix(LOG)
    y = np.log1p(panel.y) if name.endswith(LOG) else panel.y
    if base == "svd_seasonal":
        found = svd_seasonal(
            y, products=pd.factorize(panel.keys["product_id"])[0], clock=recipe.clock, end=panel.end, cuts=cuts,
            reach=recipe.reach, ranks=recipe.svd_ranks, growth_share=recipe.growth_share, with_easter=recipe.easter,
        )  # fmt: skip
    elif base == PROMOTED:
        state = partial(_is_promoted, panel, recipe.reach)
        found = recent_means(y, state, cuts=cuts, reach=recipe.reach, season=recipe.year)
    elif base in SEARCHED:
        found = searched(base, y, cuts=cuts, reach=recipe.reach, season=recipe.year)
    else:
        found = LOCAL[base](y, cuts=cuts, reach=recipe.reach, season=recipe.year)
    if name.endswith(LOG) or base in SEARCHED:
        found = np.minimum(found, _highest(panel.y, cuts=cuts, is_log=name.endswith(LOG)))
    return np.expm1(found) if name.endswith(LOG) else found


def _is_promoted(panel: Panel, reach: int, cut: int) -> npt.NDArray[np.bool_]:
    """(N, cut + reach): advertised or on deal, as known at the cut."""
    told = [panel.covariate(name, cut=cut, start=0, stop=cut + reach) for name in ("promotion", "deal")]
    return (told[0] > 0) | (told[1] > 0)


def _highest(y: Array, *, cuts: Sequence[int], is_log: bool) -> Array:
    """(cuts, N, 1): what a model that carries a trend on may say at most: on logarithms it grows without end."""
    most = np.maximum.accumulate(np.nan_to_num(y), axis=1)[:, [c - 1 for c in cuts]].T
    limit = _GROWTH * np.maximum(most, 1.0)[:, :, None]
    return np.log1p(limit) if is_log else limit


def _scale(y: Array, instead: Array, *, cuts: Sequence[int]) -> Array:
    """(cuts, N): the root mean square of the known changes; while these are few, half the level or its root as well."""
    ends = [c - 1 for c in cuts]
    change = np.diff(y, axis=1, prepend=np.nan)
    square = np.nan_to_num(trailing_mean(change**2, length=y.shape[1])[:, ends].T)
    level = trailing_mean(np.abs(y), length=y.shape[1])[:, ends].T
    level = np.where(np.isnan(level), instead, level)
    count = np.cumsum(~np.isnan(change), axis=1)[:, ends].T
    few = np.maximum(_CHANGES - count, 0)
    square = (count * square + few * np.maximum((level / 2) ** 2, level)) / (count + few)
    scale = np.maximum(np.sqrt(square), 0.1 * level)
    return np.where(scale > 0, scale, 1.0)


def _instead(panel: Panel, cuts: Sequence[int]) -> Array:
    own = trailing_mean(panel.y, length=panel.periods)
    peers = trailing_mean(panel.peer_y[:, : panel.periods], length=26)
    return np.nan_to_num(np.where(np.isnan(own), peers, own))[:, [c - 1 for c in cuts]].T
