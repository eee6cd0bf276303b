"""The model outside Spark: frequency, recency, age and spend in, value and the chance to be alive out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retail_spark.domains.customers.models.beta_geometric import BetaGeometric
from retail_spark.domains.customers.models.cells import Array
from retail_spark.domains.customers.models.gamma_gamma import GammaGamma
from retail_spark.modelling import recipe as modelling

WEEK = 7.0
ASKED = ("x", "t_x_days", "age_days", "mean_repeat_spend")
"""Purchases after the first, days from the first to the last of them and to now, mean spend of them (NaN: none)."""
EXPECTED = ("p_alive", "expected_purchases", "purchases_low", "purchases_high", "purchase_value", "expected_value",
            "value_low", "value_high", "discounted_value", "p_purchase_30", "p_purchase_60", "p_purchase_90",
            "median_days_to_next")  # fmt: skip
_STEPS = 12
_INTERVAL = (10, 90)


@dataclass(frozen=True)
class Recipe(modelling.Recipe):
    """How far ahead the model looks, and how it draws its intervals."""

    horizon_days: int
    discount_per_year: float
    draws: int
    seed: int


@dataclass(frozen=True)
class ValueModel:
    """When customers buy, what a purchase is worth (None: not known), and how far ahead."""

    timing: BetaGeometric
    spend: GammaGamma | None
    recipe: Recipe

    def answer(self, asked: pd.DataFrame) -> pd.DataFrame:
        """One row per row given, with the columns EXPECTED. The columns asked for are ASKED."""
        x, t_x, age = (asked[name].to_numpy(dtype=np.float64) for name in ASKED[:3])
        mean = asked["mean_repeat_spend"].to_numpy(dtype=np.float64)
        history = x, t_x / WEEK, age / WEEK
        weeks = self.recipe.horizon_days / WEEK
        low, high = self._interval(*history, weeks=weeks)
        purchases = self.timing.expected_purchases(*history, weeks=weeks)
        worth = self._worth(x, mean)
        found = {
            "p_alive": self.timing.p_alive(*history),
            "expected_purchases": purchases,
            "purchases_low": low,
            "purchases_high": high,
            "purchase_value": worth,
            "expected_value": purchases * worth,
            "value_low": low * worth,
            "value_high": high * worth,
            "discounted_value": self._discounted(*history) * worth,
            **{f"p_purchase_{n}": self.timing.p_purchase(*history, weeks=n / WEEK) for n in (30, 60, 90)},
            "median_days_to_next": self.timing.weeks_to_next(*history) * WEEK,
        }
        return pd.DataFrame(found, index=asked.index)[list(EXPECTED)]

    def _worth(self, x: Array, mean: Array) -> Array:
        if self.spend is None:
            return np.full(len(x), np.nan)
        known = np.isfinite(mean)
        return self.spend.expected_spend(np.where(known, x, 0.0), np.where(known, mean, 0.0))

    def _discounted(self, x: Array, t_x: Array, age: Array) -> Array:
        """Purchases within the horizon, each discounted from the middle of its twelfth of the horizon."""
        ends = np.linspace(0, self.recipe.horizon_days / WEEK, _STEPS + 1)[1:]
        before, found = np.zeros(len(x)), np.zeros(len(x))
        for end in ends:
            now = self.timing.expected_purchases(x, t_x, age, weeks=float(end))
            years = (end - ends[0] / 2) * WEEK / 365
            found += (now - before) / (1 + self.recipe.discount_per_year) ** years
            before = now
        return np.minimum(found, before)

    def _interval(self, x: Array, t_x: Array, age: Array, *, weeks: float) -> tuple[Array, Array]:
        """Ends of the 80 % interval of purchases. Customers alike have the same, whoever else is in the frame."""
        alike, place = np.unique(np.column_stack([x, t_x, age]), axis=0, return_inverse=True)
        ends = np.empty((len(alike), 2))
        for n, (its_x, its_t_x, its_age) in enumerate(alike):
            days = (round(its_t_x * WEEK), round(its_age * WEEK))
            rng = np.random.default_rng([self.recipe.seed, round(its_x), *days])
            one = (np.array([its_x]), np.array([its_t_x]), np.array([its_age]))
            drawn = self.timing.drawn_purchases(*one, weeks=weeks, draws=self.recipe.draws, rng=rng)
            ends[n] = np.percentile(drawn, _INTERVAL, method="inverted_cdf")
        return ends[place.ravel(), 0], ends[place.ravel(), 1]

    def save(self, folder: Path) -> dict[str, Path]:
        """Writes model.json into the folder; gives name -> file."""
        about = {
            "timing": {**self.timing.parameters, "modified": self.timing.modified},
            "spend": None if self.spend is None else self.spend.parameters,
            "recipe": self.recipe.to_json(),
        }
        path = folder / "model.json"
        path.write_text(json.dumps(about), encoding="utf-8")
        return {"model": path}

    @classmethod
    def load(cls, files: Mapping[str, str | Path]) -> ValueModel:
        """Reads what `save` wrote."""
        about: dict[str, Any] = json.loads(Path(files["model"]).read_text(encoding="utf-8"))
        spend = None if about["spend"] is None else GammaGamma(**about["spend"])
        return cls(BetaGeometric(**about["timing"]), spend, Recipe.from_json(about["recipe"]))
