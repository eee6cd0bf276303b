"""The tables that the job `experiments` writes."""

from __future__ import annotations

from retail_spark.lake.contract import BOOLEAN, DATE, STRING, Column, snapshot
from retail_spark.tables.columns import count, number, one_of, share

DECISIONS = ("ship", "stop", "go on", "invalid")
STATUSES = (
    "ok",
    "one_variant",
    "sample_ratio",
    "two_variants",
    "split_clusters",
    "empty_metric",
    "too_few_units",
    "no_variation",
    "huge_values",
)
"""Why a comparison has no figures, or none to trust; see docs/domains/experiments.md."""
METHODS = ("plain", "cuped", "stratified", "clustered")


def _figure(name: str, comment: str) -> Column:
    return number(name, f"{comment}; NULL where it cannot be computed.")


def _text_of(name: str, values: tuple[str, ...], comment: str) -> Column:
    return Column(name, STRING, comment, check=one_of(name, values))


_WHICH = (
    Column("experiment_id", STRING, "Experiment."),
    Column("metric", STRING, "Metric, by its name in the settings or in silver.outcomes."),
    Column("variant", STRING, "Variant compared with the control; * where the experiment has no other."),
)
_EFFECT = (
    _figure("effect", "Variant minus control, in the metric's unit"),
    _figure("effect_low", "Lower end of the interval at a horizon fixed beforehand"),
    _figure("effect_high", "Upper end of that interval"),
)
_SEQUENCE = (
    _figure("sequence_low", "Lower end of the interval that holds at every look together"),
    _figure("sequence_high", "Upper end of that interval"),
    share("sequential_p_value", "p-value that holds at every look together", nullable=True),
)

EXPERIMENT_RESULTS = snapshot(
    "gold.experiment_results",
    grain="One row per experiment, metric and variant other than the control.",
    key=("experiment_id", "metric", "variant"),
    columns=(
        *_WHICH,
        Column("control", STRING, "Variant that it is compared with; * where there is none."),
        _text_of("kind", ("mean", "proportion", "ratio"), "What the metric is."),
        Column("is_guardrail", BOOLEAN, "True for a metric that must not get worse."),
        _text_of(
            "method",
            METHODS,
            "How it was estimated: plain, adjusted for the time before (cuped), by stratum, by cluster.",
        ),
        _figure("control_value", "The metric in the control, adjusted where the method adjusts"),
        _figure("variant_value", "The metric in the variant, adjusted where the method adjusts"),
        *_EFFECT,
        _figure("lift", "Effect as a share of the control's value"),
        _figure("lift_low", "Lower end of the lift's interval"),
        _figure("lift_high", "Upper end of the lift's interval"),
        _figure("standard_error", "Standard error of the effect"),
        share("p_value", "Two-sided p-value at a horizon fixed beforehand", nullable=True),
        share("adjusted_p_value", "The same, adjusted for the experiment's other comparisons", nullable=True),
        *_SEQUENCE,
        _figure("smallest_effect", "Effect that so many units find four times in five"),
        count("control_units", "Units of the control in the comparison (clusters, where assigned by cluster)."),
        count("variant_units", "Units of the variant in the comparison (clusters, where assigned by cluster)."),
        count("units_without_outcome", "Units of both whose metric has no row in its window; they count as 0."),
        count("units_with_early_outcome", "Units of both with a row before their assignment, which is not counted."),
        count("pending_units", "Units of both whose window is not over; they are left out."),
        count("units_in_two_variants", "Units of the experiment in more than one variant; they are left out."),
        share("sample_ratio_p_value", "How likely the sizes of all variants are by chance", nullable=True),
        _text_of("decision", DECISIONS, "What to do."),
        Column("reason", STRING, "Why, in words."),
        _text_of("status", STATUSES, "ok, or why the comparison is invalid."),
        Column("error", STRING, "What is wrong and how to mend it; NULL where status is ok.", nullable=True),
    ),
    sound_statuses=STATUSES[1:],
)

EXPERIMENT_LOOKS = snapshot(
    "gold.experiment_looks",
    grain="One row per experiment, metric, variant and day on which units entered: what a look at its end showed.",
    key=("experiment_id", "metric", "variant", "look_on"),
    columns=(
        *_WHICH,
        Column("look_on", DATE, "Day; only units whose window was over by its end are counted."),
        count("units", "Units of both groups by then (clusters, where assigned by cluster)."),
        *_EFFECT,
        *_SEQUENCE,
    ),
)
