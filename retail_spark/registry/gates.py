"""The gate: a candidate must be clearly better than the baselines and not worse than the champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from retail_spark.registry.models import Champion

Scorer = Literal["candidate", "champion", "baseline"]


@dataclass(frozen=True)
class Difference:
    """Candidate minus rival on the same held-out window, with a 95 % interval. Sign: positive is better."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Gate:
    """What held-out time says about a candidate.

    `score` is the candidate's value of `metric`; `baselines` and `champion` are differences in the sense that
    positive means the candidate is better, whatever the direction of the metric.
    """

    metric: str
    score: float
    baselines: Mapping[str, Difference]
    champion: Difference | None = None
    champion_score: float | None = None
    limits: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    """Further conditions: name -> (value, lowest allowed, highest allowed)."""


@dataclass(frozen=True)
class Verdict:
    """The gate's decision: who scores this run, and why."""

    passed: bool
    scorer: Scorer
    model_version: str | None
    """Version that scores the run: the candidate's, the champion's, or none for a baseline."""
    reasons: tuple[str, ...]


def judge(gate: Gate, *, tolerance: float) -> tuple[str, ...]:
    """The reasons for refusal; empty when the candidate passes."""
    reasons = [
        f"{gate.metric} {gate.score:.4f} is not clearly better than {name}: "
        f"difference {rival.mean:+.4f}, 95 % interval {rival.low:+.4f} to {rival.high:+.4f}"
        for name, rival in gate.baselines.items()
        if not rival.low > 0
    ]
    if gate.champion is not None and gate.champion_score is not None:
        allowed = -tolerance * abs(gate.champion_score)
        if not gate.champion.mean >= allowed:
            reasons.append(
                f"{gate.metric} {gate.score:.4f} is worse than the champion's {gate.champion_score:.4f} "
                f"by more than {tolerance:.1%}"
            )
    for name, (value, low, high) in gate.limits.items():
        if not low <= value <= high:
            reasons.append(f"{name} {value:.4f} is outside {low:g} to {high:g}")
    return tuple(reasons)


def decide(gate: Gate, *, tolerance: float, candidate_version: str, champion: Champion | None) -> Verdict:
    """Who scores this run: the candidate when it passes, else the champion, else (none yet) the baseline.

    `tolerance` is the share of the champion's score by which the candidate may be worse.
    """
    reasons = judge(gate, tolerance=tolerance)
    if not reasons:
        return Verdict(True, "candidate", candidate_version, ())
    if champion is not None:
        return Verdict(False, "champion", champion.version, reasons)
    return Verdict(False, "baseline", None, reasons)
