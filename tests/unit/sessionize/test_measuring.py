from __future__ import annotations

from typing import Any

from pyspark.sql import Row, SparkSession

from retail_spark.domains.sessionize.cut import Rule, with_sessions
from retail_spark.domains.sessionize.job import to_measured
from retail_spark.domains.sessionize.settings import JobSettings
from tests.unit.sessionize.events import event, frame

GAP = Rule(gap_micros=30 * 60 * 1_000_000)


def measured(spark: SparkSession, *events: dict[str, Any]) -> dict[str, Row]:
    cut = with_sessions(frame(spark, events), rule=GAP)
    return {row.visitor_id: row for row in to_measured(cut, settings=JobSettings()).collect()}


def test_an_address_that_no_parser_takes_is_still_of_its_host(spark: SparkSession) -> None:
    """A visit that goes on in the shop itself is no referral, and a search is a search, whatever was asked for."""
    own, odd = "https://www.shop.example/list?f=a|b&price=[1 TO 5]", "https://shop.example/list?q=50% off {x}"
    found = measured(
        spark,
        event("own", "10:00:00", page_url=own, referrer=odd),
        event("search", "10:00:00", page_url=own, referrer="https://www.google.com/search?q=50% off tea|cup"),
        event("other", "10:00:00", page_url=own, referrer="https://blog.example/?p={1}"),
    )
    assert {name: (row.channel, row.referrer is not None) for name, row in found.items()} == {
        "own": ("Direct", False),
        "search": ("Organic Search", True),
        "other": ("Referral", True),
    }


def test_a_session_tells_the_trackers_own(spark: SparkSession) -> None:
    found = measured(
        spark,
        event("ann", "10:00:00"),
        event("ann", "10:01:00", client_session_id="t1"),
        event("ann", "10:02:00", client_session_id="t2"),
        event("bob", "10:00:00"),
    )
    assert {name: row.client_session_id for name, row in found.items()} == {"ann": "t1", "bob": None}
