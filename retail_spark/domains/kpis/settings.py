"""Settings of the job `kpis`."""

from __future__ import annotations

from zoneinfo import available_timezones

from pydantic import field_validator

from retail_spark.config.section import Section, setting
from retail_spark.frames.periods import Weekday


class JobSettings(Section):
    """What a day and a week are, and how far back they are reported."""

    time_zone: str = setting("UTC", "time zone of the shop, in which days begin and end")
    week_starts_on: Weekday = setting("monday", "first day of a week")
    report_days: int = setting(735, "days up to as_of that a run reports; 0: all there are", unit="days", ge=0)

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("is not a time zone; write it as Europe/Berlin")
        return value
