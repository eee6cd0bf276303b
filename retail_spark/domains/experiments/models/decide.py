"""From figures to a decision and its reason in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from retail_spark.domains.experiments.models.cells import Design, Measure, Rules
from retail_spark.domains.experiments.models.estimate import Effect
from retail_spark.stats.false_discovery import false_discovery_rates


@dataclass(frozen=True)
class Comparison:
    """A metric of a variant beside the control: the effect, or why there is none."""

    metric: str
    variant: str
    measure: Measure
    effect: Effect | None
    status: str = "ok"
    error: str | None = None
    adjusted_p_value: float | None = None
    decision: str = "invalid"
    reason: str = ""

    @property
    def is_better(self) -> bool:
        """The effect has the wanted sign."""
        return self.effect is not None and (self.effect.fixed.effect < 0) == self.measure.lower_is_better


def decided(comparisons: Sequence[Comparison], *, design: Design, rules: Rules, warning: str) -> list[Comparison]:
    """Every comparison of one experiment with its adjusted p-value, decision and reason; same order.

    An experiment that has ended is judged by its fixed interval with false discoveries controlled over all comparisons
    but guardrails; one that goes on is judged by the sequence alone. `warning` is added to every reason.
    """
    found = _with_adjusted(comparisons, design=design)
    harmed = {c.variant: c.metric for c in found if c.measure.is_guardrail and _is_sure(c, design, rules) is False}
    return [_decided(c, design=design, rules=rules, harmed=harmed.get(c.variant), warning=warning) for c in found]


def has_ended(effect: Effect, design: Design) -> bool:
    """True where no end was planned, or the planned number of units is there."""
    return effect.units >= design.planned_units


def _with_adjusted(comparisons: Sequence[Comparison], *, design: Design) -> list[Comparison]:
    tested = [c for c in comparisons if c.effect is not None and not c.measure.is_guardrail]
    raw = [_p_value(c.effect, design) for c in tested if c.effect is not None]
    by_id = dict(zip(map(id, tested), false_discovery_rates(np.asarray(raw, np.float64)).tolist(), strict=True))
    return [replace(c, adjusted_p_value=by_id.get(id(c), _own(c, design))) for c in comparisons]


def _own(comparison: Comparison, design: Design) -> float | None:
    return None if comparison.effect is None else _p_value(comparison.effect, design)


def _p_value(effect: Effect, design: Design) -> float:
    return effect.fixed.p_value if has_ended(effect, design) else effect.sequential_p_value


def _is_sure(comparison: Comparison, design: Design, rules: Rules) -> bool | None:
    """True for a sure gain, False for a sure loss, None where neither is sure."""
    p_value = comparison.adjusted_p_value
    return comparison.is_better if p_value is not None and p_value <= rules.alpha else None


def _decided(c: Comparison, *, design: Design, rules: Rules, harmed: str | None, warning: str) -> Comparison:
    if c.effect is None or c.status != "ok":
        return replace(c, decision="invalid", reason=c.error or c.status)
    sure, ended = _is_sure(c, design, rules), has_ended(c.effect, design)
    figures = _in_words(c, c.effect, rules, ended=ended)
    if sure is False:
        decision, why = "stop", "a guardrail is harmed" if c.measure.is_guardrail else "it is worse"
    elif c.measure.is_guardrail:
        decision, why = "go on", "the guardrail is not shown to be harmed"
    elif harmed is not None:
        decision, why = "stop", f"the guardrail {harmed} is harmed"
    elif sure:
        decision, why = "ship", "it is better"
    elif ended:
        decision, why = "stop", "no effect is shown, and the experiment has ended"
    else:
        decision, why = "go on", f"nothing is sure yet; {c.effect.units:,} of {design.planned_units:,} planned units"
    return replace(c, decision=decision, reason=f"{why}: {figures}{warning}")


def _in_words(c: Comparison, effect: Effect, rules: Rules, *, ended: bool) -> str:
    fixed = effect.fixed
    low, high = (fixed.low, fixed.high) if ended else (effect.sequence_low, effect.sequence_high)
    kind = "interval" if ended else "sequence"
    return (
        f"{c.metric} went from {fixed.control:.6g} to {fixed.treatment:.6g}, by {fixed.effect:+.4g} "
        f"({1 - rules.alpha:.0%} {kind} {low:+.4g} to {high:+.4g}, adjusted p {c.adjusted_p_value:.4f})"
    )
