"""Time as whole periods, numbered from 1970: days, weeks or months. A week is seven days whatever the year."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt

from retail_spark.frames.days import WEEKDAYS, Weekday, last_whole_day

Frequency = Literal["day", "week", "month"]
Ints = npt.NDArray[np.int64]
_EPOCH = date(1970, 1, 1)
_EPOCH_WEEKDAY = 3


@dataclass(frozen=True)
class Clock:
    """How days become periods. `row_days` is the days that one sales row covers (7 where the source is weekly)."""

    frequency: Frequency = "week"
    week_starts_on: Weekday = "monday"
    time_zone: str = "UTC"
    row_days: int = 1

    @property
    def days(self) -> int:
        """Days in a period; of months, which differ, those of a middling one."""
        return {"day": 1, "week": 7, "month": 30}[self.frequency]

    @property
    def year(self) -> int:
        """Whole periods after which the same time of the year comes again, on the same weekday."""
        return {"day": 364, "week": 52, "month": 12}[self.frequency]

    @property
    def offset(self) -> int:
        """The first day of period 0, in days since 1970."""
        return (WEEKDAYS.index(self.week_starts_on) - _EPOCH_WEEKDAY) % 7 if self.frequency == "week" else 0

    @property
    def season(self) -> float:
        """Periods in a year."""
        return 12.0 if self.frequency == "month" else 365.25 / self.days

    def period_of(self, day: date) -> int:
        """The period that holds the day."""
        if self.frequency == "month":
            return (day.year - _EPOCH.year) * 12 + day.month - 1
        return ((day - _EPOCH).days - self.offset) // self.days

    def first_day(self, period: int) -> date:
        """The first day of a period."""
        if self.frequency == "month":
            return date(_EPOCH.year + int(period) // 12, int(period) % 12 + 1, 1)
        return _EPOCH + timedelta(days=int(period) * self.days + self.offset)

    def day_of_year(self, periods: Ints) -> npt.NDArray[np.float64]:
        """The middle of each period as share of the year, 0 to 1."""
        middle = [self.first_day(int(p)) + timedelta(days=self.days // 2) for p in periods]
        return np.array([(d - date(d.year, 1, 1)).days / 365.25 for d in middle])

    def last_complete(self, as_of: date, *, closed: frozenset[int] = frozenset()) -> int:
        """The last period that lies whole before the end of as_of, which is an end of day in UTC.

        West of Greenwich the local day as_of is still running then, so it does not count. A week need not wait for
        its last days where these are `closed` (weekdays, Monday is 0).
        """
        last = last_whole_day(as_of, time_zone=self.time_zone)
        period = self.period_of(last)
        ends = self.first_day(period + 1) - timedelta(days=self.row_days)
        while ends.weekday() in closed and ends > self.first_day(period):
            ends -= timedelta(days=1)
        return period if ends <= last else period - 1


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (the anonymous algorithm in Meeus, Astronomical Algorithms)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)
