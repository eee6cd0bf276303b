"""Two groups to an effect: plain, adjusted for the time before, by stratum or by cluster; fixed and sequential."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from retail_spark.domains.experiments.models.cells import Design, Group, Measure, Rules
from retail_spark.stats.clustered_groups import by_cluster
from retail_spark.stats.delta_method import adjusted, estimate
from retail_spark.stats.differences import (
    Difference,
    difference_of_means,
    difference_of_proportions,
    stratified,
)
from retail_spark.stats.sequences import half_width, sequential_p_value


@dataclass(frozen=True)
class Effect:
    """What a look shows."""

    fixed: Difference
    method: str
    sequence_low: float
    sequence_high: float
    sequential_p_value: float
    units: int


def method_of(design: Design, measure: Measure) -> str:
    """How a metric of the experiment is estimated."""
    if design.is_clustered:
        return "clustered"
    if measure.has_covariate:
        return "cuped"
    return "stratified" if design.is_stratified and measure.kind != "ratio" else "plain"


def effect_of(control: Group, treatment: Group, *, design: Design, measure: Measure, rules: Rules) -> Effect:
    """The effect as all units of both groups show it.

    Raises ValueError where nothing varies, ZeroDivisionError for a ratio whose denominator is 0.
    """
    method = method_of(design, measure)
    fixed = _difference(control, treatment, method=method, measure=measure, alpha=rules.alpha)
    units = control.sums.count + treatment.sums.count
    tuned_for = design.planned_units or rules.tuned_for_units
    half = half_width(fixed.standard_error, units=units, tuned_for=tuned_for, alpha=rules.alpha)
    p_value = sequential_p_value(
        fixed.effect, fixed.standard_error, units=units, tuned_for=tuned_for, alpha=rules.alpha
    )
    return Effect(fixed, method, fixed.effect - half, fixed.effect + half, p_value, units)


def looks(
    control: Group, treatment: Group, *, design: Design, measure: Measure, rules: Rules
) -> Iterator[tuple[date, Effect]]:
    """Day -> what a look at its end showed, for each day on which units entered, once there are enough of them."""
    running = Group(), Group()
    for day in days_of((control, treatment)):
        running = running[0].grown(control.on(day)), running[1].grown(treatment.on(day))
        if min(group.sums.count for group in running) < rules.first_look_units:
            continue
        try:
            yield day, effect_of(*running, design=design, measure=measure, rules=rules)
        except (ValueError, ZeroDivisionError):
            continue  # nothing varies yet


def days_of(groups: Iterable[Group]) -> list[date]:
    """The days on which any unit entered, in order."""
    return sorted({cell.entered_on for group in groups for cell in group.cells if cell.sums.count})


def _difference(control: Group, treatment: Group, *, method: str, measure: Measure, alpha: float) -> Difference:
    if method == "stratified":
        first, second = control.by_stratum, treatment.by_stratum
        both = sorted(name for name in set(first) & set(second) if min(first[name].count, second[name].count) > 1)
        pairs = [(estimate(first[name].moments), estimate(second[name].moments)) for name in both]
        return stratified(pairs, alpha=alpha)
    groups = control.sums.moments, treatment.sums.moments
    if any(not group.mean[1] > 0 for group in groups):
        raise ZeroDivisionError("the denominator is 0")
    if method == "clustered":
        return difference_of_means(*by_cluster(*groups), alpha=alpha)
    if method == "cuped":
        return difference_of_means(*adjusted(*groups), alpha=alpha)
    plain = [estimate(group) for group in groups]
    compare = difference_of_proportions if measure.kind == "proportion" else difference_of_means
    return compare(plain[0], plain[1], alpha=alpha)
