"""Rows of gold.elasticity_estimates as pandas frames; a category that raises is a row with status failed and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd

from retail_spark.domains.elasticity.models.least_squares import PRICE
from retail_spark.frames.batches import fitted_to

ESTIMATE_SCHEMA = (
    "level string, member string, estimator string, term string, estimate double, std_error double, "
    "std_error_store double, ci_low double, ci_high double, first_stage_f double, endogeneity_p double, "
    "overidentification_p double, std_error_plain double, price_left double, warning string, "
    "n_obs bigint, is_default boolean, status string, error string"
)
Frames = Callable[[pd.DataFrame], pd.DataFrame]
_LONGEST = 500


def framed(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Rows of gold.elasticity_estimates as a frame of the right types."""
    return fitted_to(pd.DataFrame(list(rows)), ESTIMATE_SCHEMA)


def estimate_row(*, value: tuple[float, float, float] | None, reach: float = 1.96, **told: Any) -> dict[str, Any]:
    """One row of gold.elasticity_estimates; `value` is estimate, two-way error and error by store."""
    row = {"status": "ok", "is_default": False, **told}
    if value is not None:
        low, high = value[0] - reach * value[1], value[0] + reach * value[1]
        row |= {"estimate": value[0], "std_error": value[1], "std_error_store": value[2]}
        row |= {"ci_low": low, "ci_high": high}
    return row


def said_not_identified(estimates: pd.DataFrame, categories: Sequence[str]) -> pd.DataFrame:
    """The same, where prices of these categories vary but the effects leave nothing of it: not_identified."""
    is_theirs = (estimates["level"] == "category") & estimates["member"].isin(categories)
    is_gone = is_theirs & (estimates["status"] == "no_price_variation")
    return estimates.assign(status=estimates["status"].mask(is_gone, "not_identified"))


def reason_of(error: Exception) -> str:
    """What went wrong, in one line that a table can hold."""
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:_LONGEST]


def guarded(estimate: Frames, estimator: str) -> Frames:
    """The same function of one member's rows; what it raises becomes its row of gold.elasticity_estimates."""

    def finish(some: pd.DataFrame) -> pd.DataFrame:
        try:
            return estimate(some)
        except Exception as error:
            return framed([_failed(some, estimator, reason_of(error))])

    return finish


def _failed(some: pd.DataFrame, estimator: str, reason: str) -> dict[str, object]:
    level = str(some["level"].iloc[0]) if "level" in some else "category"
    member = str(some["member" if "member" in some else "category"].iloc[0])
    count = int(some["rows"].sum()) if "rows" in some else len(some)
    return estimate_row(
        level=level, member=member, estimator=estimator, term=PRICE, value=None, n_obs=count, status="failed",
        error=reason,
    )  # fmt: skip
