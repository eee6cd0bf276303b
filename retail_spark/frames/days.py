"""Days and weekdays of the shop in Python, for code that runs without Spark as well."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def last_whole_day(as_of: date, *, time_zone: str) -> date:
    """The shop's last day that was over when the UTC day `as_of` ended: a later one is only known in part.

    >>> last_whole_day(date(2024, 7, 4), time_zone="America/New_York")
    datetime.date(2024, 7, 3)
    """
    midnight = datetime.combine(as_of + timedelta(days=1), time(), UTC)
    return midnight.astimezone(ZoneInfo(time_zone)).date() - timedelta(days=1)
