from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from retail_spark.domains.supplier_risk.deliveries import to_lines
from retail_spark.domains.supplier_risk.features import to_features
from retail_spark.domains.supplier_risk.history import SHRUNK, history_names, with_histories
from retail_spark.domains.supplier_risk.recipe import Recipe
from retail_spark.domains.supplier_risk.settings import JobSettings
from tests.unit.suppliers.orders import EPOCH, at_noon, day, deliveries, many, order

KEYS = (("supplier_id",), ("supplier_id", "destination_country"))


def recipe(**given: object) -> Recipe:
    return JobSettings(
        **{"history_keys": KEYS, "recent_days": (90,), "predict_days_before_promise": 30, **given}
    ).recipe()


def lines(
    frame: DataFrame,
    *,
    as_of: int = 600,
    predict_days: int = 30,
    outcome_known: str = "recorded",
    promise: str = "first",
) -> DataFrame:
    return to_lines(frame, as_of=day(as_of), predict_days=predict_days, outcome_known=outcome_known, promise=promise)


def features(frame: DataFrame, **given: object) -> dict[str, dict[str, float]]:
    used = recipe(**given)
    rows = with_histories(lines(frame), recipe=used).collect()
    return {row.delivery_id: {name: row[name] for name in history_names(used)} for row in rows}


def test_outcomes_that_were_not_known_yet_are_open(spark: SparkSession) -> None:
    frame = deliveries(
        spark,
        order(1, promised=10, delivered=12, recorded_on=day(15)),
        order(2, promised=10, delivered=8, recorded_on=day(9)),
        order(3, promised=90, delivered=12, quantity_received=3.0),
        order(4, promised=60, delivered=70),
        order(5, promised=20, delivered=None, recorded_on=day(11)),
    )
    seen = {
        r.delivery_id: (r.delivered_on, r.is_late, r.delay_days, r.quantity_received)
        for r in lines(frame, as_of=14).collect()
    }
    assert seen == {
        "d00001": (None, None, None, None),  # delivered, but keyed in a day after as_of
        "d00002": (day(8), 0, -2, None),
        "d00003": (day(12), 0, -78, 3.0),  # not ordered as far as we are told, but delivered already
        "d00005": (None, None, None, None),
    }  # and line 4 is not known before day 30
    by_delivery = {r.delivery_id: r.is_late for r in lines(frame, as_of=14, outcome_known="delivered").collect()}
    assert by_delivery["d00001"] == 1


def test_history_counts_a_shipment_once_and_only_what_was_known_strictly_before(spark: SparkSession) -> None:
    frame = deliveries(
        spark,
        order(1, promised=10, delivered=12, shipment_id="a"),
        order(2, promised=10, delivered=12, shipment_id="a"),
        order(3, promised=20, delivered=20, shipment_id="b"),
        order(4, promised=42, delivered=43, shipment_id="c"),  # asks on day 12: shipment a is not yet known
        order(5, promised=43, delivered=43, shipment_id="d"),  # asks on day 13: one shipment, late
        order(6, promised=51, delivered=60, shipment_id="e"),  # asks on day 21: two shipments, one late
    )
    found = features(frame)
    base = [0.1, (1 + 1) / 11, (1 + 1) / 12]
    expected = [base[0], (1 + 20 * base[1]) / 21, (1 + 20 * base[2]) / 22]
    assert [found[d]["all__rate"] for d in ("d00004", "d00005", "d00006")] == pytest.approx(base)
    assert [found[d]["supplier_id__rate"] for d in ("d00004", "d00005", "d00006")] == pytest.approx(expected)
    assert [found[d]["supplier_id__delay"] for d in ("d00005", "d00006")] == pytest.approx([2 / 21, 2 / 22])


def test_what_is_promised_and_not_known_to_have_come_is_overdue(spark: SparkSession) -> None:
    frame = deliveries(
        spark,
        order(1, promised=10, delivered=50),
        order(2, promised=11, delivered=None),
        order(3, promised=41, delivered=41),  # asks on day 11: one is overdue, the other is promised for today
        order(4, promised=42, delivered=42),
        order(5, promised=90, delivered=90),  # asks on day 60: one still is; orders 3 and 4 came on time
    )
    found = features(frame, recent_days=(365,))
    assert [found[d]["supplier_id__overdue"] for d in ("d00003", "d00004", "d00005")] == pytest.approx(
        [1 / 6, 2 / 7, 1 / (3 + 1 + 5)]
    )


def test_recent_history_forgets(spark: SparkSession) -> None:
    frame = deliveries(
        spark,
        order(1, promised=0, delivered=1),
        order(2, promised=120, delivered=120),  # asks on day 90: day 1 is within the last 90 days, just
        order(3, promised=122, delivered=122),  # asks on day 92: it is not
    )
    found = features(frame)
    within, beyond = found["d00002"], found["d00003"]
    assert within["supplier_id__rate_90"] == pytest.approx((1 + 10 * within["supplier_id__rate"]) / 11)
    assert beyond["supplier_id__rate_90"] == pytest.approx(beyond["supplier_id__rate"])


def test_a_future_delivery_moves_no_earlier_feature(spark: SparkSession) -> None:
    """Injected: lines known from day 400 on, in new shipments and in shipments that are there already."""
    rows = many(150, days=500)
    injected = [
        order(90_000 + n, promised=395 + n % 3, delivered=400 + 40 * (n % 2), supplier_id=f"s{n % 8}",
              destination_country="DE", shipment_id=f"sh{n}" if n % 2 else f"new{n}")
        for n in range(60)
    ]  # fmt: skip
    before = features(deliveries(spark, *rows))
    after = features(deliveries(spark, *rows, *injected))
    asked_early = {row["delivery_id"] for row in rows if row["promised_on"] <= day(395 + 30)}
    assert len(asked_early) > 100
    for delivery in asked_early:
        assert after[delivery] == before[delivery], delivery
    moved = [d for d in before if after[d] != before[d]]
    assert moved, "later features do see it"


def test_an_open_line_is_foretold_by_what_is_known_at_as_of(spark: SparkSession) -> None:
    """Promised in the far future: the cut-off is the day after as_of, and what is promised later is not overdue."""
    frame = deliveries(
        spark,
        order(1, promised=10, delivered=12),
        order(2, promised=16, delivered=None, ordered_at=at_noon(1)),
        order(3, promised=300, delivered=None, ordered_at=at_noon(5)),
    )
    found = {r.delivery_id: r for r in with_histories(lines(frame, as_of=14), recipe=recipe()).collect()}
    assert found["d00003"].cutoff_day == (day(15) - EPOCH).days
    assert found["d00003"].supplier_id__overdue == 0
    assert found["d00003"].all__rate == pytest.approx(2 / 11)


def test_suppliers_with_one_order_number_and_day_have_a_shipment_each(spark: SparkSession) -> None:
    """Numbers are the supplier's own; and a shipment called like an order and its day is another one."""
    frame = deliveries(
        spark,
        order(1, promised=10, delivered=12, purchase_order_id="1"),
        order(2, promised=10, delivered=12, purchase_order_id="1"),
        order(3, promised=10, delivered=10, purchase_order_id="1", supplier_id="other"),
        order(4, promised=10, delivered=10, purchase_order_id="1@2024-01-11", shipment_id="1@2024-01-11"),
        order(5, promised=50, delivered=50, shipment_id="later"),
        order(6, promised=50, delivered=50, shipment_id="later", supplier_id="other"),
    )
    rows = {r.delivery_id: r.shipment for r in lines(frame).collect()}
    assert rows["d00001"] == rows["d00002"]
    assert len(set(rows.values())) == 5
    assert features(frame)["d00005"]["all__rate"] == pytest.approx((1 + 10 * 0.1) / (3 + 10))


def test_a_cancelled_line_is_neither_open_nor_late_from_that_day_on(spark: SparkSession) -> None:
    frame = deliveries(
        spark,
        order(1, promised=10, delivered=None, cancelled_on=day(45)),
        order(2, promised=10, delivered=None, line_status="cancelled"),
        order(3, promised=10, delivered=12, line_status="delivered"),
        order(4, promised=10, delivered=None, line_status="delivered"),  # it came, but nobody knows when
        order(5, promised=10, delivered=None, line_status="open"),
        order(6, promised=60, delivered=None),  # asks on day 30: order 1 is overdue, as is order 5
        order(7, promised=90, delivered=None),  # asks on day 60: order 1 is no more
    )
    seen = {r.delivery_id: (r.cancelled_day is not None, r.is_late) for r in lines(frame).collect()}
    assert [seen[f"d0000{n}"] for n in range(1, 6)] == [
        (True, None), (True, None), (False, 1), (True, None), (False, None),
    ]  # fmt: skip
    before = {r.delivery_id: r.cancelled_day for r in lines(frame, as_of=44).collect()}
    assert before["d00001"] is None, "the day before it is still open"
    used = recipe(recent_days=())
    rows = {r.delivery_id: r for r in to_features(lines(frame), recipe=used).collect()}
    assert set(rows) == {"d00003", "d00005", "d00006", "d00007"}, "what is cancelled is not scored"
    overdue = [rows[d]["supplier_id__overdue"] for d in ("d00006", "d00007")]
    assert overdue == pytest.approx([2 / (1 + 2 + 5), 1 / (1 + 1 + 5)])
    # the shrunk rate, which scores where there is no model, takes what is overdue for late
    rate = rows["d00006"]["all__rate"]
    assert rows["d00006"][SHRUNK] == pytest.approx((1 + 2 + 20 * rate) / (1 + 2 + 20))


def test_a_promise_that_was_moved_is_held_to_the_first_one(spark: SparkSession) -> None:
    frame = deliveries(spark, order(1, promised=20, delivered=20, first_promised_on=day(10)))
    first, last = (lines(frame, promise=promise).collect()[0] for promise in ("first", "last"))
    assert (first.is_late, first.delay_days, first.promised_on) == (1, 10, day(10))
    assert (last.is_late, last.delay_days, last.promised_on) == (0, 0, day(20))


def test_a_table_of_an_older_version_lacks_the_new_columns(spark: SparkSession) -> None:
    gained = ("order_line_id", "first_promised_on", "line_status", "cancelled_on")
    frame = deliveries(spark, order(1, promised=10, delivered=12))
    assert lines(frame.drop(*gained)).collect() == lines(frame).select(*lines(frame.drop(*gained)).columns).collect()


def test_history_keys_whose_joined_texts_would_meet_stay_apart(spark: SparkSession) -> None:
    frame = deliveries(
        spark,
        order(1, promised=10, delivered=12, supplier_id="S1 | a", category="b"),
        order(2, promised=60, delivered=60, supplier_id="S1", category="a | b"),
        order(3, promised=60, delivered=60, supplier_id="S1 | a", category="b"),
        order(4, promised=60, delivered=60, supplier_id="S1 | a", category=None),
    )
    found = features(frame, history_keys=(("supplier_id", "category"),))
    rates = [found[d]["supplier_id_x_category__rate"] for d in ("d00002", "d00003", "d00004")]
    assert rates[1] > rates[0] == rates[2]


def test_order_of_rows_and_partitions_changes_nothing(spark: SparkSession) -> None:
    rows = many(60)
    shuffled = list(np.random.default_rng(1).permutation(np.array(rows, dtype=object)))
    assert features(deliveries(spark, *rows)) == features(deliveries(spark, *shuffled).repartition(5))
