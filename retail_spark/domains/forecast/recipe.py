"""All that decides a forecast, and is needed to make the same ones again on other data."""

from __future__ import annotations

from dataclasses import dataclass

from retail_spark.domains.forecast.series.periods import Clock
from retail_spark.modelling import recipe as modelling

GLOBAL = "global"
MEDIAN = "median"
WEIGHTED = "weighted"
FALLBACK = "fallback_mean"
ZERO = "zero"
CHEAP = ("naive", "seasonal_naive", "mean", "ses", "damped_trend", "croston_sba", "tsb", "adida", "imapa",
         "svd_seasonal", "seasonal_mean", "promotion_mean")  # fmt: skip
SEARCHED = ("auto_ets", "auto_theta")
REFERENCE = "seasonal_naive"
PROMOTED = "promotion_mean"
ENSEMBLES = (MEDIAN, WEIGHTED)


@dataclass(frozen=True)
class Recipe(modelling.Recipe):
    """What a champion is known by."""

    frequency: str
    week_starts_on: str
    time_zone: str
    row_days: int
    gaps: str
    history_periods: int
    horizon: int
    gap: int
    windows: int
    step: int
    season: int
    models: tuple[str, ...]
    ensembles: tuple[str, ...]
    global_model: bool
    select_by: str
    max_bias: float
    prior_points: float
    own_residuals: int
    new_periods: int
    dead_periods: int
    growth_share: float
    svd_ranks: tuple[int, ...]
    easter: bool
    objective: str
    weight_power: float
    debias: bool
    leads_per_row: int
    train_periods: int
    max_lessons: int
    trees: int
    max_depth: int
    learning_rate: float
    subsample: float
    column_share: float
    min_child_weight: float
    reg_lambda: float
    num_workers: int
    closed_periods: int = 4
    outlier_factor: float = 0.0
    """What is not in an older recipe has the value that held for it."""

    @property
    def clock(self) -> Clock:
        return Clock(self.frequency, self.week_starts_on, self.time_zone, self.row_days)  # type: ignore[arg-type]

    @property
    def leads(self) -> range:
        """Periods from the last known one to each forecast one."""
        return range(self.gap + 1, self.gap + self.horizon + 1)

    @property
    def reach(self) -> int:
        """Periods from the last known one to the last forecast one."""
        return self.gap + self.horizon

    @property
    def year(self) -> int:
        """The season, periods: as set, else 52 weeks, 7 days or 12 months."""
        return self.season or {"day": 7, "week": 52, "month": 12}[self.frequency]

    def cuts(self, periods: int) -> tuple[int, ...]:
        """Numbers of known periods at which a backtest forecasts, oldest first; the last is all of them.

        A window that would leave the models less than a handful of periods is left out.
        """
        ends = [periods - self.reach - self.step * k for k in range(self.windows)]
        return (*sorted(c for c in ends if c >= 2), periods)

    @property
    def candidates(self) -> tuple[str, ...]:
        """Every candidate by name, in the order of the arrays: local models, the global one, ensembles."""
        return (*self.models, *((GLOBAL,) if self.global_model else ()), *self.ensembles)
