"""The date that a run is as of when nobody names one."""

from __future__ import annotations

from datetime import date

import pytest
from pyspark.sql import SparkSession

from retail_spark.errors import InputError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.last_date import last_date


def last(spark: SparkSession, *days: str | None, before: str | None = None, max_gap_days: int = 60) -> date | None:
    rows = frame_of_rows(spark, [(f"n{n}", day) for n, day in enumerate(days)], "id string, day string")
    known = date.fromisoformat(before) if before else None
    return last_date(rows, dated_by="day", before=known, name="silver.t", key=("id",), max_gap_days=max_gap_days)


def test_the_latest_date_whatever_is_missing_or_doubled(spark: SparkSession) -> None:
    assert last(spark, "2024-03-01", None, "2024-01-05", "2024-03-01") == date(2024, 3, 1)
    assert last(spark, None) is None
    assert last(spark) is None
    assert last(spark, "2042-01-01") == date(2042, 1, 1), "a table of one date has no gap"


def test_a_few_dates_beyond_a_gap_are_refused_with_their_rows(spark: SparkSession) -> None:
    with pytest.raises(InputError, match=r"2042-01-02 \(id=n2\); 2042-01-03 \(id=n1\)") as told:
        last(spark, "2024-03-01", "2042-01-03", "2042-01-02", "2024-02-28")
    assert "run.max_gap_days=6516" in told.value.fix
    assert told.value.exit_code == 3


def test_a_gap_that_is_allowed_or_that_many_dates_follow_is_no_slip(spark: SparkSession) -> None:
    assert last(spark, "2024-01-01", "2024-06-01", max_gap_days=152) == date(2024, 6, 1)
    reopened = [f"2024-06-{day:02d}" for day in range(1, 6)]
    assert last(spark, "2024-01-01", *reopened) == date(2024, 6, 5)


def test_what_the_last_run_knew_of_counts_as_a_date(spark: SparkSession) -> None:
    assert last(spark, "2024-03-20", before="2024-03-01") == date(2024, 3, 20)
    with pytest.raises(InputError, match="2042-01-01"):
        last(spark, "2042-01-01", before="2024-03-01")
