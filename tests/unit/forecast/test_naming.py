"""A product that was renamed twice has one history, one plan and one stock."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError
from pyspark.sql import SparkSession

from retail_spark.domains.forecast.series.aggregate import to_out, to_planned
from retail_spark.domains.forecast.series.periods import Clock
from retail_spark.domains.forecast.series.renamed import newest_names
from retail_spark.domains.forecast.settings import JobSettings
from retail_spark.tables.silver import INVENTORY, PLANNED_PRICES
from tests.unit.forecast.shop import MONDAY, frame_of

DAILY = Clock("day")
RENAMED = {"a": "b", "b": "c"}


def test_names_are_followed_through_every_hop() -> None:
    assert newest_names(RENAMED | {"x": "y"}) == {"a": "c", "b": "c", "x": "y"}


def test_a_circle_of_names_is_refused() -> None:
    with pytest.raises(ValidationError, match="circle"):
        JobSettings(renamed={"a": "b", "b": "a"})


def test_plans_and_stock_go_on_under_the_new_name(spark: SparkSession) -> None:
    def row(product: str, day: date, **more: Any) -> dict[str, Any]:
        return {"store_id": "s", "product_id": product, "date": day, **more}

    second = date(2023, 1, 3)
    plans = [row("a", MONDAY, unit_price=3.0), row("a", second, unit_price=1.0), row("c", second, unit_price=2.0)]
    stock = [row("a", MONDAY, on_hand=0.0), row("a", second, on_hand=0.0), row("c", second, on_hand=5.0)]
    planned = to_planned(
        frame_of(spark, PLANNED_PRICES, [p | {"known_on": MONDAY} for p in plans]),
        clock=DAILY, plan_days=1, renamed=RENAMED,
    )  # fmt: skip
    out = to_out(frame_of(spark, INVENTORY, stock), clock=DAILY, share=0.5, renamed=RENAMED)
    told = planned.join(out, ["store_id", "product_id", "period"], how="full").orderBy("period").collect()
    assert [(r["product_id"], r["planned_price"], r["out"]) for r in told] == [("c", 3.0, 1.0), ("c", 2.0, 0.0)]
