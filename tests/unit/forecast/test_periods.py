"""Whole periods: years of 53 weeks, the hour that summer time takes, what is not over yet."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from retail_spark.domains.forecast.series.aggregate import to_sold
from retail_spark.domains.forecast.series.periods import Clock, easter
from retail_spark.tables.silver import SALES
from tests.unit.forecast.shop import frame_of, sale


def test_a_year_of_53_weeks_has_no_gap_and_no_week_twice() -> None:
    clock = Clock()
    mondays = [date(2020, 12, 21) + timedelta(days=7 * n) for n in range(4)]  # 2020 has a week 53
    numbers = [clock.period_of(day) for day in mondays]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    assert [clock.first_day(n) for n in numbers] == mondays


@given(st.dates(date(1980, 1, 1), date(2080, 1, 1)), st.sampled_from(["monday", "thursday", "sunday"]))
def test_a_day_lies_in_its_period(day: date, start: str) -> None:
    clock = Clock(week_starts_on=start)
    first = clock.first_day(clock.period_of(day))
    assert first <= day < first + timedelta(days=7)
    assert first.strftime("%A").lower() == start


@pytest.mark.parametrize(
    ("zone", "as_of", "last"),
    [
        ("UTC", date(2024, 6, 9), date(2024, 6, 3)),  # a Sunday ends its week
        ("UTC", date(2024, 6, 8), date(2024, 5, 27)),
        ("America/New_York", date(2024, 6, 9), date(2024, 5, 27)),  # Sunday still runs there
        ("Asia/Tokyo", date(2024, 6, 9), date(2024, 6, 3)),
    ],
)
def test_only_weeks_that_are_over_count(zone: str, as_of: date, last: date) -> None:
    clock = Clock(time_zone=zone)
    assert clock.first_day(clock.last_complete(as_of)) == last


def test_a_weekly_source_ends_with_its_last_row() -> None:
    clock = Clock(week_starts_on="saturday", row_days=7)
    assert clock.first_day(clock.last_complete(date(2012, 10, 20))) == date(2012, 10, 20)


def test_easter() -> None:
    assert [easter(y) for y in (1990, 2010, 2011, 2012, 2024)] == [
        date(1990, 4, 15), date(2010, 4, 4), date(2011, 4, 24), date(2012, 4, 8), date(2024, 3, 31),
    ]  # fmt: skip


def test_days_are_the_shops_own_and_rows_of_a_day_add_up(spark: SparkSession) -> None:
    """The night of 2024-03-31 has 23 hours in Berlin, that of 2024-10-27 has 25; returns take nothing off by rule."""
    rows = [
        sale(1, at=datetime(2024, 3, 30, 23, 30), quantity=2.0),  # 00:30 of the 31st
        sale(2, at=datetime(2024, 3, 31, 21, 30), quantity=3.0, unit_price=2.0),  # 23:30 of the 31st: +2 by then
        sale(3, at=datetime(2024, 3, 31, 22, 30), quantity=5.0),  # 00:30 of April
        sale(4, at=datetime(2024, 3, 31, 12, 0), quantity=-4.0),
        sale(5, at=datetime(2024, 10, 27, 22, 30), quantity=7.0),  # 23:30: winter again
    ]
    clock = Clock(frequency="day", time_zone="Europe/Berlin")
    sales = frame_of(spark, SALES, rows)

    def units(returns: str) -> dict[date, tuple[float, float]]:
        found = to_sold(sales, clock=clock, returns=returns, renamed={"milk": "milk 2"}).collect()
        assert {r.product_id for r in found} == {"milk 2"}
        return {clock.first_day(r.period): (r.quantity, r.price) for r in found}

    ignored = units("ignore")
    assert ignored == {
        date(2024, 3, 31): (5.0, pytest.approx(1.6)), date(2024, 4, 1): (5.0, 1.0), date(2024, 10, 27): (7.0, 1.0),
    }  # fmt: skip
    assert units("net")[date(2024, 3, 31)][0] == 1.0
