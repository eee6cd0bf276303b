"""Settings of the job `kpis`."""

from __future__ import annotations

from retail_spark.config.section import Section, TimeZone, setting
from retail_spark.frames.days import Weekday


class JobSettings(Section):
    """What a day and a week are, and how far back they are reported."""

    time_zone: TimeZone = setting("UTC", "time zone of the shop, in which days begin and end")
    week_starts_on: Weekday = setting("monday", "first day of a week")
    report_days: int = setting(735, "days up to as_of that a run reports; 0: all there are", unit="days", ge=0)
