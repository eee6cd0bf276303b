"""From rows to series: what is listed, closed, planned, out of stock; and nothing later than as_of."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from retail_spark.domains.forecast.features.matrix import Days, Past, matrix
from retail_spark.domains.forecast.series.aggregate import to_out, to_periods, to_planned, to_sold
from retail_spark.domains.forecast.series.pack import to_packed
from retail_spark.domains.forecast.series.panel import Panel, to_panel
from retail_spark.domains.forecast.series.periods import Clock
from retail_spark.engine.job import only_known_by
from retail_spark.tables.silver import INVENTORY, PLANNED_PRICES, PRODUCTS, SALES, STORES
from tests.unit.forecast.shop import MONDAY, frame_of, recipe_of, sale

CLOCK = Clock()
AS_OF = MONDAY + timedelta(days=7 * 12 - 1)
END = CLOCK.last_complete(AS_OF)
Rows = list[dict[str, Any]]


def week(number: int, *, hour: int = 12) -> datetime:
    return datetime(MONDAY.year, MONDAY.month, MONDAY.day, hour) + timedelta(days=7 * number)


def plan(number: int, *, price: float, known: int, product: str = "milk") -> dict[str, Any]:
    day = MONDAY + timedelta(days=7 * number)
    return {"store_id": "north", "product_id": product, "date": day, "unit_price": price, "on_deal": 0.0,
            "known_on": MONDAY + timedelta(days=7 * known)}  # fmt: skip


def panel(spark: SparkSession, sales: Rows, plans: Rows, stock: Rows) -> Panel:
    parts = [
        frame_of(spark, contract, rows).transform(only_known_by, contract=contract, as_of=AS_OF)
        for contract, rows in ((SALES, sales), (PLANNED_PRICES, plans), (INVENTORY, stock))
    ]
    periods = to_periods(
        to_sold(parts[0], clock=CLOCK, returns="ignore", renamed={"old cheese": "cheese"}),
        to_planned(parts[1], clock=CLOCK, plan_days=1), to_out(parts[2], clock=CLOCK, share=0.5),
    )  # fmt: skip
    products = [{"product_id": "bread", "category": "bakery", "discontinued_on": date(2023, 3, 1)}]
    products += [{"product_id": p, "category": "dairy"} for p in ("milk", "cheese", "yoghurt")]
    packed = to_packed(
        periods, products=frame_of(spark, PRODUCTS, products),
        stores=frame_of(spark, STORES, [{"store_id": "north", "region": "up"}]),
        clock=CLOCK, end=END, history=12, future=2, closed_periods=4, buckets=2,
    )  # fmt: skip
    rows = packed.toPandas().sort_values(["store_id", "product_id"])
    return to_panel(rows, end=END, periods=12, future=2)


def test_series_hold_what_was_known_and_nothing_later(spark: SparkSession) -> None:
    sales = [sale(n, at=week(n), quantity=float(n + 1)) for n in range(12) if n != 6]
    sales += [
        sale(20, at=week(3), quantity=2.0, product_id="old cheese"), sale(21, at=week(9), product_id="cheese"),
        sale(22, at=week(2), product_id="bread"), sale(23, at=week(4), store_id="south"),
    ]  # fmt: skip
    plans = [plan(n, price=1.0 + n, known=n - 4) for n in range(14)] + [plan(13, price=9.0, known=8, product="yoghurt")]
    stock = [
        {"store_id": "north", "product_id": "milk", "date": MONDAY + timedelta(days=7 * 6 + d), "on_hand": 0.0}
        for d in range(7)
    ]
    ours = panel(spark, sales, plans, stock)
    names = list(ours.keys["store_id"] + "/" + ours.keys["product_id"])
    assert names == ["north/bread", "north/cheese", "north/milk", "north/yoghurt", "south/milk"]
    assert ours.is_closed.tolist() == [True, False, False, False, True], "out of range; a store without sales"
    milk = names.index("north/milk")
    assert np.isnan(ours.y[milk, 6]), "out of stock"
    assert ours.y[milk, [0, 5, 7, 11]].tolist() == [1.0, 6.0, 8.0, 12.0]
    assert ours.y[names.index("north/cheese"), 3:].tolist() == [2.0, 0, 0, 0, 0, 0, 1.0, 0, 0], "renamed, one history"
    assert ours.first[names.index("north/yoghurt")] == 12, "planned, never sold"
    assert ours.planned["price"][milk].tolist() == [1.0 + n for n in range(14)]
    assert ours.known[milk].tolist() == [n - 4 for n in range(14)]
    assert set(ours.keys["region"]) == {"up", "*"}
    # the peers of milk in the north: milk alone, then milk and cheese
    assert ours.peer_y[milk, [0, 3]].tolist() == [1.0, (4.0 + 2.0) / 2]

    later = [
        sale(90, at=week(12), quantity=500.0), sale(91, at=week(14), product_id="caviar"),
        sale(92, at=week(13), store_id="south"),
    ]  # fmt: skip
    secret = [plan(20, price=5.0, known=13), plan(12, price=7.0, known=12, product="cheese")]
    empty = [{**stock[0], "date": MONDAY + timedelta(days=7 * 12)}]
    theirs = panel(spark, sales + later, plans + secret, stock + empty)
    assert list(theirs.keys["product_id"]) == list(ours.keys["product_id"])
    for name in ("y", "first", "known", "peer_y", "peer_price", "peer_plan", "peer_known", "is_closed"):
        np.testing.assert_array_equal(getattr(theirs, name), getattr(ours, name))
    np.testing.assert_array_equal(theirs.planned["price"], ours.planned["price"])

    spoilt = [*sales[:9], sale(30, at=week(11), quantity=77.0, unit_price=88.0, on_promotion=1.0, product_id="cheese"),
              *(s for s in sales[9:] if s["sold_at"] < week(10))]  # fmt: skip
    told = [features(panel(spark, rows, plans[:-1], stock), target=11, lead=2) for rows in (sales, spoilt)]
    np.testing.assert_array_equal(*told, err_msg="what a period sold is in one of its features")


def features(ours: Panel, *, target: int, lead: int) -> np.ndarray:
    days = Days.of(ours.numbers, clock=CLOCK, events=[], easters=[])
    return matrix(ours, Past.of(ours), days, target=target, lead=lead, codes={}, recipe=recipe_of())


def test_a_broken_series_is_nobodys_peer(spark: SparkSession) -> None:
    sales = [sale(n, at=week(n), quantity=4.0) for n in range(12)]
    sales += [sale(50, at=week(0), product_id="cheese"), sale(51, at=week(11), quantity=4e12, product_id="cheese")]
    found = panel(spark, sales, [], [])
    assert found.broken[0] is not None
    assert found.peer_y[:, 11].tolist() == [4.0, 4.0]
