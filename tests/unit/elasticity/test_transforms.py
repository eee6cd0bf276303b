"""The panel: what is listed, what it cost where nothing was sold, and what is net of both effects."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.elasticity.pooled import to_within
from retail_spark.elasticity.transforms import (
    first_day_of,
    period_of,
    to_cells,
    to_listed,
    to_sparsity,
    with_chain_price,
)
from retail_spark.local_rows import frame_of_rows

SCHEMA = (
    "store_id string, product_id string, sold_at timestamp, quantity double, unit_price double, list_price double, "
    "unit_cost double, currency string, on_promotion double, on_display double, on_deal double"
)


def sales(spark: SparkSession, *rows: tuple[str, int, float, float]) -> DataFrame:
    """Lines of one product: store, week from Monday 2024-01-01, quantity, price."""
    made = [
        (store, "p", datetime(2024, 1, 1 + 7 * week, 12), quantity, price, None, 1.0, "EUR", None, None, None)
        for store, week, quantity, price in rows
    ]
    return frame_of_rows(spark, made, SCHEMA)


def test_a_week_begins_on_monday_and_returns_and_gifts_are_no_cells(spark: SparkSession) -> None:
    lines = sales(spark, ("a", 0, 2.0, 3.0), ("a", 0, 1.0, 6.0), ("a", 1, -1.0, 3.0), ("a", 2, 1.0, 0.0))
    cells = to_cells(lines, days=7).withColumn("monday", first_day_of(F.col("period"), days=7)).collect()
    assert [(c.units, c.price, c.monday) for c in cells] == [(3.0, 4.0, date(2024, 1, 1))]
    sunday = spark.range(1).select(period_of(F.lit(date(2024, 1, 7)), days=7).alias("p")).collect()[0]["p"]
    assert sunday == cells[0].period


def test_the_price_of_a_week_comes_from_the_other_stores_never_from_the_own_sale(spark: SparkSession) -> None:
    rows = [(s, w, 1.0, p) for s, prices in {"a": (2, 4, 2), "b": (2, 2, 4), "c": (1, 1, 2)}.items()
            for w, p in enumerate(map(float, prices))]  # fmt: skip
    before = _chain(spark, rows)
    assert before["a", 1] == pytest.approx((before_relative("b", 1) + before_relative("c", 1)) / 2)
    other_price = [(s, w, q, 9.0 if (s, w) == ("a", 1) else p) for s, w, q, p in rows]
    assert _chain(spark, other_price)["a", 1] == pytest.approx(before["a", 1])
    unsold = _chain(spark, [row for row in rows if row[:2] != ("a", 1)])
    assert unsold["a", 1] == pytest.approx(before["a", 1]), "a week without a sale has the same price"


def before_relative(store: str, week: int) -> float:
    logs = np.log({"b": (2, 2, 4), "c": (1, 1, 2)}[store])
    return float(logs[week] - logs.mean())


def _chain(spark: SparkSession, rows: list[tuple[str, int, float, float]]) -> dict[tuple[str, int], float]:
    listed = to_listed(to_cells(sales(spark, *rows), days=7), None).transform(with_chain_price).collect()
    first = min(row.period for row in listed)
    return {(row.store_id, row.period - first): row.chain_price for row in listed}


@pytest.mark.parametrize(
    ("units", "is_sparse"),
    [((9.0, 8.0, 7.0, 9.0), False), ((1.0, 1.0, 1.0, 5.0), True), ((9.0, 0.0, 7.0, 9.0), True)],
)
def test_sparse_is_decided_by_the_stated_rule(spark: SparkSession, units: tuple[float, ...], is_sparse: bool) -> None:
    rows = frame_of_rows(spark, [("c", u, u > 0) for u in units], "category string, units double, is_sold boolean")
    assert to_sparsity(rows, units=1.0, zero_share=0.1).collect()[0]["is_sparse"] is is_sparse


def test_what_is_net_of_both_effects_has_mean_zero_by_unit_and_by_period(spark: SparkSession) -> None:
    rng = np.random.default_rng(2)
    rows = [("c", f"s{s}", f"p{p}", t, float(s * p + t + rng.normal()), float(rng.normal() + 1e3 * s))
            for s in range(4) for p in range(3) for t in range(12) if rng.uniform() < 0.8]  # fmt: skip
    frame = frame_of_rows(
        spark, rows, "category string, store_id string, product_id string, period int, y double, price double"
    )
    net = to_within(frame, columns=("y", "price")).toPandas()
    assert len(net) == len(rows)
    for keys in (["store_id", "product_id"], ["period"]):
        assert net.groupby(keys)[["y", "price"]].mean().abs().to_numpy().max() < 1e-9
