"""Changes are found where they are, seldom where they are not, and a shock of a lane is one."""

from __future__ import annotations

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from retail_spark.domains.supplier_risk.changes import to_changes, to_outcomes
from retail_spark.domains.supplier_risk.deliveries import to_lines
from retail_spark.domains.supplier_risk.rates import with_lane
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.stats.change_detection import Rule
from tests.unit.suppliers.orders import EPOCH, at_noon, day, deliveries, order

RULE = Rule(odds_ratio=3.0, years=10.0, min_known=20, prior_weight=20.0)
_SCHEMA = "shipment string, supplier_id string, lane string, day int, late int, slow int"
RNG = np.random.default_rng(11)


def outcomes(spark: SparkSession, *, suppliers: int, lanes: int, p: object, days: int = 400) -> DataFrame:
    """A shipment a day and supplier; p(supplier, lane, day) is its probability to be late."""
    rows = [
        (f"{s}-{d}", f"s{s}", f"lane{s % lanes}", d, int(RNG.random() < p(s, s % lanes, d)), None)  # type: ignore[operator]
        for s in range(suppliers)
        for d in range(days)
    ]
    return frame_of_rows(spark, rows, _SCHEMA)


def changes(frame: DataFrame) -> dict[str, dict[str, tuple[int, str]]]:
    """Level -> member -> day and direction of the last change."""
    found: dict[str, dict[str, tuple[int, str]]] = {"lane": {}, "supplier": {}}
    for r in to_changes(frame, rule=RULE).collect():
        found[r.level][r.member] = ((r.changed_on - EPOCH).days, r.changed_what)
    return found


def test_changes_of_some_suppliers_are_found_where_they_are(spark: SparkSession) -> None:
    changed = {1, 4, 7}
    frame = outcomes(spark, suppliers=12, lanes=2, p=lambda s, lane, d: 0.5 if s in changed and d >= 250 else 0.12)
    found = changes(frame)["supplier"]
    assert set(found) == {f"s{n}" for n in changed}
    assert {what for _, what in found.values()} == {"late_up"}
    assert np.median([abs(start - 250) for start, _ in found.values()]) <= 14


def test_a_shock_of_a_lane_is_one_event_and_not_as_many_as_its_suppliers(spark: SparkSession) -> None:
    frame = outcomes(spark, suppliers=16, lanes=2, p=lambda s, lane, d: 0.5 if lane == 1 and d >= 250 else 0.12)
    found = changes(frame)
    lanes = found["lane"]
    assert set(lanes) == {"lane1"}
    assert abs(lanes["lane1"][0] - 250) <= 14
    assert len(found["supplier"]) <= 1, "eight suppliers were hit, and none of them by itself"


def test_lead_times_that_grow_are_seen_as_slower(spark: SparkSession) -> None:
    def lead(number: int) -> int:
        return int(RNG.normal(20 if number < 200 else 30, 4))

    rows = [
        order(n, promised=n + 40, delivered=n + lead(n), ordered_at=at_noon(n), ship_mode="sea") for n in range(300)
    ]
    lines = to_lines(deliveries(spark, *rows), as_of=day(400), predict_days=30, outcome_known="recorded")
    found = to_outcomes(with_lane(lines), as_of_day=(day(400) - EPOCH).days)
    rows_ = to_changes(found, rule=RULE).where("level = 'supplier'").collect()
    assert [(r.member, r.changed_what) for r in rows_] == [("acme", "slower")]
    assert abs((rows_[0].changed_on - day(240)).days) <= 21


def test_an_overdue_line_is_late_and_a_line_of_this_week_is_not_judged(spark: SparkSession) -> None:
    lines = to_lines(
        deliveries(
            spark,
            order(1, promised=10, delivered=None, ordered_at=at_noon(0)),
            order(2, promised=97, delivered=96, ordered_at=at_noon(0)),
            order(3, promised=20, delivered=21, ordered_at=at_noon(0)),
        ),
        as_of=day(100), predict_days=30, outcome_known="recorded",
    )  # fmt: skip
    rows = to_outcomes(with_lane(lines), as_of_day=(day(100) - EPOCH).days).collect()
    found = {r.day: r.late for r in rows}
    assert found == {(day(10) - EPOCH).days: 1, (day(20) - EPOCH).days: 1}
