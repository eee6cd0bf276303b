"""The law: however events arrive, the sessions are those of one full rebuild."""

from __future__ import annotations

import os
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest

from retail_spark.domains.sessionize.settings import JobSettings
from retail_spark.lake.lake import Lake
from retail_spark.tables.sessionize import (
    SESSION_DEAD_LETTERS,
    SESSION_EVENTS,
    SESSION_REDIRECTS,
    SESSIONS,
    VISITOR_IDENTITIES,
)
from tests.integration.sessionize.conftest import Clicks
from tests.unit.sessionize.events import DAY, at, event

# around the gap of 30 minutes, the cap of an hour and midnight
PAUSES = [0, 1, 600_000_000, 1_800_000_000 - 1, 1_800_000_000, 1_800_000_001, 3_600_000_000, 40_000_000_000]
MANY = JobSettings(max_session_hours=1.0, split_on_campaign=True, split_at_midnight=True, max_lateness_hours=1.0)
BY_CLIENT = JobSettings(rule="client_session_id")


VISITORS = tuple(f"v{number:02}" for number in range(16))


def arrivals(seed: int) -> list[list[dict[str, Any]]]:
    """Events of sixteen visitors, each a case of its own, in two or three batches, in any order, some told twice."""
    chance = Random(seed)
    events = []
    for visitor in VISITORS:
        moment = DAY + timedelta(hours=22)
        for number in range(chance.randrange(8)):
            moment += timedelta(microseconds=chance.choice(PAUSES))
            more = {
                "event_type": chance.choice(["page_view", "product_view", "add_to_cart", "purchase"]),
                "utm_campaign": chance.choice([None, None, "spring", "sale"]),
                "customer_id": chance.choice([None, None, "c1", "c2", "c3"]),
                "client_session_id": chance.choice([None, "x", "y"]),
                "revenue": chance.choice([None, 0.1, 0.2]),
                "received_at": moment + timedelta(hours=chance.choice([0, 0, 0, 5])),
            }
            events.append(event(visitor, moment, number, **more))
    chance.shuffle(events)
    batches: list[list[dict[str, Any]]] = [[] for _ in range(chance.choice([2, 3]))]
    for one in events:
        for batch in {chance.randrange(len(batches)) for _ in range(2)}:
            batches[batch].append(one)
    return batches


RULES = {"gap": JobSettings(), "splits": MANY, "client": BY_CLIENT}
SEEDS = [int(seed) for seed in os.environ.get("RETAIL_SPARK_TEST_SEEDS", "1").split(",")]
"""One world for each rule in CI; more of them by the environment."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rule", RULES)
def test_any_batches_in_any_order_end_as_one_rebuild(lake: Lake, rule: str, seed: int) -> None:
    clicks = Clicks(lake, RULES[rule])
    given_ids = set()
    for batch in arrivals(seed + 100 * list(RULES).index(rule)):
        clicks.come(batch)
        clicks.run()
        given_ids |= {row.session_id for row in clicks.table(SESSIONS).select("session_id").collect()}
    rebuilt = clicks.rebuilt()
    assert clicks.stored(list(rebuilt)) == rebuilt
    assert_every_id_ever_given_leads_to_a_session(clicks, given_ids)


def assert_every_id_ever_given_leads_to_a_session(clicks: Clicks, given_ids: set[str]) -> None:
    now = {row.session_id for row in clicks.table(SESSIONS).select("session_id").collect()}
    led = {row.old_session_id: row.session_id for row in clicks.table(SESSION_REDIRECTS).collect()}
    assert not set(led) & now
    assert {led.get(old, old) for old in given_ids} <= now


@pytest.mark.slow
def test_a_late_event_joins_two_sessions_and_the_old_ids_lead_to_the_new(clicks: Clicks) -> None:
    clicks.come([event("ann", "10:00:00"), event("ann", "10:50:00"), event("bob", "10:00:00")])
    clicks.run()
    before = {
        r.started_at.strftime("%H:%M"): r.session_id
        for r in clicks.table(SESSIONS).where("visitor_id = 'ann'").collect()
    }
    clicks.come([event("ann", "10:25:00")])
    outcome = clicks.run()
    assert outcome.metrics["events_changed"] == 1
    assert outcome.metrics["events_late"] == 1
    (ann,) = clicks.table(SESSIONS).where("visitor_id = 'ann'").collect()
    assert (ann.session_id, ann.events) == (before["10:00"], 3)
    redirects = [tuple(r)[:2] for r in clicks.table(SESSION_REDIRECTS).collect()]
    assert redirects == [(before["10:50"], ann.session_id)]
    clicks.come([event("ann", "09:45:00")])
    clicks.run()
    (ann,) = clicks.table(SESSIONS).where("visitor_id = 'ann'").collect()
    led = {r.old_session_id: r.session_id for r in clicks.table(SESSION_REDIRECTS).collect()}
    assert led == {before["10:50"]: ann.session_id, before["10:00"]: ann.session_id}
    assert {r.run_id for r in clicks.table(SESSIONS).where("visitor_id = 'bob'").collect()} == {"run1"}


@pytest.mark.slow
def test_events_that_are_taken_away_or_corrected_leave_no_trace(clicks: Clicks) -> None:
    whole = [event("ann", f"10:{m:02d}:00", customer_id="c1") for m in (0, 20, 40)] + [event("bob", "10:00:00")]
    clicks.come(whole)
    clicks.run()
    clicks.come([event("bob", "10:00:00", event_type="purchase", revenue=5.0)], gone=[whole[1]["event_id"]])
    clicks.run()
    rebuilt = clicks.rebuilt()
    assert clicks.stored(list(rebuilt)) == rebuilt
    assert clicks.table(SESSIONS).where("visitor_id = 'ann'").count() == 2
    clicks.come([], gone=[one["event_id"] for one in whole])
    clicks.run()
    for contract in (SESSIONS, SESSION_EVENTS, VISITOR_IDENTITIES, SESSION_REDIRECTS):
        assert clicks.table(contract).count() == 0, contract.name


@pytest.mark.slow
def test_a_run_as_of_a_past_date_sees_no_later_event_and_the_next_one_adds_them(clicks: Clicks) -> None:
    clicks.come([event("ann", "23:50:00"), event("ann", "+1 00:10:00"), event("bob", "+1 12:00:00")])
    clicks.run(as_of=date(2024, 3, 5))
    assert [tuple(r) for r in clicks.table(SESSIONS).select("visitor_id", "events").collect()] == [("ann", 1)]
    clicks.run(as_of=date(2024, 3, 6))
    rebuilt = clicks.rebuilt(as_of=date(2024, 3, 6))
    assert clicks.stored(list(rebuilt)) == rebuilt
    assert sorted(tuple(r) for r in clicks.table(SESSIONS).select("visitor_id", "events").collect()) == [
        ("ann", 2),
        ("bob", 1),
    ]


@pytest.mark.slow
def test_events_past_the_allowed_lateness_are_dead_letters(lake: Lake) -> None:
    clicks = Clicks(lake, JobSettings(max_lateness_hours=1.0))
    late = event("ann", "10:20:00", received_at=at("12:00:00"))
    clicks.come([event("ann", "10:00:00"), late])
    clicks.run()
    (letter,) = clicks.table(SESSION_DEAD_LETTERS).collect()
    assert (letter.event_id, letter.reason) == (late["event_id"], "late")
    assert clicks.table(SESSION_EVENTS).count() == 1
    clicks.come([late | {"received_at": at("10:30:00")}])
    clicks.run()
    assert clicks.table(SESSION_DEAD_LETTERS).count() == 0
    assert clicks.table(SESSION_EVENTS).count() == 2
