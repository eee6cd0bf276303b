"""All that is needed to learn the same model again on other data."""

from __future__ import annotations

from dataclasses import dataclass

from retail_spark.modelling import recipe as modelling


@dataclass(frozen=True)
class Recipe(modelling.Recipe):
    """What a champion is known by: its columns, its histories, its booster and its calibration."""

    predict_days_before_promise: int
    outcome_known: str
    category_columns: tuple[str, ...]
    number_columns: tuple[str, ...]
    log_columns: tuple[str, ...]
    lead_columns: tuple[str, ...]
    calendar_columns: tuple[str, ...]
    history_keys: tuple[tuple[str, ...], ...]
    history_kinds: tuple[str, ...]
    recent_days: tuple[int, ...]
    prior_weight: float
    max_categories: int
    calibration: str
    calibration_share: float
    calibration_slices: int
    calibration_prior: float
    trees: int
    max_depth: int
    learning_rate: float
    subsample: float
    column_share: float
    forest: int
    min_child_weight: float
    reg_lambda: float
    num_workers: int
    promise: str = "last"
    """Older versions knew of no first promise: they counted lateness from the last."""
