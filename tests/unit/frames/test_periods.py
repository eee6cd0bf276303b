from __future__ import annotations

from datetime import date

import pytest

from retail_spark.frames.days import last_whole_day


@pytest.mark.parametrize(
    ("time_zone", "last"),
    [("UTC", 4), ("Europe/Berlin", 4), ("Pacific/Auckland", 4), ("America/New_York", 3), ("America/Los_Angeles", 3)],
)
def test_a_local_day_counts_when_it_is_over_at_the_end_of_as_of(time_zone: str, last: int) -> None:
    assert last_whole_day(date(2024, 7, 4), time_zone=time_zone) == date(2024, 7, last)
