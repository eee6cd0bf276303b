"""All that is needed to learn the same model again on other data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """What a champion is known by: its columns, its histories, its booster and its calibration."""

    predict_days_before_promise: int
    outcome_known: str
    promise: str
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

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of the settings that make up a recipe."""
        return tuple(f.name for f in fields(cls))

    def to_json(self) -> dict[str, Any]:
        """JSON values; `from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe of a registered model. Raises ValueError for one that this version does not understand.

        One of a version that knew of no first promise counted lateness from the last.
        """
        values = {"promise": "last", **values}
        if set(values) != set(cls.names()):
            raise ValueError(f"recipe keys differ: {sorted(set(values) ^ set(cls.names()))}")
        return cls(**{name: _frozen(value) for name, value in values.items()})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
