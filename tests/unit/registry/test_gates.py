"""Who scores a run: the gate's decision table."""

from __future__ import annotations

import pytest

from retail_spark.registry.gates import Difference, Gate, decide, judge
from retail_spark.registry.models import Champion

CLEARLY_BETTER = Difference(mean=0.05, low=0.01, high=0.09)
UNCERTAIN = Difference(mean=0.05, low=-0.01, high=0.11)
EXACTLY_AT_ZERO = Difference(mean=0.05, low=0.0, high=0.10)


def champion(version="3"):
    return Champion(version=version, as_of="2024-01-01", run_id="r", recipe={}, artifacts={})


def gate(baseline=CLEARLY_BETTER, against_champion=None, champion_score=0.5, limits=None):
    return Gate(
        metric="ndcg",
        score=0.5,
        baselines={"popular": baseline},
        champion=against_champion,
        champion_score=None if against_champion is None else champion_score,
        limits=limits or {},
    )


def decided(gate, *, champion=None, tolerance=0.01):
    return decide(gate, tolerance=tolerance, candidate_version="7", champion=champion)


@pytest.mark.parametrize(
    ("gate", "has_champion", "scorer", "version"),
    [
        (gate(), False, "candidate", "7"),
        (gate(UNCERTAIN), False, "baseline", None),
        (gate(EXACTLY_AT_ZERO), False, "baseline", None),
        (gate(UNCERTAIN), True, "champion", "3"),
        (gate(against_champion=Difference(0.01, -0.1, 0.1)), True, "candidate", "7"),
        (gate(against_champion=Difference(0.0, 0.0, 0.0)), True, "candidate", "7"),
        (gate(against_champion=Difference(-0.004, -0.1, 0.1)), True, "candidate", "7"),
        (gate(against_champion=Difference(-0.006, -0.1, 0.1)), True, "champion", "3"),
        (gate(UNCERTAIN, against_champion=Difference(0.2, 0.1, 0.3)), True, "champion", "3"),
        (gate(limits={"coverage": (0.79, 0.70, 0.90)}), False, "candidate", "7"),
        (gate(limits={"coverage": (0.95, 0.70, 0.90)}), False, "baseline", None),
        (gate(limits={"coverage": (float("nan"), 0.70, 0.90)}), True, "champion", "3"),
    ],
)
def test_decision_table(gate, has_champion, scorer, version):
    verdict = decided(gate, champion=champion() if has_champion else None)
    assert (verdict.scorer, verdict.model_version) == (scorer, version)
    assert verdict.passed is (scorer == "candidate")
    assert bool(verdict.reasons) is not verdict.passed


def test_tolerance_is_a_share_of_the_champions_score_whatever_its_sign():
    slightly_worse = gate(against_champion=Difference(-0.4, -1, 0), champion_score=-50.0)
    assert decided(slightly_worse, champion=champion()).passed
    assert not decided(slightly_worse, champion=champion(), tolerance=0.001).passed


def test_a_difference_that_could_not_be_measured_refuses():
    nothing = Difference(float("nan"), float("nan"), float("nan"))
    assert not decided(gate(nothing)).passed
    assert not decided(gate(against_champion=nothing), champion=champion()).passed


def test_every_reason_is_told_with_its_figures():
    reasons = judge(
        gate(UNCERTAIN, against_champion=Difference(-0.1, -0.2, 0.0), limits={"coverage": (0.5, 0.7, 0.9)}),
        tolerance=0.01,
    )
    assert len(reasons) == 3
    assert "popular" in reasons[0]
    assert "-0.0100 to +0.1100" in reasons[0]
    assert "by more than 1.0%" in reasons[1]
    assert reasons[2] == "coverage 0.5000 is outside 0.7 to 0.9"
