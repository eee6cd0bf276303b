"""The charts in numpy: what they may tell by chance, how soon they tell a change, and that they begin anew."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_spark.stats.change_detection import SHARES, Alarm, History, Rule, detect, fewest_days, log_sums

RULE = Rule(odds_ratio=3.0, years=10.0, min_known=20, prior_weight=20.0)
BOTH = SHARES["supplier", "late"]


def history(p: np.ndarray, *, a_week: float, rng: np.random.Generator, base: float = 0.15) -> History:
    """Shipments by chance, so many a week, late with probability p of the day."""
    shipments = rng.poisson(a_week / 7, len(p))
    days = np.flatnonzero(shipments)
    ones = np.ones(len(days))
    counted = shipments[days].astype(float)
    yes = rng.binomial(shipments[days], p[days]).astype(float)
    return History(days, counted, yes, base * ones, ones)


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=30))
def test_a_sum_is_one_more_times_the_ratio(gains: list[float]) -> None:
    r, expected = 0.0, []
    for gain in gains:
        r = (1 + r) * np.exp(gain)
        expected.append(np.log(r))
    assert log_sums(np.array(gains)) == pytest.approx(expected, abs=1e-9)


def test_a_long_quiet_time_overflows_nothing() -> None:
    found = log_sums(np.full(100_000, -0.5))
    assert np.all(np.isfinite(found))
    assert found[-1] == pytest.approx(np.log(1 / (np.exp(0.5) - 1)))


@pytest.mark.parametrize("a_week", [2.0, 14.0])
def test_false_alarms_are_no_more_than_stated(a_week: float) -> None:
    """300 suppliers for four years whose rate is drawn from what is expected: both charts may spend two thirds."""
    rng = np.random.default_rng(7)
    found: list[Alarm] = []
    for _ in range(300):
        p = np.full(4 * 365, rng.beta(20 * 0.15, 20 * 0.85))
        found += detect(history(p, a_week=a_week, rng=rng), rule=RULE, shares=BOTH)
    a_decade = len(found) / 120
    assert 0.2 < a_decade <= sum(BOTH) + 0.15  # 0.15: two standard errors of 80 alarms
    assert any(alarm.is_up for alarm in found)
    assert any(not alarm.is_up for alarm in found)


@pytest.mark.parametrize(("a_week", "to"), [(14.0, 0.44), (4.0, 0.68), (2.5, 0.9)])
def test_a_change_that_tells_enough_is_seen_within_three_weeks(a_week: float, to: float) -> None:
    rng = np.random.default_rng(3)
    waits, starts = [], []
    for _ in range(60):
        p = np.r_[np.full(700, 0.15), np.full(300, to)]
        seen = [a for a in detect(history(p, a_week=a_week, rng=rng), rule=RULE, shares=BOTH) if a.seen_day >= 700]
        waits.append(seen[0].seen_day - 700)
        starts.append(abs(seen[0].changed_day - 700))
    assert np.median(waits) <= 21
    assert np.median(starts) <= 10
    assert np.mean(waits) <= 1.5 * max(
        fewest_days(0.15, to, shipments_a_day=a_week / 7, years=RULE.years, share=BOTH[0]), 7
    )


def test_after_an_alarm_the_new_rate_is_usual_and_the_way_back_is_a_change_too() -> None:
    p = np.r_[np.full(500, 0.1), np.full(500, 0.5), np.full(500, 0.1)]
    found = detect(history(p, a_week=20, rng=np.random.default_rng(1), base=0.1), rule=RULE, shares=BOTH)
    assert [alarm.is_up for alarm in found] == [True, False]
    assert [alarm.changed_day for alarm in found] == pytest.approx([500, 1000], abs=14)


def test_what_peers_suffer_as_well_is_no_change() -> None:
    p = np.r_[np.full(500, 0.1), np.full(300, 0.5)]
    rows = history(p, a_week=20, rng=np.random.default_rng(1), base=0.1)
    struck = History(rows.day, rows.shipments, rows.yes, rows.base, np.where(rows.day >= 500, 9.0, 1.0))
    assert [alarm for alarm in detect(rows, rule=RULE, shares=BOTH) if alarm.seen_day >= 500]
    assert [alarm for alarm in detect(struck, rule=RULE, shares=BOTH) if alarm.seen_day >= 500] == []


def test_no_shipments_and_few_shipments_tell_nothing() -> None:
    none = np.array([])
    assert detect(History(none.astype(int), none, none, none, none), rule=RULE, shares=BOTH) == []
    few = np.ones(15)
    assert detect(History(np.arange(15), few, few, 0.1 * few, few), rule=RULE, shares=BOTH) == []
