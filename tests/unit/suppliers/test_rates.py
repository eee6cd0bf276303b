from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.domains.supplier_risk.concentration import to_concentration, with_spend_country
from retail_spark.domains.supplier_risk.deliveries import to_lines
from retail_spark.domains.supplier_risk.outputs import Window, to_days_late, to_trend
from retail_spark.domains.supplier_risk.rates import to_fill, to_lead_times, to_level_rates, to_otif, with_lane
from retail_spark.domains.supplier_risk.score import with_score
from retail_spark.domains.supplier_risk.settings import JobSettings
from retail_spark.frames.local_rows import frame_of_rows
from tests.unit.suppliers.orders import EPOCH, at_noon, day, deliveries, order

AS_OF = 100
TODAY = (day(AS_OF) - EPOCH).days


def judged(spark: SparkSession, *rows: dict[str, object]) -> DataFrame:
    known = to_lines(deliveries(spark, *rows), as_of=day(AS_OF), predict_days=30, outcome_known="recorded")
    return with_lane(known)


def test_rates_shrink_from_level_to_level_and_count_shipments(spark: SparkSession) -> None:
    lines = judged(
        spark,
        order(1, promised=10, delivered=12, shipment_id="a", origin_country="CN", destination_country="DE"),
        order(2, promised=10, delivered=12, shipment_id="a", origin_country="CN", destination_country="DE"),
        order(3, promised=20, delivered=20, origin_country="PL", destination_country="DE"),
        order(4, promised=30, delivered=30, supplier_id="other", origin_country="PL", destination_country="DE"),
    )
    rows = {(r.level, r.member): r for r in to_level_rates(lines, as_of_day=TODAY, prior_weight=20.0).collect()}
    overall = (1 + 2 * 0.1) / (3 + 2)
    acme = (1 + 20 * overall) / (2 + 20)
    assert rows["all", "*"].late_rate == pytest.approx(overall)
    assert (rows["supplier", "acme"].deliveries, rows["supplier", "acme"].late) == (2, 1)
    assert rows["supplier", "acme"].late_rate == pytest.approx(acme)
    lane = rows["supplier_lane", "acme | CN > DE"]
    assert lane.late_rate == pytest.approx((1 + 20 * acme) / 21)
    assert rows["lane", "PL > DE"].suppliers == 2
    for row in rows.values():
        assert 0 <= row.late_rate_low <= row.late_rate <= row.late_rate_high <= 1
    assert rows["supplier", "acme"].late_rate_high - rows["supplier", "acme"].late_rate_low > 0.2


def test_who_never_delivers_has_the_worst_rate_and_the_longest_delays(spark: SparkSession) -> None:
    """21 orders, one on time and 20 overdue by up to 90 days, beside 4 late of 20."""
    never = [order(0, promised=5, delivered=5, supplier_id="never")]
    never += [order(n, promised=9 + 4 * n, delivered=None, supplier_id="never") for n in range(1, 21)]
    some = [order(100 + n, promised=50, delivered=52 if n < 4 else 50, supplier_id="some") for n in range(20)]
    # of a shipment that has come in part the outcome is known
    part = [order(200 + n, promised=50, delivered=(50, None)[n], supplier_id="part", shipment_id="s") for n in (0, 1)]
    ahead = [order(300, promised=AS_OF, delivered=None, supplier_id="ahead")]
    lines = judged(spark, *never, *some, *part, *ahead)
    rates = to_level_rates(lines, as_of_day=TODAY, prior_weight=20.0).where("level = 'supplier'").collect()
    found = {r.member: r for r in rates}
    assert {name: (r.deliveries, r.overdue, r.late) for name, r in found.items()} == {
        "never": (1, 20, 20),
        "some": (20, 0, 4),
        "part": (1, 0, 0),
        "ahead": (0, 0, 0),
    }
    assert found["never"].late_rate > 0.5 + found["some"].late_rate / 2
    window = Window(day(AS_OF), 1000, 180)
    days = {r.supplier_id: r.days_late for r in to_days_late(lines, window=window, prior_weight=20.0).collect()}
    assert days["never"] > days["some"]
    trends = {r.supplier_id: r.trend for r in to_trend(lines, window=window, prior_weight=20.0).collect()}
    assert trends == {"never": "steady", "some": "steady", "part": "steady"}, (
        "nothing came before; of ahead nothing at all"
    )


def test_members_whose_joined_names_would_meet_stay_apart(spark: SparkSession) -> None:
    lines = judged(
        spark,
        order(1, promised=10, delivered=12, supplier_id="S1 | a", category="b", origin_country="x > y"),
        order(2, promised=10, delivered=10, supplier_id="S1", category="a | b", origin_country="x > y"),
        order(3, promised=10, delivered=10, supplier_id="S1", origin_country="x", destination_country="y > (unknown)"),
    )
    rows = to_level_rates(lines, as_of_day=TODAY, prior_weight=20.0).collect()
    assert len({(r.level, r.member) for r in rows}) == len(rows)
    by_level = {
        level: [r for r in rows if r.level == level] for level in ("supplier", "lane", "supplier_lane_category")
    }
    assert {level: len(own) for level, own in by_level.items()} == {
        "supplier": 2,
        "lane": 2,
        "supplier_lane_category": 3,
    }
    assert {(r.supplier_id, r.category) for r in by_level["supplier_lane_category"]} == {
        ("S1 | a", "b"),
        ("S1", "a | b"),
        ("S1", "(unknown)"),
    }


@pytest.mark.parametrize(
    ("level", "rate"), [("line", 2 / 4), ("order", 0 / 2), ("case", 30 / 55)]
)  # lines: on time, short, early, overdue
def test_otif_by_level(spark: SparkSession, level: str, rate: float) -> None:
    lines = judged(
        spark,
        order(1, promised=10, delivered=11, purchase_order_id="x", quantity_ordered=25.0, quantity_received=25.0),
        order(2, promised=10, delivered=10, purchase_order_id="x", quantity_ordered=10.0, quantity_received=9.0),
        order(3, promised=30, delivered=5, purchase_order_id="y", quantity_ordered=5.0),
        order(4, promised=90, delivered=None, purchase_order_id="y", quantity_ordered=15.0),
        order(5, promised=100, delivered=None, purchase_order_id="z"),  # within its tolerance: not yet judged
    )
    found = to_otif(lines, as_of_day=TODAY, level=level, late_days=1, early_days=None, full_share=1.0)
    assert found.collect()[0].otif_rate == pytest.approx(rate)


def test_too_early_is_not_on_time_where_the_settings_say_so(spark: SparkSession) -> None:
    lines = judged(spark, order(1, promised=30, delivered=5), order(2, promised=30, delivered=28))
    found = to_otif(lines, as_of_day=0, level="line", late_days=0, early_days=3, full_share=1.0)
    assert found.collect()[0].otif_rate == 0.5


def test_fill_counts_no_line_above_its_order_and_only_what_is_told(spark: SparkSession) -> None:
    lines = judged(
        spark,
        order(1, promised=10, delivered=10, quantity_received=15.0, quantity_rejected=3.0),
        order(2, promised=10, delivered=10, quantity_received=5.0),
        order(3, promised=10, delivered=10),
        order(4, promised=10, delivered=10, supplier_id="silent"),
    )
    rows = {r.supplier_id: r for r in to_fill(lines).collect()}
    assert rows["acme"].fill_rate == pytest.approx(15 / 20)
    assert rows["acme"].defect_rate == pytest.approx(3 / 15)
    assert rows["silent"].fill_rate is None
    assert rows["silent"].defect_rate is None


def test_lead_times_count_open_orders_as_censored(spark: SparkSession) -> None:
    def run(number: int, start: int, end: int | None) -> dict[str, object]:
        return order(number, promised=90, delivered=end, ordered_at=at_noon(start))

    # days 10, 20, open after 25, 40: survival 3/4, 1/2, and then 0 at day 40
    lines = judged(spark, run(1, 0, 10), run(2, 0, 20), run(3, 75, None), run(4, 0, 40))
    row = to_lead_times(lines, as_of_day=TODAY, shares=(0.5, 0.9)).collect()[0]
    assert (row.lead_time_p50_days, row.lead_time_p90_days) == (20.0, 40.0)
    # were it left out, half would have come after 20 days too; were two open for long, 90 % would not be known
    lines = judged(spark, run(1, 0, 10), run(2, 0, 20), run(3, 1, None), run(4, 1, None))
    row = to_lead_times(lines, as_of_day=TODAY, shares=(0.5, 0.9)).collect()[0]
    assert (row.lead_time_p50_days, row.lead_time_p90_days) == (20.0, None)


def test_an_order_after_its_delivery_is_told_and_has_no_lead_time(spark: SparkSession) -> None:
    lines = judged(
        spark,
        order(1, promised=90, delivered=10, ordered_at=at_noon(20)),
        order(2, promised=90, delivered=20, ordered_at=at_noon(0)),
        order(3, promised=90, delivered=20, ordered_at=at_noon(21)),  # told in UTC: the same day elsewhere
        order(4, promised=90, delivered=9, ordered_at=at_noon(20), supplier_id="odd"),
    )
    assert {r.delivery_id for r in lines.where("is_contradictory").collect()} == {"d00001", "d00004"}
    rows = {r.supplier_id: r for r in to_lead_times(lines, as_of_day=TODAY, shares=(0.25, 0.9)).collect()}
    assert set(rows) == {"acme"}, "who has no other line has no lead time"
    assert (rows["acme"].lead_time_p25_days, rows["acme"].lead_time_p90_days) == (0.0, 20.0)


def test_a_line_that_comes_in_parts_is_one_line_of_otif_and_fill(spark: SparkSession) -> None:
    def part(number: int, came: int | None, units: float | None, **more: object) -> dict[str, object]:
        return order(number, promised=30, delivered=came, quantity_ordered=100.0, quantity_received=units,
                     purchase_order_id="po", **more)  # fmt: skip

    lines = judged(
        spark,
        part(1, 10, 60.0, order_line_id="in time"),
        part(2, 20, 40.0, order_line_id="in time"),
        part(3, 10, 60.0, order_line_id="late rest"),
        part(4, 35, 40.0, order_line_id="late rest"),
        part(5, 10, 60.0, order_line_id="rest cancelled"),
        part(6, None, None, order_line_id="rest cancelled", cancelled_on=day(40)),
        part(7, 10, 60.0, order_line_id="rest open"),
        part(8, None, None, order_line_id="rest open"),
    ).orderBy("order_line_id")
    rows = {r.order_line_id: r for r in lines.collect()}
    assert {name: (r.is_late, r.quantity_received, r.quantity_ordered, r.delay_days) for name, r in rows.items()} == {
        "in time": (0, 100.0, 100.0, -10),
        "late rest": (1, 100.0, 100.0, 5),
        "rest cancelled": (0, 60.0, 100.0, -20),
        "rest open": (None, 60.0, 100.0, None),
    }
    assert rows["rest open"].delivery_id == "d00008"
    otif = to_otif(lines, as_of_day=TODAY, level="line", late_days=0, early_days=None, full_share=1.0)
    assert otif.collect()[0].otif_rate == 1 / 4
    assert to_fill(lines).collect()[0].fill_rate == pytest.approx(260 / 300)


def test_concentration_by_hand(spark: SparkSession) -> None:
    lines = judged(
        spark,
        order(1, promised=10, delivered=10, order_value=60.0, category="tea", product_id="t", origin_country="CN"),
        order(2, promised=10, delivered=10, order_value=20.0, category="tea", product_id="t", supplier_id="b",
              origin_country="CN"),
        order(3, promised=10, delivered=10, order_value=20.0, category="cup", product_id="c", supplier_id="b"),
        order(4, promised=10, delivered=10, order_value=0.0, category="cup", product_id="c", supplier_id="gift"),
    )  # fmt: skip
    rows = {r.supplier_id: r for r in to_concentration(with_spend_country(lines, suppliers=None)).collect()}
    tea = 0.75**2 + 0.25**2
    assert rows["acme"].value_share == pytest.approx(0.6)
    assert rows["acme"].hhi == pytest.approx(tea)
    assert rows["b"].hhi == pytest.approx((tea + 1) / 2)
    assert rows["b"].hhi_country == pytest.approx(tea)
    assert rows["gift"].hhi == pytest.approx(1.0), "worth nothing: the plain mean over its categories"
    assert rows["gift"].hhi_country is None
    assert not any(row.is_single_source for row in rows.values()), "each product has two sources"
    alone = judged(spark, order(1, promised=10, delivered=10, product_id="t", order_value=None))
    row = to_concentration(with_spend_country(alone, suppliers=None)).collect()[0]
    assert (row.is_single_source, row.value_share, row.hhi) == (True, 0.0, 0.0)


_INPUTS = ("p_late", "days_late", "value_share", "hhi", "hhi_country")


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5), st.booleans(), st.integers(0, 5), st.floats(0.01, 1))
def test_value_at_risk_is_monotone_in_each_input(values: list[float], single: bool, which: int, more: float) -> None:
    """The formula in plain numbers; the next test holds Spark's to it."""
    before = plain_score(values, single)
    raised = [v + more if n == which else v for n, v in enumerate(values)]
    assert plain_score(raised, single or which == 5) >= before - 1e-12


def plain_score(values: list[float], single: bool) -> float:
    p, days, share, hhi, country = values
    s = JobSettings()
    cost = s.cost_of_being_late + s.cost_per_day_late * days
    extra = s.concentration_weight * max(hhi, country) + s.single_source_weight * single
    return 100 * (1 - float(np.exp(-p * cost * share * (1 + extra) / s.score_reference)))


def test_the_score_in_spark_is_the_plain_one_and_its_bands_rise(spark: SparkSession) -> None:
    rng = np.random.default_rng(4)
    rows = [(*map(float, rng.random(5) * [1, 20, 0.2, 1, 1]), bool(rng.integers(2))) for _ in range(200)]
    frame = frame_of_rows(spark, rows, ", ".join(f"{n} double" for n in _INPUTS) + ", is_single_source boolean")
    s = JobSettings()
    found = frame.transform(
        with_score, reference=s.score_reference, bands=s.bands, cost_per_day_late=s.cost_per_day_late,
        cost_of_being_late=s.cost_of_being_late, concentration_weight=s.concentration_weight,
        single_source_weight=s.single_source_weight,
    ).collect()  # fmt: skip
    for row in found:
        expected = plain_score([row[n] for n in _INPUTS], row.is_single_source)
        assert row.risk_score == pytest.approx(expected, abs=1e-9)
        band = "low" if expected < 20 else "medium" if expected < 50 else "high" if expected < 80 else "critical"
        assert row.risk_band == band
    assert {row.risk_band for row in found} == {"low", "medium", "high", "critical"}
    nothing = frame.limit(1).withColumn("p_late", F.lit(0.0))
    zero = nothing.transform(
        with_score, reference=1.0, bands=s.bands, cost_per_day_late=1.0, cost_of_being_late=1.0,
        concentration_weight=1.0, single_source_weight=1.0,
    )  # fmt: skip
    assert zero.collect()[0].risk_score == 0
