"""The job on a world of two stores and a week, each figure against what a reader counts by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from retail_spark.errors import InputError
from retail_spark.lake.lake import Lake
from retail_spark.tables.kpis import KPIS_DAILY, KPIS_WEEKLY
from retail_spark.tables.marketing import MARKETING_SPEND
from retail_spark.tables.sessionize import SESSIONS
from retail_spark.tables.silver import INVENTORY, PRODUCTS, SALES, STORES
from tests.worlds import put, rows_of, run


def moment(day: int, hour: int = 12) -> datetime:
    return datetime(2024, 7, day, hour, tzinfo=UTC)  # the first is a Monday


def sale(n: int, day: int, quantity: float, price: float, **more: Any) -> dict[str, Any]:
    hour = more.pop("hour", 12)
    return {"sale_id": f"l{n}", "sold_at": moment(day, hour), "store_id": "s1", "product_id": "p1",
            "quantity": quantity, "unit_price": price, "currency": "EUR", **more}  # fmt: skip


LINES = [
    sale(1, 1, 2, 10.0, order_id="a", customer_id="ann", on_promotion=0.0),
    sale(2, 1, 1, 5.0, order_id="a", customer_id="ann", product_id="p2", on_promotion=1.0),
    sale(3, 1, 4, 10.0, order_id="a", customer_id="bob", store_id="s2"),  # another store's receipt a
    sale(4, 2, -1, 10.0, order_id="b", customer_id="ann"),
    sale(5, 2, 3, 10.0, order_id="c", customer_id="ann"),
    sale(6, 2, 1, 7.0, order_id="d", currency="usd", customer_id="eve"),
    sale(7, 4, 1, 10.0, customer_id="bob", product_id="p9"),  # without an order, of an unknown product
    sale(8, 2, 1, 10.0, order_id="e", hour=23),  # a guest; already the third in the shop's time zone
    sale(9, 5, 1, 99.0, order_id="f", hour=23),  # the sixth, of which only two hours are known as of the fifth
]


@pytest.fixture(scope="module")
def lake(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    from retail_spark.config.section import LakeSettings

    found = Lake.open(spark, LakeSettings(root=str(tmp_path_factory.mktemp("kpis") / "lake")))
    put(found, SALES, *LINES)
    put(
        found,
        PRODUCTS,
        {"product_id": "p1", "category": "tea", "unit_cost": 6.0},
        {"product_id": "p2", "category": None},
    )
    put(found, STORES, {"store_id": "s1", "format": "online"}, {"store_id": "s2"})
    counted = [
        ("s1", "p1", 1, 0.0),
        ("s1", "p2", 1, 4.0),
        ("s1", "p1", 2, 6.0),
        ("s1", "p2", 2, -2.0),
        ("s2", "p1", 2, 3.0),
    ]
    put(found, INVENTORY, *({"store_id": s, "product_id": p, "date": date(2024, 7, d), "on_hand": n}
                            for s, p, d, n in counted))  # fmt: skip
    spent = {"date": date(2024, 7, 1), "channel": "Paid Search", "currency": "EUR"}
    put(
        found,
        MARKETING_SPEND,
        {**spent, "spend_id": "m1", "amount": 20.0},
        {**spent, "spend_id": "m2", "amount": 6.0},
        {**spent, "spend_id": "m3", "amount": 5.0, "currency": "usd", "date": date(2024, 7, 4)},
    )
    put_sessions(found)
    result = run(found, "kpis", time_zone="Europe/Berlin")
    assert result.status == "done"
    assert result.metrics == {"revenue": 105.0, "orders": 5.0, "customers": 2.0}
    return found


def put_sessions(lake: Lake) -> None:
    from retail_spark.frames.local_rows import frame_of_rows
    from retail_spark.lake.commit import carry_out
    from retail_spark.lake.write import upsert

    common = {"visitor_id": "v", "chain_id": "c", "session_number": 1, "duration_seconds": 0.0, "dwell_seconds": 0.0,
              "events": 1, "page_views": 1, "product_views": 0, "cart_adds": 0, "purchases": 0, "revenue": 0.0,
              "channel": "Direct", "is_bounce": True, "is_engaged": False, "customers": 0, "identified_events": 0,
              "run_id": "input"}  # fmt: skip
    rows = [
        {**common, "session_id": f"v{n}", "started_at": moment(1), "ended_at": moment(1), "is_converted": n == 0,
         "is_bot": n == 3, "bot_reason": "rate" if n == 3 else None}
        for n in range(4)
    ]  # fmt: skip
    frame = frame_of_rows(
        lake.spark, [tuple(row.get(name) for name in SESSIONS.names) for row in rows], SESSIONS.schema
    )
    carry_out(lake, upsert(SESSIONS, frame), run_id="sessions")


def cell(lake: Lake, day: int, level: str = "all", **where: Any) -> dict[str, Any]:
    currency = where.pop("currency", "EUR")
    (row,) = rows_of(lake, KPIS_DAILY, day=date(2024, 7, day), level=level, currency=currency, **where)
    return row


def test_money_orders_and_customers_of_a_day(lake: Lake) -> None:
    row = cell(lake, 1)
    assert (row["gross_revenue"], row["returned_revenue"], row["revenue"], row["return_rate"]) == (65.0, 0.0, 65.0, 0.0)
    assert (row["orders"], row["customers"], row["new_customers"], row["repeat_rate"]) == (2, 2, 2, 0.0)
    assert (row["average_order_value"], row["basket_size"], row["units"]) == (32.5, 3.5, 7.0)
    assert row["promotion_share"] == pytest.approx(5 / 65)
    assert row["costed_share"] == pytest.approx(60 / 65)
    assert row["gross_margin"] == pytest.approx((60 - 6 * 6) / 60)


def test_returns_are_taken_off_and_a_customer_who_comes_again_is_not_new(lake: Lake) -> None:
    row = cell(lake, 2)
    assert (row["gross_revenue"], row["returned_revenue"], row["revenue"]) == (30.0, 10.0, 20.0)
    assert row["return_rate"] == pytest.approx(1 / 3)
    assert (row["orders"], row["customers"], row["new_customers"], row["returning_customers"]) == (1, 1, 0, 1)
    assert row["gross_margin"] == pytest.approx((20 - 2 * 6) / 20)


def test_money_of_two_currencies_is_never_added(lake: Lake) -> None:
    row = cell(lake, 2, currency="USD")
    assert (row["revenue"], row["orders"], row["customers"]) == (7.0, 1, 1)
    assert row["marketing_spend"] is None


def test_stock_sessions_and_spend_stand_at_level_all(lake: Lake) -> None:
    row = cell(lake, 1)
    assert (row["stocked_item_days"], row["out_of_stock_item_days"], row["out_of_stock_share"]) == (2, 1, 0.5)
    assert row["stock_turn"] == pytest.approx(7 * 365 / 4)
    assert (row["sessions"], row["conversion"]) == (3, pytest.approx(1 / 3))
    assert (row["marketing_spend"], row["customer_acquisition_cost"]) == (26.0, 13.0)
    assert row["return_on_ad_spend"] == pytest.approx(65 / 26)
    store = cell(lake, 1, "store", store_id="s1")
    assert (store["sessions"], store["marketing_spend"]) == (None, None)
    assert store["out_of_stock_item_days"] == 1


def test_negative_stock_is_none_on_hand(lake: Lake) -> None:
    row = cell(lake, 2)
    assert (row["out_of_stock_item_days"], row["stock_turn"]) == (1, pytest.approx(3 * 365 / 9))


def test_a_day_without_a_sale_is_zeros_and_no_gap(lake: Lake) -> None:
    days = [row["day"].day for row in rows_of(lake, KPIS_DAILY, "day", level="all", currency="EUR")]
    assert days == [1, 2, 3, 4, 5]
    row = cell(lake, 5)
    assert (row["revenue"], row["orders"], row["customers"]) == (0.0, 0, 0)
    assert row["return_rate"] is row["repeat_rate"] is row["gross_margin"] is row["average_order_value"] is None


def test_days_begin_in_the_time_zone_of_the_shop_and_guests_are_no_customers(lake: Lake) -> None:
    row = cell(lake, 3)
    assert (row["revenue"], row["orders"], row["customers"], row["new_customers"]) == (10.0, 1, None, None)


def test_stock_or_spend_without_a_sale_stands_beside_zeros(lake: Lake) -> None:
    store = cell(lake, 2, "store", store_id="s2")
    assert (store["revenue"], store["orders"], store["customers"], store["stock_turn"]) == (0.0, 0, 0, 0.0)
    row = cell(lake, 4, currency="USD")
    assert (row["revenue"], row["marketing_spend"], row["return_on_ad_spend"]) == (0.0, 5.0, 0.0)
    assert row["customer_acquisition_cost"] is None


def test_levels_name_what_they_are_broken_down_by(lake: Lake) -> None:
    found = {row["level"]: row for row in rows_of(lake, KPIS_DAILY, "level", day=date(2024, 7, 4), currency="EUR")}
    assert set(found) == {"all", "channel", "store", "category", "channel_category", "store_category"}
    assert [found["store_category"][n] for n in ("channel", "store_id", "category")] == ["online", "s1", "unknown"]
    assert [found["channel"][n] for n in ("channel", "store_id", "category")] == ["online", "*", "*"]
    tea = cell(lake, 1, "category", category="tea")
    assert (tea["gross_revenue"], tea["orders"], tea["channel"]) == (60.0, 2, "*")
    assert cell(lake, 1, "channel", channel="unknown")["gross_revenue"] == 40.0


def test_a_week_counts_a_customer_once(lake: Lake) -> None:
    (row,) = rows_of(lake, KPIS_WEEKLY, level="all", currency="EUR")
    assert row["week"] == date(2024, 7, 1)
    assert (row["orders"], row["customers"], row["new_customers"]) == (5, 2, 2)
    assert (row["gross_revenue"], row["marketing_spend"], row["sessions"]) == (115.0, 26.0, 3)


def test_as_of_a_past_day_nothing_later_is_known_and_few_days_are_reported(lake: Lake) -> None:
    result = run(lake, "kpis", as_of=date(2024, 7, 2), report_days=1, time_zone="Europe/Berlin")
    assert result.metrics["orders"] == 3.0
    days = {row["day"].day for row in rows_of(lake, KPIS_DAILY, as_of=date(2024, 7, 2))}
    assert days == {2}
    with pytest.raises(InputError, match="no line up to 2024-06-30"):
        run(lake, "kpis", as_of=date(2024, 6, 30))
