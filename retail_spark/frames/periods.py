"""Days and weeks of the shop in Spark: one rule for how a moment becomes a day, and a day a week."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column
from pyspark.sql import functions as F

from retail_spark.frames.days import WEEKDAYS, Weekday

_MONDAY = date(1970, 1, 5)


def day_of(moment: Column | str, *, time_zone: str) -> Column:
    """The shop's date of a moment, a column or its name, stored in UTC; `time_zone` is an IANA name."""
    return F.to_date(F.from_utc_timestamp(moment, time_zone))


def week_of(day: Column, *, starts_on: Weekday) -> Column:
    """The first day of the week that holds a date. A week is seven days, whatever the year."""
    since = F.datediff(day, F.lit(_MONDAY)) - F.lit(WEEKDAYS.index(starts_on))
    return F.date_sub(day, F.pmod(since, F.lit(7)).cast("int"))
