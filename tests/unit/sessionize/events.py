"""Events as literals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.tables.silver import EVENTS

DAY = datetime(2024, 3, 5, tzinfo=UTC)
_FILLED = {"event_type": "page_view", "source": "test", "row_hash": ""}


def at(text: str) -> datetime:
    """A moment of the day, HH:MM:SS or HH:MM:SS.ffffff; `+1 HH:MM:SS` is a day later."""
    days, _, clock = text.rpartition(" ")
    hours, minutes, seconds = clock.split(":")
    return DAY + timedelta(days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=float(seconds))


def event(visitor: str, when: str | datetime, number: int = 0, **more: Any) -> dict[str, Any]:
    """One event; its id is the visitor and the moment unless given."""
    moment = at(when) if isinstance(when, str) else when
    made = {"event_id": f"{visitor}-{moment:%d%H%M%S%f}-{number}", "occurred_at": moment, "visitor_id": visitor}
    return _FILLED | made | more


def frame(spark: SparkSession, events: Iterable[Mapping[str, Any]]) -> DataFrame:
    """Events as a frame of silver.events."""
    rows = [tuple(one.get(name) for name in EVENTS.names) for one in events]
    return frame_of_rows(spark, rows, EVENTS.schema)
