from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_spark.domains.sessionize.cut import Rule, dead_letter_reason, with_sessions
from tests.unit.sessionize.events import at, event, frame

GAP = Rule(gap_micros=30 * 60 * 1_000_000)
HOUR = 3600 * 1_000_000


def numbered(spark: SparkSession, events: Sequence[dict[str, Any]], rule: Rule) -> list[int]:
    """The session of each event, in order of time, numbered by first appearance."""
    rows = with_sessions(frame(spark, events), rule=rule).orderBy("occurred_at", "event_id").collect()
    ids: dict[str, int] = {}
    return [ids.setdefault(row["session_id"], len(ids) + 1) for row in rows]


def test_pause_equal_to_the_gap_keeps_the_session_and_a_microsecond_more_ends_it(spark: SparkSession) -> None:
    first = at("10:00:00")
    kept = [event("ann", first), event("ann", first + timedelta(minutes=30))]
    parted = [event("ann", first), event("ann", first + timedelta(minutes=30, microseconds=1))]
    assert numbered(spark, kept, GAP) == [1, 1]
    assert numbered(spark, parted, GAP) == [1, 2]


def test_visitors_are_cut_apart_and_events_of_one_moment_are_ordered_by_id(spark: SparkSession) -> None:
    events = [event("ann", "10:00:00", n) for n in (2, 1)] + [event("bob", "10:00:00")]
    rows = with_sessions(frame(spark, events), rule=GAP).collect()
    found = {(r.visitor_id, r.event_id[-1]): (r.session_id, r.event_number, r.pause_micros) for r in rows}
    assert found["ann", "1"][1:] == (1, None)
    assert found["ann", "2"][1:] == (2, 0)
    assert found["ann", "1"][0] == found["ann", "2"][0] != found["bob", "0"][0]


def test_a_session_ends_at_midnight_of_the_time_zone(spark: SparkSession) -> None:
    # midnight of Berlin in March is 23:00 UTC
    events = [event("ann", when) for when in ("22:50:00", "22:59:59", "23:00:00", "23:20:00")]
    assert numbered(spark, events, Rule(GAP.gap_micros, midnight_in="Europe/Berlin")) == [1, 1, 2, 2]
    assert numbered(spark, events, Rule(GAP.gap_micros, midnight_in="UTC")) == [1, 1, 1, 1]


def test_another_campaign_ends_a_session_and_none_does_not(spark: SparkSession) -> None:
    campaigns = [None, "spring", None, "spring", "sale", None, "spring"]
    events = [event("ann", f"10:0{i}:00", utm_campaign=c) for i, c in enumerate(campaigns)]
    assert numbered(spark, events, Rule(GAP.gap_micros, by_campaign=True)) == [1, 2, 2, 2, 3, 3, 4]
    later = [
        event("ann", "10:00:00", utm_campaign="spring"),
        event("ann", "12:00:00"),
        event("ann", "12:01:00", utm_campaign="spring"),
    ]
    assert numbered(spark, later, Rule(GAP.gap_micros, by_campaign=True)) == [1, 2, 3], "a new chain knows no campaign"


def test_the_cap_cuts_a_chain_from_its_start_whatever_else_parts_it(spark: SparkSession) -> None:
    times = [at("10:00:00") + timedelta(minutes=20 * i) for i in range(10)]
    rule = Rule(GAP.gap_micros, max_micros=HOUR)
    rows = with_sessions(frame(spark, [event("ann", t) for t in times]), rule=rule).orderBy("occurred_at").collect()
    assert [r.event_number for r in rows] == [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]
    assert len({r.chain_id for r in rows}) == 1
    assert len({r.session_id for r in rows}) == 4


def test_events_of_one_moment_are_never_parted(spark: SparkSession) -> None:
    events = [event("ann", "10:00:00", i, utm_campaign=c) for i, c in enumerate(("spring", "sale"))]
    assert numbered(spark, events, Rule(GAP.gap_micros, by_campaign=True)) == [1, 1]


def test_a_campaign_counts_whatever_event_shares_its_moment(spark: SparkSession) -> None:
    """The landing and an event without campaign in one second: their ids do not decide."""
    for at_once in ((None, "sale"), ("sale", None)):
        rows = [("10:00:00", "spring"), *[("10:10:00", campaign) for campaign in at_once], ("10:11:00", "sale")]
        events = [event("ann", when, n, utm_campaign=campaign) for n, (when, campaign) in enumerate(rows)]
        assert numbered(spark, events, Rule(GAP.gap_micros, by_campaign=True)) == [1, 2, 2, 2], at_once


def test_the_trackers_own_sessions_take_the_place_of_the_gap_and_are_split_like_others(spark: SparkSession) -> None:
    rows = [
        ("10:00:00", "a", "spring"),
        ("10:01:00", "b", None),
        ("13:00:00", "a", "sale"),
        ("23:30:00", "a", None),
        ("14:00:00", None, None),
        ("14:30:00", None, None),
        ("15:30:00", None, None),
    ]
    events = [event("ann", when, client_session_id=own, utm_campaign=campaign) for when, own, campaign in rows]
    # by time: a b a, three without one, and a again
    for rule, expected in (
        (Rule(GAP.gap_micros, by_client=True), [1, 2, 1, 3, 3, 4, 1]),
        (Rule(GAP.gap_micros, by_client=True, max_micros=12 * HOUR), [1, 2, 1, 3, 3, 4, 5]),
        (Rule(GAP.gap_micros, by_client=True, by_campaign=True), [1, 2, 3, 4, 4, 5, 3]),
        (Rule(GAP.gap_micros, by_client=True, midnight_in="Europe/Berlin"), [1, 2, 1, 3, 3, 4, 5]),
    ):
        assert numbered(spark, events, rule) == expected, rule
    whole, split = (
        with_sessions(frame(spark, events), rule=Rule(GAP.gap_micros, by_client=True, max_micros=most))
        .where("client_session_id = 'a'").orderBy("occurred_at").collect()
        for most in (None, 12 * HOUR)
    )  # fmt: skip
    assert whole[0].session_id == split[0].session_id, "the first part keeps the tracker's name"
    assert len({r.chain_id for r in split}) == 1


def test_a_session_id_depends_on_visitor_and_start_alone(spark: SparkSession) -> None:
    one = with_sessions(frame(spark, [event("ann", "10:00:00")]), rule=GAP).collect()[0]
    more = with_sessions(frame(spark, [event("ann", "10:10:00"), event("ann", "10:00:00")]), rule=GAP).collect()
    assert {r.session_id for r in more} == {one.session_id}
    assert len(one.session_id) == 32


def test_late_and_early_events_are_told_by_their_own_two_times(spark: SparkSession) -> None:
    received = [("10:00:00", "10:30:00"), ("10:00:00", "11:00:01"), ("10:00:00", "09:49:59"), ("10:00:00", None)]
    events = [event("ann", a, i, received_at=at(b) if b else None) for i, (a, b) in enumerate(received)]
    reason = dead_letter_reason(max_late_micros=HOUR, max_ahead_micros=600 * 1_000_000)
    rows = frame(spark, events).withColumn("reason", reason).orderBy("event_id").collect()
    assert [r.reason for r in rows] == [None, "late", "ahead", None]
    unlimited = dead_letter_reason(max_late_micros=None, max_ahead_micros=600 * 1_000_000)
    assert frame(spark, events).where(F.coalesce(unlimited, F.lit("")) == "late").count() == 0
