"""On which days a source has rows: whether a row is a week, and which days of the week the shop is closed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from retail_spark.domains.forecast.settings import JobSettings
from retail_spark.frames.days import WEEKDAYS

_FEWEST_WEEKS = 8


def closed_weekdays(days: Sequence[date]) -> frozenset[int]:
    """Weekdays (Monday is 0) without any sale in the last eight weeks; none where fewer are known."""
    if not days or (max(days) - min(days)).days < 7 * _FEWEST_WEEKS:
        return frozenset()
    start = max(days) - timedelta(days=7 * _FEWEST_WEEKS)
    return frozenset(range(7)) - {day.weekday() for day in days if day > start}


def weekly_rows_on(days: Sequence[date]) -> str | None:
    """The weekday on which all rows lie, so that they are seven days apart, or a multiple; None where they do not."""
    weekdays = {day.weekday() for day in days}
    return WEEKDAYS[weekdays.pop()] if len(weekdays) == 1 and len(set(days)) >= _FEWEST_WEEKS else None


def settled(settings: JobSettings, days: Sequence[date]) -> tuple[JobSettings, str | None]:
    """The settings for a source whose rows lie on these days, and what is to be told.

    Rows that are weeks are taken as such, unless the settings say something else of them.
    """
    weekday = weekly_rows_on(days)
    if weekday is None or settings.row_days > 1:
        return settings, None
    seen = f"all rows of silver.sales lie on a {weekday}, seven days apart"
    if settings.frequency != "week":
        return settings, f"{seen}: set forecast.frequency=week and forecast.row_days=7 if a row is a week"
    if settings.week_starts_on not in (JobSettings().week_starts_on, weekday):
        return settings, f"{seen}: set forecast.row_days=7 and forecast.week_starts_on={weekday} if a row is a week"
    taken = settings.model_copy(update={"row_days": 7, "week_starts_on": weekday})
    return taken, f"{seen}: a row is taken as a week (forecast.row_days=7, forecast.week_starts_on={weekday})"
