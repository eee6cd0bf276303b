"""Who scores a run: the gate's decision table."""

from __future__ import annotations

import pytest

from retail_spark.modelling.contest import Champion
from retail_spark.modelling.gate import Difference, Gate, ScoredBy, decide, judge, stand_in

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
        (gate(UNCERTAIN, against_champion=Difference(0.01, -0.1, 0.3)), True, "champion", "3"),
        (gate(UNCERTAIN, against_champion=Difference(0.2, 0.1, 0.3)), True, "baseline", None),
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


CLEARLY_WORSE = Difference(mean=-0.1, low=-0.2, high=-0.05)


def test_a_refusal_hands_over_to_the_best_of_baselines_and_champion():
    """The rival that the candidate leads by least, or trails by most, on the same window."""
    rivals = {"popular": Difference(0.3, 0.2, 0.4), "personal": CLEARLY_WORSE, "often": Difference(0.0, -0.1, 0.1)}
    one = Gate(metric="ndcg", score=0.2, baselines=rivals)
    assert stand_in(one, has_champion=False) == "personal"
    behind = Gate(metric="ndcg", score=0.2, baselines=rivals, champion=Difference(-0.05, -0.1, 0), champion_score=0.25)
    assert stand_in(behind, has_champion=True) == "personal", "the champion is .05 ahead, the baseline .1"
    ahead = Gate(metric="ndcg", score=0.2, baselines=rivals, champion=Difference(-0.3, -0.4, 0), champion_score=0.5)
    assert stand_in(ahead, has_champion=True) == "champion"
    equal = Gate(metric="ndcg", score=0.2, baselines=rivals, champion=CLEARLY_WORSE, champion_score=0.3)
    assert stand_in(equal, has_champion=True) == "personal", "a champion that is this baseline, in part"


WIDE, NARROW = {"bias": (7.5, -0.5, 0.5)}, {"bias": (0.1, -0.5, 0.5)}


@pytest.mark.parametrize(
    ("lead", "own", "rival_limits", "scorer"),
    [
        (CLEARLY_BETTER, {"bias": (0.67, -0.5, 0.5)}, {"popular": WIDE}, "candidate"),
        (CLEARLY_WORSE, {"bias": (0.67, -0.5, 0.5)}, {"popular": WIDE}, "popular"),
        (CLEARLY_WORSE, NARROW, {"popular": WIDE}, "candidate"),
        (CLEARLY_BETTER, {"bias": (0.67, -0.5, 0.5)}, {"popular": NARROW}, "popular"),
        (CLEARLY_BETTER, {"bias": (0.67, -0.5, 0.5)}, {}, "popular"),
    ],
)
def test_limits_hold_for_whoever_takes_the_place_as_well(lead, own, rival_limits, scorer):
    """A candidate refused for a bias of .67 does not make way for a worse one with a bias of 7.5."""
    one = Gate("error", 0.5, {"popular": lead}, limits=own, rival_limits=rival_limits)
    assert stand_in(one, has_champion=False) == scorer
    verdict = decided(one)
    expected = ("candidate", "7") if scorer == "candidate" else ("baseline", None)
    assert (verdict.passed, verdict.scorer, verdict.model_version) == (False, *expected)


def two_lists(everything, discover):
    return Gate(metric="ndcg", score=0.5, baselines={}, parts={"all": everything, "discover": discover})


@pytest.mark.parametrize(
    ("everything", "discover", "has_champion", "passed", "scored"),
    [
        (gate(), gate(), False, True, {"all": ("candidate", "7"), "discover": ("candidate", "7")}),
        (gate(CLEARLY_WORSE), gate(), False, True, {"all": ("popular", None), "discover": ("candidate", "7")}),
        (gate(), gate(UNCERTAIN), False, True, {"all": ("candidate", "7"), "discover": ("popular", None)}),
        (gate(UNCERTAIN), gate(UNCERTAIN), False, False, {"all": ("popular", None), "discover": ("popular", None)}),
        (
            gate(against_champion=CLEARLY_WORSE), gate(against_champion=Difference(0.1, 0.0, 0.2)), True, False,
            {"all": ("champion", "3"), "discover": ("candidate", "7")},
        ),
    ],
)  # fmt: skip
def test_each_list_is_judged_by_its_own_baselines(everything, discover, has_champion, passed, scored):
    verdict = decided(two_lists(everything, discover), champion=champion() if has_champion else None)
    assert verdict.passed is passed
    assert verdict.parts == {name: ScoredBy(*by) for name, by in scored.items()}
    refused = [name for name, by in scored.items() if by[0] != "candidate"]
    assert [note.removeprefix("the gate refused ").partition(":")[0] for note in verdict.notes] == refused
