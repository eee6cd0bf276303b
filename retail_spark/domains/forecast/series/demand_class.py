"""The class of a series by how it sells: smooth, erratic, intermittent, lumpy, new or dead."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retail_spark.domains.forecast.recipe import Recipe
from retail_spark.domains.forecast.series.missing_data import SOLD
from retail_spark.domains.forecast.series.panel import PAID, Panel, trailing_mean

NEW = "new"
AGES = (0, 1, 2, 4, 8, 16, 32)
"""Known periods from which new series are told apart."""
_INTERVAL, _VARIATION = 1.32, 0.49  # Syntetos, Boylan and Croston 2005
CLASSES = ("smooth", "erratic", "intermittent", "lumpy", NEW, "dead")


def demand_classes(panel: Panel, *, recipe: Recipe, cut: int | None = None) -> npt.NDArray[np.str_]:
    """By interval between sales and variation of their size (Syntetos, Boylan and Croston 2005); or new, or dead.

    As known when `cut` periods were. Dead: its store or product is closed, or nothing was sold in the last
    `dead_periods`, nor a year before in the periods that lie ahead then, and nothing is planned for them. New: fewer
    than `new_periods` are known; the name tells how many, at least (AGES).
    """
    y = panel.y[:, :cut]
    known, is_sale = (~np.isnan(y)).sum(axis=1), np.nan_to_num(y) > 0
    sales = is_sale.sum(axis=1)
    interval = known / np.maximum(sales, 1)
    sizes = np.where(is_sale, y, np.nan)
    mean = trailing_mean(sizes, length=y.shape[1])[:, -1]
    square = trailing_mean(sizes**2, length=y.shape[1])[:, -1]
    variation = np.nan_to_num(np.maximum(square - mean**2, 0) / np.where(mean > 0, mean, 1.0) ** 2)
    frequent, steady = interval < _INTERVAL, variation < _VARIATION
    found = np.select(
        [frequent & steady, frequent, steady], ["smooth", "erratic", "intermittent"], default="lumpy"
    )  # fmt: skip
    recent = y[:, -recipe.dead_periods :]
    is_quiet = ~is_sale[:, -recipe.dead_periods :].any(axis=1) & ~np.isnan(recent).all(axis=1)
    is_gone = (known > recipe.dead_periods) & is_quiet & ~_comes_again(panel, is_sale, recipe)
    is_dead = _closed(panel, recipe=recipe, cut=y.shape[1]) | is_gone
    young = np.array([f"{NEW}_{age}" for age in AGES])[np.searchsorted(AGES, known, side="right") - 1]
    found = np.where(known < recipe.new_periods, young, found)
    return np.where(is_dead, "dead", found)


def _closed(panel: Panel, *, recipe: Recipe, cut: int) -> npt.NDArray[np.bool_]:
    """(N,): store or product are closed, as known at the cut: what closes later is open until then."""
    if cut == panel.periods:
        return panel.is_closed
    is_open = panel.store_state == SOLD
    late = slice(max(cut - recipe.closed_periods, 0), cut)
    is_shut = is_open[:, :cut].any(axis=1) & ~is_open[:, late].any(axis=1)
    stays_open = is_open[:, -recipe.closed_periods :].any(axis=1)
    has_left = panel.is_closed & stays_open & ~(panel.y[:, late] > 0).any(axis=1)
    return np.asarray(is_shut | has_left)


def class_of(name: str) -> str:
    """The demand class without the age of a new series."""
    return name.split("_")[0]


def _comes_again(panel: Panel, is_sale: npt.NDArray[np.bool_], recipe: Recipe) -> npt.NDArray[np.bool_]:
    """(N,): sold a year before in the periods that lie ahead of those of `is_sale`, or planned for them by then."""
    cut = is_sale.shape[1]
    start = cut - recipe.clock.year
    ahead = is_sale[:, max(start, 0) : max(start + recipe.reach, 0)].any(axis=1)
    coming = slice(cut, cut + recipe.reach)
    plans = np.stack([panel.planned[name][:, coming] for name in PAID])
    is_told = ~np.isnan(plans).all(axis=0) & (panel.known[:, coming] <= cut - 1)
    return np.asarray(ahead | is_told.any(axis=1))
