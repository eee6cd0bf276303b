"""What is dead, what ends or begins while it is foretold, and which days a calendar closes."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_spark.domains.forecast.backtest import demand_classes
from retail_spark.domains.forecast.candidates import chosen_rows, prior_sums, priors_of, tried_rows
from retail_spark.domains.forecast.features.calendar import events_of, period_of, to_closed
from retail_spark.domains.forecast.outputs import forecast_rows
from retail_spark.domains.forecast.series.aggregate import to_packed, to_periods, to_sold
from retail_spark.domains.forecast.series.availability import open_shares
from retail_spark.domains.forecast.series.frame import Frame
from retail_spark.domains.forecast.series.periods import Clock
from retail_spark.domains.forecast.settings import JobSettings
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.tables.silver import CALENDAR, PRODUCTS, SALES, STORES
from tests.unit.forecast.shop import frame_of, packed_of, panel_of, recipe_of, sale

nan = float("nan")
WEEKLY, DAILY = Clock(), Clock("day")


def means(packed: pd.DataFrame, *, periods: int, **given: Any) -> list[float]:
    recipe = JobSettings(horizon=8, global_model=False, **given).recipe()
    frame = Frame(recipe, 100, periods)
    tried = tried_rows(packed, frame, [])
    chosen = chosen_rows(tried, frame, priors_of(prior_sums(tried, frame)))
    return [float(v) for v in forecast_rows(chosen, frame, {})["mean"]]


def test_what_sold_a_year_ago_in_the_weeks_ahead_is_not_dead() -> None:
    july = [9.0 if (week + 2) % 52 < 5 else 0.0 for week in range(3, 102)]
    assert sum(july[-26:]) == 0.0, "half a year without a sale"
    found = means(packed_of({"a/ices": july}, reach=8), periods=len(july))
    year_ago = july[len(july) - 52 :][:8]
    assert sum(year_ago) > 0
    assert sum(found) == pytest.approx(sum(year_ago), rel=0.35)


def test_what_is_planned_is_not_dead() -> None:
    recipe = recipe_of(dead_periods=6, history_periods=30)
    silent = packed_of({"a/x": [4.0] * 12 + [0.0] * 8})
    plans = silent.copy()
    for name in ("period", "quantity", "planned_promotion", "known"):
        plans.at[0, name] = [
            *silent.at[0, name],
            {"period": 101, "known": 90.0, "planned_promotion": 1.0}.get(name, nan),
        ]
    frame = Frame(recipe, 100, 20)
    for name in ("out", "price", "promotion", "display", "deal", "planned_price", "planned_display", "planned_deal"):
        plans.at[0, name] = [*silent.at[0, name], nan]
    assert list(demand_classes(frame.panel(silent), recipe=recipe)) == ["dead"]
    assert list(demand_classes(frame.panel(plans), recipe=recipe)) != ["dead"]


def test_a_product_sells_within_its_range_alone() -> None:
    packed = packed_of({"a/x": [7.0] * 30}, reach=8)
    last_day = (WEEKLY.first_day(103) - date(1970, 1, 1)).days  # the Monday of the third week ahead
    packed["introduced"], packed["discontinued"] = nan, float(last_day)
    assert means(packed, periods=30) == pytest.approx([7.0, 7.0, 1.0, *[0.0] * 5])
    coming = packed_of({"a/x": [7.0] * 30, "a/new": [nan] * 30}, reach=8)
    coming.loc[1, "first"] = 101
    coming["introduced"] = [nan, float((WEEKLY.first_day(104) - date(1970, 1, 1)).days)]
    coming["discontinued"] = nan
    found = means(coming[coming["product_id"] == "new"].reset_index(drop=True), periods=30)
    assert found[:3] == [0.0] * 3
    assert min(found[3:]) > 0


def test_a_series_on_sale_is_not_stopped_by_a_later_introduction() -> None:
    packed = packed_of({"a/x": [7.0] * 30}, reach=8)
    packed["introduced"], packed["discontinued"] = float((WEEKLY.first_day(104) - date(1970, 1, 1)).days), nan
    assert means(packed, periods=30) == pytest.approx([7.0] * 8)


def test_classes_of_a_year_without_a_sale() -> None:
    recipe = recipe_of(dead_periods=26, history_periods=156)
    found = demand_classes(panel_of({"a/x": [5.0] * 60 + [0.0] * 60}), recipe=recipe)
    assert list(found) == ["dead"]


MONDAY = date(2024, 1, 1)


def calendar(spark: SparkSession, *rows: tuple[int, str, str | None, bool, bool | None]) -> Any:
    """Day number, region, store, holiday, closed."""
    names = ("date", "region", "store_id", "is_holiday", "is_closed")
    full = [dict(zip(names, (MONDAY + timedelta(days=day), *rest), strict=True)) for day, *rest in rows]
    return frame_of(spark, CALENDAR, full)


def test_the_store_goes_before_its_region_and_that_before_all(spark: SparkSession) -> None:
    told = calendar(
        spark, (0, "*", None, True, True), (0, "north", None, False, False), (0, "store c", "c", False, True),
        (1, "north", None, True, None), (2, "store a", "a", True, True), (3, "*", None, False, False),
    )  # fmt: skip
    series = frame_of_rows(spark, [("a", "north"), ("b", "south"), ("c", "north")], "store_id STRING, region STRING")
    start = DAILY.period_of(MONDAY)
    found = to_closed(told, series=series, clock=DAILY, start=start, stop=start + 3).collect()
    assert {row["store_id"]: list(row["closed"]) for row in found} == {
        "a": [0.0, 0.0, 1.0, 0.0], "b": [1.0, 0.0, 0.0, 0.0], "c": [1.0, 0.0, 0.0, 0.0]
    }  # fmt: skip
    week = WEEKLY.period_of(MONDAY)
    weekly = to_closed(told, series=series, clock=WEEKLY, start=week, stop=week).collect()
    assert {row["store_id"]: list(row["closed"]) for row in weekly} == {s: [1 / 7] for s in "abc"}

    stores = frame_of(spark, STORES, [{"store_id": s, "region": r} for s, r in (("a", "north"), ("b", "south"))])
    everywhere, own = events_of(told, stores=stores, clock=DAILY)
    assert everywhere == (start,)
    assert own == {"a": (start, start + 1, start + 2)}


def test_a_store_that_its_calendar_closes_is_not_gone(spark: SparkSession) -> None:
    at = datetime(2024, 1, 10, 12)
    sales = [sale(n, at=at, store_id=store) for n, store in enumerate(("a", "b"))]
    shut = [{"date": date(2024, 1, 11) + timedelta(days=n), "region": "a", "store_id": "a", "is_holiday": False,
             "is_closed": True} for n in range(30)]  # fmt: skip
    end = DAILY.period_of(date(2024, 2, 14))
    sold = to_sold(frame_of(spark, SALES, sales), clock=DAILY, returns="ignore", renamed={})
    products = [{"product_id": "milk", "category": "dairy", "discontinued_on": date(2024, 2, 20)}]
    packed = to_packed(
        to_periods(sold), products=frame_of(spark, PRODUCTS, products), stores=None, clock=DAILY, end=end, history=40,
        future=7, closed_periods=28, buckets=2, calendar=frame_of(spark, CALENDAR, shut),
    ).toPandas().sort_values("store_id")  # fmt: skip
    assert packed["is_closed"].tolist() == [False, True]
    found = open_shares(packed, end=end, periods=40, future=7, clock=DAILY)
    assert found[0].tolist() == [1.0] * 5 + [0.0] * 30 + [1.0] * (5 + 6) + [0.0]


def test_months_are_numbered_alike_in_python_and_spark(spark: SparkSession) -> None:
    clock = Clock("month")
    days = [date(1969, 12, 31), date(1970, 1, 1), date(2024, 2, 29), date(2024, 12, 31)]
    rows = frame_of_rows(spark, [(day,) for day in days], "day DATE").select(period_of(F.col("day"), clock=clock))
    numbers = [row[0] for row in rows.collect()]
    assert numbers == [clock.period_of(day) for day in days] == [-1, 0, 649, 659]
    assert [clock.first_day(n) for n in numbers] == [day.replace(day=1) for day in days]
    assert clock.last_complete(date(2024, 2, 29)) == 649
    assert clock.last_complete(date(2024, 2, 28)) == 648
    assert Clock("month", row_days=31).last_complete(date(2024, 2, 1)) == 649
    np.testing.assert_allclose(clock.day_of_year(np.array([648, 653])), [0.04, 0.46], atol=0.01)
