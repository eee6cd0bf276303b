"""The global model: rows to learn from, and boosters of log ratios to the level of a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_spark.domains.forecast.features.matrix import LEVEL_AT, Codes, Days, Past, matrix, names_of
from retail_spark.domains.forecast.recipe import Recipe
from retail_spark.domains.forecast.series.panel import Panel
from retail_spark.stats.arrays import Array

if TYPE_CHECKING:
    import xgboost

_GOLDEN_RATIO = 0.5 * (5**0.5 - 1)
_LARGEST = 4.0
"""Largest log ratio to the level that is learned or foretold."""


OBJECTIVES = {"log": "reg:squarederror", "absolute": "reg:absoluteerror", "poisson": "count:poisson",
              "tweedie": "reg:tweedie"}  # fmt: skip
_BY_RATIO = ("poisson", "tweedie")
"""Objectives whose label is the ratio itself and whose margin its logarithm: their forecast is a mean as it is."""


@dataclass(frozen=True)
class Booster:
    """A trained booster as xgboost's JSON, and what turns its answer into the mean."""

    raw: bytes
    codes: Codes
    smear: float = 1.0
    _loaded: list[xgboost.Booster] = field(default_factory=list, compare=False, repr=False)

    def margin(self, rows: Array) -> Array:
        """Log ratio of the foretold value to the level, a value a row."""
        import xgboost

        if not self._loaded:
            booster = xgboost.Booster()
            booster.load_model(bytearray(self.raw))
            booster.set_param({"nthread": 1})
            self._loaded.append(booster)
        said = self._loaded[0].inplace_predict(rows.astype(np.float32), predict_type="margin")
        return np.clip(np.asarray(said, dtype=np.float64), -_LARGEST, _LARGEST)

    def forecast(self, panel: Panel, past: Past, days: Days, *, cut: int, recipe: Recipe) -> Array:
        """(N, reach) from the cut on; periods within the gap are NaN."""
        found = np.full((panel.size, recipe.reach), np.nan)
        for lead in recipe.leads:
            rows = matrix(panel, past, days, target=cut - 1 + lead, lead=lead, codes=self.codes, recipe=recipe)
            level = past.level[:, cut - 1]
            found[:, lead - 1] = np.maximum(np.expm1(level + self.margin(rows)), 0.0) * self.smear
        return found


@dataclass(frozen=True)
class Lessons:
    """Rows to learn from, a value a row: the column it foretells, features, ratio to the level (or its logarithm)."""

    x: Array
    ratio: Array
    weight: Array
    target: Array
    series: Array
    lead: Array


def lessons(panel: Panel, past: Past, days: Days, *, codes: Codes, recipe: Recipe, share: float = 1.0) -> Lessons:
    """Every known period of the last `train_periods`, each at `leads_per_row` of the leads, in turn.

    With a share below 1 only that share of all (product, period) teaches, drawn by their hash: whichever series a
    panel holds, a product's row is in it or not, and what its other stores tell stays whole.
    """
    parts: list[tuple[Array, ...]] = []
    leads = list(recipe.leads)
    marks = pd.util.hash_array(panel.keys["product_id"].to_numpy(dtype=object))
    for target in range(max(leads[0] + 1, panel.periods - recipe.train_periods), panel.periods):
        some, told, chosen, sky = panel, past, np.arange(panel.size), days
        if share < 1.0:
            chosen = np.flatnonzero(_drawn(marks, period=int(panel.numbers[target]), share=share))
            if not len(chosen):
                continue
            some, told, sky = panel.rows(chosen), past.rows(chosen), days.rows(chosen)
        for lead in leads_of(leads, int(panel.numbers[target]), count=recipe.leads_per_row):
            if lead > target:
                continue
            rows = np.flatnonzero(~np.isnan(some.y[:, target]) & (some.first <= target))
            x = matrix(some, told, sky, target=target, lead=lead, codes=codes, recipe=recipe)[rows]
            level = told.level[rows, target - lead]
            ratio = np.clip(told.y[rows, target] - level, -_LARGEST, _LARGEST)
            if recipe.objective in _BY_RATIO:
                ratio = np.exp(ratio)
            weight = (1.0 + np.expm1(level)) ** recipe.weight_power
            same = np.ones(len(rows))
            parts.append((x, ratio, weight, same * target, chosen[rows].astype(float), same * lead))
    if not parts:
        return Lessons(np.empty((0, len(names_of(recipe.frequency)))), *(np.empty(0) for _ in range(5)))
    return Lessons(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _drawn(marks: npt.NDArray[np.uint64], *, period: int, share: float) -> npt.NDArray[np.bool_]:
    """True for that share of the products, other ones each period (the mixing of splitmix64, Steele et al. 2014)."""
    mixed = marks + np.uint64(period * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed ^ (mixed >> np.uint64(31))) / 2.0**64 < share


def leads_of(leads: Sequence[int], period: int, *, count: int) -> list[int]:
    """`count` of the leads, spread over all of them, other ones for each period.

    They go round by the golden ratio: all come as often as others, on every weekday and in every season.
    """
    if count >= len(leads):
        return list(leads)
    start = int(period * _GOLDEN_RATIO % 1.0 * len(leads))
    return sorted({leads[(start + k * len(leads) // count) % len(leads)] for k in range(count)})


def missed(x: Array, ratio: Array, *, booster: Booster, recipe: Recipe) -> tuple[float, float]:
    """Units sold and units foretold over lessons that the booster did not see."""
    level = x[:, LEVEL_AT]
    log_ratio = np.log(ratio) if recipe.objective in _BY_RATIO else ratio
    foretold = np.maximum(np.expm1(level + booster.margin(x)), 0.0)
    return float(np.expm1(level + log_ratio).sum()), float(foretold.sum())


def smear_of(sums: Sequence[tuple[float, float]]) -> float:
    """Units sold by units foretold over all windows so far, within reason; 1 where there was none."""
    sold, foretold = (sum(part) for part in zip(*sums, strict=True)) if sums else (0.0, 0.0)
    return float(np.clip(sold / foretold, 0.67, 1.5)) if sold > 0 and foretold > 0 else 1.0


def parameters(recipe: Recipe, *, seed: int) -> Mapping[str, object]:
    """What xgboost is told, by the names that its Python interface and its Spark estimators share."""
    return {
        "objective": OBJECTIVES[recipe.objective],
        "max_depth": recipe.max_depth,
        "learning_rate": recipe.learning_rate,
        "subsample": recipe.subsample,
        "colsample_bynode": recipe.column_share,
        "min_child_weight": recipe.min_child_weight,
        "reg_lambda": recipe.reg_lambda,
        "tree_method": "hist",
        "max_bin": 64,
        "seed": seed,
    }


def train_here(rows: Lessons, *, recipe: Recipe, seed: int, codes: Codes) -> Booster:
    """Trains without Spark, as benchmarks do."""
    import xgboost

    data = xgboost.DMatrix(rows.x, label=rows.ratio, weight=rows.weight)
    given = {**parameters(recipe, seed=seed), "nthread": 1}  # threads that wait for each other spin on a busy machine
    trained = xgboost.train(given, data, num_boost_round=recipe.trees)
    return Booster(bytes(trained.save_raw("json")), codes)
