"""Settings of the job `experiments`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from retail_spark.config.section import Section, setting

SALES_MEASURES = ("revenue", "orders", "units")
"""What of a unit's sales can be a metric's value: money, receipts and pieces; returns are taken off."""


class Metric(Section):
    """One metric: what is summed for each unit, from its own assignment on."""

    source: Literal["outcomes", "sales"] = "outcomes"
    kind: Literal["mean", "proportion", "ratio"] = "mean"
    """mean: per unit; proportion: share of units whose sum is above 0; ratio: sum of value by sum of denominator."""
    value: str = Field(min_length=1)
    """A metric of silver.outcomes, or of sales one of revenue, orders, units."""
    denominator: str | None = None
    """Of the same source, for a ratio."""
    from_days: float = Field(default=0.0, ge=0)
    """Days from the assignment to the start of the window: above 0 for retention."""
    until_days: float | None = Field(default=None, gt=0)
    """Days from the assignment to the end of the window. Units enter when it is over. None: all up to as_of."""
    covariate_days: float = Field(default=0.0, ge=0)
    """Days before the assignment whose value adjusts the metric (CUPED); 0: none."""
    winsorised_above: float = Field(default=1.0, gt=0.5, le=1)
    """Values above this quantile of all variants together are set to it; 1: none."""
    is_guardrail: bool = False
    """Must not get worse; it decides nothing else."""
    lower_is_better: bool = False

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.kind == "ratio") != (self.denominator is not None):
            raise ValueError("a ratio has a denominator, and nothing else has")
        if self.until_days is not None and self.until_days <= self.from_days:
            raise ValueError("until_days lies after from_days")
        used = [self.value, *([self.denominator] if self.denominator else [])]
        if self.source == "sales" and set(used) - set(SALES_MEASURES):
            raise ValueError(f"of sales there are {', '.join(SALES_MEASURES)}")
        return self


class Plan(Section):
    """What was decided before an experiment began."""

    control: str | None = None
    """The variant that others are compared with. None: `control` where there is one, else the first by name."""
    weights: dict[str, float] = {}
    """Variant -> share of units it was meant to get, in any unit; empty: all the same."""
    renamed: dict[str, str] = {}
    """Variant as it was named for a while -> its name."""
    metrics: tuple[str, ...] = ()
    """Names of the metrics that are looked at; empty: all that have a row."""
    planned_units: int = Field(default=0, ge=0)
    """Units in the comparison with which the experiment ends; before, the sequence decides. 0: it has ended."""


class JobSettings(Section):
    """What is measured, what was planned, and how sure one must be."""

    metrics: dict[str, Metric] = setting(
        dict,
        "metrics by name, as in docs/domains/experiments.md; empty: the mean of every metric in silver.outcomes",
    )
    experiments: dict[str, Plan] = setting(
        dict, "experiment_id -> what was planned: control, weights, renamed, metrics, planned_units"
    )

    alpha: float = setting(0.05, "error rate of intervals and of false discoveries", unit="share 0..1", gt=0, lt=0.5)
    tuned_for_units: int = setting(
        10_000, "units at which sequences are narrowest; planned_units wins where it is set", unit="units", ge=10
    )
    first_look_units: int = setting(
        100, "no look is taken, and no comparison made, with fewer units in either group", unit="units", ge=2
    )

    ratio_blocks_below: float = setting(
        0.001, "an experiment whose sample-ratio p-value is smaller is invalid", unit="p-value", ge=0, le=1
    )
    ratio_warns_below: float = setting(0.01, "a smaller sample-ratio p-value is a warning", unit="p-value", ge=0, le=1)
    max_crossed_share: float = setting(
        0.01, "share of units in two variants above which an experiment is invalid", unit="share 0..1", ge=0, le=1
    )
