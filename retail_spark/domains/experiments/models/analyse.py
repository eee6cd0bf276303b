"""One experiment from its sums to its comparisons and looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from retail_spark.domains.experiments.models.cells import Cell, Design, Group, Measure, Rules
from retail_spark.domains.experiments.models.decide import Comparison, decided
from retail_spark.domains.experiments.models.estimate import Effect, effect_of, looks, method_of
from retail_spark.stats.power import smallest_effect
from retail_spark.stats.sample_ratio import sample_ratio_p_value

NONE = "*"
"""The variant of the row that says that there is no other than the control."""


@dataclass(frozen=True)
class Analysis:
    """Rows of gold.experiment_results and gold.experiment_looks, without run and as_of."""

    results: list[dict[str, object]]
    looks: list[dict[str, object]]


def analyse(design: Design, cells: Iterable[Cell], *, measures: Mapping[str, Measure], rules: Rules) -> Analysis:
    """All metrics of one experiment; `measures` are those that are looked at."""
    groups = _groups(cells)
    ratio = _ratio_p_value(design)
    fault = _fault(design, ratio, rules)
    comparisons: list[Comparison] = []
    seen: list[dict[str, object]] = []
    for metric in sorted(measures):
        for variant in design.others or (NONE,):
            pair = groups.get((metric, design.control), Group()), groups.get((metric, variant), Group())
            comparisons.append(_compared(metric, variant, pair, design, measures[metric], rules, fault))
            if comparisons[-1].effect is not None:
                found = looks(*pair, design=design, measure=measures[metric], rules=rules)
                seen += [_look_row(design, metric, variant, day, effect) for day, effect in found]
    warning = "" if ratio is None or ratio >= rules.ratio_warns_below else (
        f"; warning: group sizes differ from the plan (sample-ratio p {ratio:.4f})"
    )  # fmt: skip
    rows = [
        _result_row(c, design, groups, ratio=ratio, rules=rules)
        for c in decided(comparisons, design=design, rules=rules, warning=warning)
    ]
    return Analysis(rows, seen)


def _groups(cells: Iterable[Cell]) -> dict[tuple[str, str], Group]:
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.metric, cell.variant), []).append(cell)
    return {key: Group(tuple(own)) for key, own in found.items()}


def _ratio_p_value(design: Design) -> float | None:
    """None where sizes say nothing: of one variant, and of clusters, which are not of one size."""
    if not design.others or design.is_clustered:
        return None
    names = sorted(design.units)
    return sample_ratio_p_value([design.units[n] for n in names], [design.weights.get(n, 0.0) for n in names])


def _fault(design: Design, ratio: float | None, rules: Rules) -> tuple[str, str] | None:
    """What makes the whole experiment invalid: status and error."""
    total = sum(design.units.values()) + design.crossed
    if not design.others:
        return "one_variant", (
            f"all units are in {design.control}: there is nothing to compare; ingest the other variant's assignments"
        )
    if design.crossed > rules.max_crossed_share * total:
        return "two_variants", (
            f"{design.crossed:,} of {total:,} units are in two variants; a variant that was renamed is named in "
            f"experiments.experiments.{design.experiment_id}.renamed"
        )
    if design.split_clusters:
        return "split_clusters", f"{design.split_clusters:,} clusters lie in two variants; assign each as a whole"
    if ratio is not None and ratio < rules.ratio_blocks_below:
        sizes = ", ".join(f"{name} {units:,}" for name, units in sorted(design.units.items()))
        return "sample_ratio", (
            f"groups of {sizes} are not what was planned (sample-ratio p {ratio:.2g}): look for units that were lost, "
            "or name the planned shares in the plan's weights"
        )
    return None


def _compared(
    metric: str,
    variant: str,
    pair: tuple[Group, Group],
    design: Design,
    measure: Measure,
    rules: Rules,
    fault: tuple[str, str] | None,
) -> Comparison:
    status, error = fault or _own_fault(pair, rules) or ("ok", None)
    if status != "ok":
        return Comparison(metric, variant, measure, None, status, error)
    try:
        return Comparison(metric, variant, measure, effect_of(*pair, design=design, measure=measure, rules=rules))
    except ZeroDivisionError:
        error = "the denominator is 0 for every unit of a group"
        return Comparison(metric, variant, measure, None, "empty_metric", error)
    except ValueError:
        return Comparison(metric, variant, measure, None, "no_variation", "all units have the same value")


def _own_fault(pair: tuple[Group, Group], rules: Rules) -> tuple[str, str] | None:
    cells = [cell for group in pair for cell in group.cells]
    units = [group.sums.count for group in pair]
    if sum(cell.huge for cell in cells):
        return "huge_values", f"{sum(c.huge for c in cells):,} units have a value beyond 1e9; mend or leave them out"
    if sum(units) and sum(cell.without_outcome for cell in cells) == sum(units):
        return "empty_metric", "no unit has a row of the metric in its window; check the metric's name and window"
    if min(units) < rules.first_look_units:
        return "too_few_units", (
            f"{units[0]:,} units in the control and {units[1]:,} in the variant whose window is over; "
            f"{rules.first_look_units:,} are needed in each"
        )
    return None


def _look_row(design: Design, metric: str, variant: str, day: date, effect: Effect) -> dict[str, object]:
    which = {"experiment_id": design.experiment_id, "metric": metric, "variant": variant}
    return {**which, "look_on": day, "units": effect.units, **_intervals(effect)}


def _intervals(effect: Effect) -> dict[str, object]:
    return {
        "effect": effect.fixed.effect, "effect_low": effect.fixed.low, "effect_high": effect.fixed.high,
        "sequence_low": effect.sequence_low, "sequence_high": effect.sequence_high,
        "sequential_p_value": effect.sequential_p_value,
    }  # fmt: skip


def _result_row(
    c: Comparison, design: Design, groups: Mapping[tuple[str, str], Group], *, ratio: float | None, rules: Rules
) -> dict[str, object]:
    pair = groups.get((c.metric, design.control), Group()), groups.get((c.metric, c.variant), Group())
    cells = [cell for group in pair for cell in group.cells]
    return {
        "experiment_id": design.experiment_id, "metric": c.metric, "variant": c.variant,
        "control": design.control if design.others else NONE, "kind": c.measure.kind,
        "is_guardrail": c.measure.is_guardrail, "method": method_of(design, c.measure),
        **({} if c.effect is None else _figures(c.effect, pair, rules)),
        "adjusted_p_value": c.adjusted_p_value,
        "control_units": pair[0].sums.count, "variant_units": pair[1].sums.count,
        "units_without_outcome": sum(cell.without_outcome for cell in cells),
        "units_with_early_outcome": sum(cell.with_early for cell in cells),
        "pending_units": sum(cell.pending for cell in cells),
        "units_in_two_variants": design.crossed, "sample_ratio_p_value": ratio,
        "decision": c.decision, "reason": c.reason, "status": c.status, "error": c.error,
    }  # fmt: skip


def _figures(effect: Effect, pair: tuple[Group, Group], rules: Rules) -> dict[str, object]:
    fixed = effect.fixed
    first, second = (group.sums.count for group in pair)
    variance = fixed.standard_error**2 / (1 / first + 1 / second)
    smallest = smallest_effect(first + second, variance=variance, ratio=second / first, alpha=rules.alpha)
    return {
        **_intervals(effect), "control_value": fixed.control, "variant_value": fixed.treatment, "lift": fixed.lift,
        "lift_low": fixed.lift_low, "lift_high": fixed.lift_high, "standard_error": fixed.standard_error,
        "p_value": fixed.p_value, "smallest_effect": smallest,
    }  # fmt: skip
