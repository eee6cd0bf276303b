"""The gate: a candidate must be clearly better than the baselines and not worse than the champion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

_ROUNDING = 1e-12


class Versioned(Protocol):
    """A model in force, as the gate sees it."""

    @property
    def version(self) -> str: ...


Kind = Literal["candidate", "champion", "baseline"]


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
    rival_limits: Mapping[str, Mapping[str, tuple[float, float, float]]] = field(default_factory=dict)
    """The same conditions for who may take the candidate's place: `champion` or a baseline -> as `limits`."""
    parts: Mapping[str, Gate] = field(default_factory=dict)
    """A gate for each thing that the model makes, where it makes several, such as two lists; these decide alone."""


@dataclass(frozen=True)
class ScoredBy:
    """Who scores: `candidate`, `champion`, or the name of a baseline; `model_version` is None for a baseline."""

    name: str
    model_version: str | None


@dataclass(frozen=True)
class Verdict:
    """The gate's decision: who scores this run, and why."""

    passed: bool
    scorer: Kind
    model_version: str | None
    """Version that scores the run: the candidate's, the champion's, or none for a baseline."""
    reasons: tuple[str, ...]
    parts: Mapping[str, ScoredBy] = field(default_factory=dict)
    """Who scores each of the gate's parts, where it has any."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was refused, why, and who scores instead: one sentence a reason."""
        if self.parts:
            return tuple(f"the gate refused {reason}" for reason in self.reasons)
        return tuple(f"the gate refused: {reason}; scored by the {self.scorer}" for reason in self.reasons)


def judge(gate: Gate, *, tolerance: float) -> tuple[str, ...]:
    """The reasons for refusal; empty when the candidate passes."""
    if math.isnan(gate.score):
        return (f"{gate.metric} could not be measured",)
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


def stand_in(gate: Gate, *, has_champion: bool) -> str:
    """Who scores where the candidate is refused: `champion` or a baseline, whichever held-out time says is best.

    All were measured against the candidate on the same window: the best is the one that it leads by least. Who is
    outside the limits steps back; when all of them are, the `candidate` scores after all (without becoming champion)
    unless one of them is better and it is outside as well. A refusal thus never hands over to a worse scorer. Ties go
    to the baseline, which needs no model (a champion may be one in part); an unmeasured champion scores.
    """
    leads = {name: rival.mean for name, rival in gate.baselines.items() if not math.isnan(rival.mean)}
    if has_champion:
        if gate.champion is None or math.isnan(gate.champion.mean):
            return "champion"
        leads["champion"] = gate.champion.mean
    if not leads:
        return next(iter(gate.baselines), "baseline")
    sound = {name: lead for name, lead in leads.items() if _is_inside(gate.rival_limits.get(name, {}))}
    if not sound and (_is_inside(gate.limits) or min(leads.values()) > 0):
        return "candidate"
    pool = sound or leads
    tied = sorted(name for name, lead in pool.items() if lead <= min(pool.values()) + _ROUNDING)
    return next((name for name in tied if name != "champion"), "champion")


def _is_inside(limits: Mapping[str, tuple[float, float, float]]) -> bool:
    return all(low <= value <= high for value, low, high in limits.values())


def scorer_of(gate: Gate, *, tolerance: float, has_champion: bool) -> str:
    """`candidate` when it passes this gate (whose parts are not looked at), else its stand-in."""
    return stand_in(gate, has_champion=has_champion) if judge(gate, tolerance=tolerance) else "candidate"


def decide(gate: Gate, *, tolerance: float, candidate_version: str, champion: Versioned | None) -> Verdict:
    """Who scores this run: the candidate when it passes, else the better of the champion and the best baseline.

    `tolerance` is the share of the champion's score by which the candidate may be worse. Of a gate with parts each
    part is decided by itself. The candidate passes when it scores one part at least and the champion is kept for none:
    a model that serves several lists must not make one of them worse than it was.
    """
    version = None if champion is None else champion.version
    versions = {"candidate": candidate_version, "champion": version}
    parts: dict[str, ScoredBy] = {}
    reasons: list[str] = []
    passed: list[bool] = []
    for part, own in (gate.parts or {"": gate}).items():
        refused = judge(own, tolerance=tolerance)
        name = scorer_of(own, tolerance=tolerance, has_champion=champion is not None)
        parts[part] = ScoredBy(name, versions.get(name))
        passed.append(not refused)
        reasons += [f"{part}: {reason}; scored by {name}" if part else reason for reason in refused]
    names = {own.name for own in parts.values()}
    kind: Kind = "champion" if "champion" in names else "candidate" if "candidate" in names else "baseline"
    is_passed = any(passed) and kind == "candidate"
    return Verdict(is_passed, kind, versions.get(kind), tuple(reasons), parts if gate.parts else {})
