"""The panel: what is listed, what it cost where nothing was sold, and what is net of both effects."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.domains.elasticity.estimate.category import to_within
from retail_spark.domains.elasticity.panel.cells import (
    SHARES,
    first_day_of,
    period_of,
    to_cells,
    to_listed,
    to_planned,
    to_sparsity,
    with_shares,
)
from retail_spark.domains.elasticity.panel.lines import to_sold_units, with_line_flags
from retail_spark.domains.elasticity.panel.prices import with_chain_price, with_price_columns
from retail_spark.domains.elasticity.settings import Effects
from retail_spark.frames.local_rows import frame_of_rows

SCHEMA = (
    "store_id string, product_id string, sold_at timestamp, quantity double, unit_price double, list_price double, "
    "unit_cost double, currency string, on_promotion double, on_display double, on_deal double"
)


def sales(spark: SparkSession, *rows: tuple[str, int, float, float]) -> DataFrame:
    """Lines of one product: store, week from Monday 2024-01-01, quantity, price."""
    made = [
        (
            store,
            "p",
            datetime(2024, 1, 1, 12) + timedelta(weeks=week),
            quantity,
            price,
            None,
            1.0,
            "EUR",
            None,
            None,
            None,
        )
        for store, week, quantity, price in rows
    ]
    return frame_of_rows(spark, made, SCHEMA)


def flagged(lines: DataFrame) -> DataFrame:
    return with_line_flags(lines, max_price_ratio=5.0, max_foreign_share=0.1)


def test_a_week_begins_on_monday_and_returns_and_gifts_are_no_cells(spark: SparkSession) -> None:
    lines = sales(spark, ("a", 0, 2.0, 3.0), ("a", 0, 1.0, 6.0), ("a", 1, -1.0, 3.0), ("a", 2, 1.0, 0.0))
    cells = to_cells(flagged(lines), days=7).withColumn("monday", first_day_of(F.col("period"), days=7)).collect()
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
    listed = to_listed(to_cells(flagged(sales(spark, *rows)), days=7), None).transform(with_chain_price).collect()
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


def test_days_are_those_of_the_shop(spark: SparkSession) -> None:
    late = frame_of_rows(
        spark, [("a", "p", datetime(2024, 1, 7, 23), 1.0, 2.0, None, None, "EUR", None, None, None)], SCHEMA
    )
    weeks = [to_cells(flagged(late), days=7, time_zone=zone).collect()[0].period for zone in ("UTC", "Europe/Berlin")]
    assert weeks[1] == weeks[0] + 1, "23 hours on Sunday are Monday in Berlin"


def test_a_typo_and_a_foreign_line_are_set_aside_and_counted(spark: SparkSession) -> None:
    rows = [(store, week, 1.0, 2.0 + 0.2 * (week % 3)) for store in "ab" for week in range(11)]
    rows[3], rows[15] = ("a", 3, 1.0, 260.0), ("b", 4, 1.0, 0.02)
    lines = sales(spark, *rows).withColumn(
        "currency",
        F.when((F.col("store_id") == "b") & (F.col("sold_at") < "2024-01-07"), "USD").otherwise("EUR"),
    )
    mixed = sales(spark, *[("m", week, 1.0, 2.0) for week in range(10)]).withColumn(
        "currency", F.when(F.col("sold_at") < "2024-02-01", "USD").otherwise("EUR")
    )
    found = {u.store_id: u for u in to_sold_units(flagged(lines.unionByName(mixed))).collect()}
    told = {store: (u.valid_lines, u.outlier_lines, u.foreign_lines, u.is_mixed) for store, u in found.items()}
    assert told == {"a": (10, 1, 0, False), "b": (9, 1, 1, False), "m": (0, 0, 0, True)}


PLAN = (
    "store_id string, product_id string, date date, unit_price double, on_promotion double, on_display double, "
    "on_deal double"
)


def test_a_plan_of_promotions_only_leaves_the_zeros_in_and_a_week_outside_has_the_regular_price(
    spark: SparkSession,
) -> None:
    """Sold in weeks 0, 1 (promoted), 3, 6; promoted without a sale in week 5: two zeros outside of the plan."""
    lines = sales(spark, ("a", 0, 1.0, 2.0), ("a", 1, 2.0, 1.5), ("a", 3, 1.0, 2.2), ("a", 6, 1.0, 2.2))
    lines = lines.withColumns({"list_price": F.lit(2.5), "on_deal": F.lit(1.0)})
    plan = [("a", "p", day, None, 1.0, None, None) for day in (date(2024, 1, 8), date(2024, 2, 5))]
    listed = to_listed(to_cells(flagged(lines), days=7), to_planned(frame_of_rows(spark, plan, PLAN), days=7))
    kinds = {"is_sparse": F.lit(True), "category": F.lit("c"), "region": F.lit("r")}
    rows = listed.transform(with_shares).transform(with_chain_price).withColumns(kinds)
    found = rows.transform(with_price_columns, base_periods=8).orderBy("period").collect()
    assert [row.units for row in found] == [1, 2, 0, 1, 0, 0, 1]
    prices = [2.0, 1.5, 2.0, 2.2, 2.2, 1.5, 2.2]
    assert np.exp([row.price for row in found]) == pytest.approx(prices), "week 5 is promoted, weeks 2 and 4 are not"
    assert np.exp([row.base_price for row in found]) == pytest.approx([2.5] * 7), "the list price holds unsold as well"
    assert [row.on_promotion for row in found] == [0, 1, 0, 0, 0, 1, 0]
    assert {row.on_deal for row in found} == {0.0}, "a deal that only sales tell explains no sale"


def test_a_week_in_which_a_large_store_sold_nothing_is_no_zero_and_in_a_small_one_it_is(spark: SparkSession) -> None:
    cells = [(store, f"p{n}", week, 1.0) for store, size in (("large", 12), ("small", 2)) for n in range(size)
             for week in (0, 2)]  # fmt: skip
    frame = frame_of_rows(spark, cells, "store_id string, product_id string, period int, units double")
    listed = to_listed(frame, None)
    weeks = {s: sorted({r.period for r in listed.where(F.col("store_id") == s).collect()}) for s in ("large", "small")}
    assert weeks == {"large": [0, 2], "small": [0, 1, 2]}


def test_one_store_without_a_plan_has_its_own_price_in_every_week(spark: SparkSession) -> None:
    """Nobody else sells it, and so no chain tells its price: it is what was paid, and what was paid last."""
    lines = sales(spark, *[("a", week, 1.0, 2.0 + week % 2) for week in range(8) if week != 4])
    kinds = {"is_sparse": F.lit(True), "category": F.lit("c"), "region": F.lit("r")}
    rows = to_listed(to_cells(flagged(lines), days=7), None).transform(with_shares).transform(with_chain_price)
    found = rows.withColumns(kinds).transform(with_price_columns, base_periods=8).orderBy("period").collect()
    assert np.exp([row.price for row in found]) == pytest.approx([2, 3, 2, 3, 3, 3, 2, 3])
    assert all(getattr(row, name) == 0 for row in found for name in SHARES)


@pytest.mark.parametrize(("effects", "keys"), [("store-product", ["store_id", "product_id"]), ("none", ["product_id"])])
def test_effects_are_taken_out_as_asked(spark: SparkSession, effects: Effects, keys: list[str]) -> None:
    rng = np.random.default_rng(4)
    rows = [("c", s, p, t, float(rng.normal())) for s in "ab" for p in "xy" for t in range(3)]
    frame = frame_of_rows(spark, rows, "category string, store_id string, product_id string, period int, y double")
    net = to_within(frame, columns=("y",), effects=effects).toPandas()
    assert net.groupby(keys)["y"].mean().abs().max() < 1e-12
    assert net.groupby("period")["y"].mean().abs().max() > 1e-3, "periods stay in"
