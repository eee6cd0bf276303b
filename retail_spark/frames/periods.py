"""Days and weeks of the shop: one rule for how a moment becomes a day, and a day a week."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pyspark.sql import Column
from pyspark.sql import functions as F

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONDAY = date(1970, 1, 5)


def day_of(moment: Column, *, time_zone: str) -> Column:
    """The shop's date of a moment, which is stored in UTC. `time_zone` is an IANA name, such as Europe/Berlin."""
    return F.to_date(F.from_utc_timestamp(moment, time_zone))


def week_of(day: Column, *, starts_on: Weekday) -> Column:
    """The first day of the week that holds a date. A week is seven days, whatever the year."""
    since = F.datediff(day, F.lit(_MONDAY)) - F.lit(WEEKDAYS.index(starts_on))
    return F.date_sub(day, F.pmod(since, F.lit(7)).cast("int"))


def last_whole_day(as_of: date, *, time_zone: str) -> date:
    """The shop's last day that was over when the UTC day `as_of` ended: a later one is only known in part.

    >>> last_whole_day(date(2024, 7, 4), time_zone="America/New_York")
    datetime.date(2024, 7, 3)
    """
    midnight = datetime.combine(as_of + timedelta(days=1), time(), UTC)
    return midnight.astimezone(ZoneInfo(time_zone)).date() - timedelta(days=1)
