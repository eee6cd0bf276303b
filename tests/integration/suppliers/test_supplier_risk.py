"""The job in the whole life of a run, on some hundred made-up shipments."""

from __future__ import annotations

import json
from typing import Any

import mlflow
import pytest
from pydantic import create_model

from retail_spark.config.section import LakeSettings, QualitySettings, Settings
from retail_spark.domains.supplier_risk.job import JOB
from retail_spark.domains.supplier_risk.served import Scorer
from retail_spark.domains.supplier_risk.settings import JobSettings
from retail_spark.engine.job import Result
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.errors import InputError
from retail_spark.lake.commit import carry_out
from retail_spark.lake.content_hash import content_hash
from retail_spark.lake.contract import Contract
from retail_spark.lake.lake import Lake
from retail_spark.lake.write import replace_slice
from retail_spark.tables.silver import DELIVERIES
from retail_spark.tables.supplier_risk import DELIVERY_RISK, SUPPLIER_LEVELS, SUPPLIER_RISK
from retail_spark.tables.values import CONTRIBUTION_BASE as BASE
from tests.unit.suppliers.orders import at_noon, day, deliveries, many, order

SMALL: dict[str, Any] = {
    "history_keys": (("supplier_id",), ("supplier_id", "destination_country")), "recent_days": (90,), "trees": 25,
    "forest": 1, "subsample": 0.5, "reg_lambda": 1.0, "replicates": 40, "calibration_slices": 1, "min_lines": 50,
    "predict_days_before_promise": 5,
    "exclude_suppliers": ("warehouse",),
}  # fmt: skip


def settings_of(lake: Lake, **given: Any) -> Settings:
    whole = create_model("Whole", __base__=Settings, supplier_risk=(JobSettings, JobSettings(**(SMALL | given))))
    return whole(lake=LakeSettings(root=lake.root), quality=QualitySettings(data_docs=False))


def put(lake: Lake, rows: list[dict[str, Any]]) -> None:
    frame = deliveries(lake.spark, *rows)
    carry_out(lake, replace_slice(DELIVERIES, frame, source="made_up"), run_id=f"input{len(rows)}")


def run(lake: Lake, *, force: bool = False, **given: Any) -> Result:
    quiet = Progress("supplier_risk", quiet=True)
    return run_job(JOB, settings_of(lake, **given), spark=lake.spark, force=force, progress=quiet)


@pytest.mark.slow
def test_the_job_learns_registers_and_writes_its_tables(lake: Lake) -> None:
    rows = many(2_000, days=700, dear_are_late=0.4)
    about = {"order_value": 200.0, "destination_country": "DE", "ordered_at": rows[0]["ordered_at"]}
    open_rows = [
        order(
            500_000 + n,
            promised=707 + n % 9,
            delivered=None,
            shipment_id=f"open{n}",
            supplier_id=f"s{n % 8}",
            ship_mode=("air", "sea")[n % 2],
            origin_country=("CN", "PL")[n % 2],
            **about,
        )
        for n in range(40)
    ]
    warehouse = [order(900_000, promised=690, delivered=695, supplier_id="warehouse", order_value=1e9)]
    known = [row for row in rows if row["recorded_on"] <= day(704)]
    put(lake, [*known, *open_rows, *warehouse])
    first = run(lake)
    assert first.status == "done"
    assert first.metrics["auc"] > 0.65
    assert first.metrics["brier"] < first.metrics["brier_constant"]
    scored = {r.delivery_id: r for r in lake.read(DELIVERY_RISK.table).collect()}
    assert {row["delivery_id"] for row in open_rows} <= set(scored)
    for row in scored.values():
        assert sum(row.contributions.values()) == pytest.approx(row.margin, abs=1e-4)
        assert BASE in row.contributions
        assert row.delay_p50_days <= row.delay_p90_days
    by_supplier = {r.supplier_id: r for r in lake.read(SUPPLIER_RISK.table).collect()}
    assert set(by_supplier) == {f"s{n}" for n in range(8)}, "the warehouse is no supplier"
    assert by_supplier["s7"].late_rate > by_supplier["s0"].late_rate
    assert by_supplier["s7"].late_rate_low <= by_supplier["s7"].late_rate <= by_supplier["s7"].late_rate_high
    assert sum(r.value_share for r in by_supplier.values()) == pytest.approx(1.0)
    assert any("shipments late" in reason for reason in by_supplier["s7"].reasons)
    assert lake.read(SUPPLIER_LEVELS.table).where("level = 'all'").count() == 1
    assert_the_registered_model_scores_alike(lake)
    assert run(lake).status == "unchanged"


def assert_the_registered_model_scores_alike(lake: Lake) -> None:
    from retail_spark.registry.connection import Connection

    with Connection.of(settings_of(lake)).talking():
        model = mlflow.pyfunc.load_model("models:/retail_spark_supplier_risk@champion")
    example = model.metadata.get_input_schema().input_names()
    inner = model.unwrap_python_model().served
    assert isinstance(inner, Scorer)
    assert tuple(example) == inner.encoder.names
    shown = model.input_example
    answer = model.predict(shown)
    parts = [json.loads(text) for text in answer["contributions"]]
    assert [sum(part.values()) for part in parts] == pytest.approx(answer["margin"].tolist(), abs=1e-4)
    assert answer["p_late"].between(0, 1).all()


@pytest.mark.slow
def test_a_column_that_decides_the_label_is_refused_by_name(lake: Lake) -> None:
    rows = many(160)
    for row in rows:
        row["attributes"] = {"status": "late" if row["delivered_on"] > row["promised_on"] else "fine"}
    put(lake, rows)
    with pytest.raises(InputError, match=r"status \(AUC 1.000\)"):
        run(
            lake, category_columns=("supplier_id", "status"), history_keys=(("supplier_id",),), recent_days=(),
            min_lines=20,
        )  # fmt: skip


@pytest.mark.slow
def test_too_few_lines_are_scored_by_the_shrunk_rate(lake: Lake) -> None:
    put(
        lake,
        [
            order(1, promised=10, delivered=15),
            order(2, promised=11, delivered=11, supplier_id="other", ordered_at=None),
            order(3, promised=20, delivered=None, quantity_ordered=5.0),
            order(4, promised=13, delivered=None, supplier_id="other"),
        ],
    )
    found = run(lake)
    assert found.status == "done"
    assert found.model is None
    scored = {r.delivery_id: r for r in lake.read(DELIVERY_RISK.table).collect()}
    assert scored["d00003"].contributions == {BASE: scored["d00003"].margin}
    assert scored["d00003"].delay_p50_days is None
    assert (scored["d00004"].is_overdue, scored["d00004"].p_late) == (True, 1.0)
    assert not scored["d00003"].is_overdue
    risks = {r.supplier_id: r for r in lake.read(SUPPLIER_RISK.table).collect()}
    assert risks["acme"].late_rate > risks["other"].late_rate
    assert risks["other"].reasons[0] == "1 open lines are past the day promised"
    contents = [content_hash(lake.read(c.table)) for c in (SUPPLIER_RISK, DELIVERY_RISK, SUPPLIER_LEVELS)]
    assert run(lake, force=True).status == "done"
    assert [content_hash(lake.read(c.table)) for c in (SUPPLIER_RISK, DELIVERY_RISK, SUPPLIER_LEVELS)] == contents


def may_be_empty(contract: Contract) -> set[str]:
    return {column.name for column in contract.columns if column.nullable}


@pytest.mark.slow
def test_every_column_that_may_be_empty_is_empty_for_the_supplier_that_leaves_it_so(lake: Lake) -> None:
    """So it stands in real data as of a past date: all lines open, no order date, no value, no units, no category."""
    ago = at_noon(0)
    put(
        lake,
        [
            order(1, promised=10, delivered=15, category="tea", order_value=5.0, ordered_at=ago, recorded_on=day(15)),
            order(2, promised=12, delivered=12, quantity_received=0.0, quantity_rejected=0.0, ordered_at=at_noon(20)),
            order(3, promised=20, delivered=None, supplier_id="new"),
            order(4, promised=20, delivered=None, supplier_id="bare", order_value=None, quantity_ordered=0.0),
            order(5, promised=5, delivered=None, supplier_id="never", ordered_at=ago),
            order(6, promised=6, delivered=None, supplier_id="never", ordered_at=ago),
            order(7, promised=20, delivered=None, supplier_id="gone", cancelled_on=day(3)),
            order(8, promised=12, delivered=12, supplier_id="S1 | a", category="b"),
            order(9, promised=12, delivered=12, supplier_id="S1", category="a | b"),
        ],
    )
    first = run(lake)
    assert first.status == "done"
    assert first.metrics["contradictory_lines"] == 1
    risks = {row.supplier_id: row for row in lake.read(SUPPLIER_RISK.table).collect()}
    assert set(risks) == {"acme", "new", "bare", "never", "S1", "S1 | a"}, "who has a cancelled line alone has no row"
    empty = {name: {column for column, value in row.asDict().items() if value is None} for name, row in risks.items()}
    never_told = {"hhi_country", "changed_on", "changed_what", "model_version"}
    lead_times, units = {"lead_time_p50_days", "lead_time_p90_days"}, {"fill_rate", "defect_rate"}
    assert empty == {
        "acme": never_told | {"defect_rate"},
        "new": never_told | lead_times | units | {"otif_rate", "trend"},
        "bare": never_told | lead_times | units | {"otif_rate", "trend"},
        "never": never_told | lead_times | units,
        "S1": never_told | lead_times | units,
        "S1 | a": never_told | lead_times | units,
    }
    counted = {"overdue_deliveries", "contradictory_lines"}  # new columns must be nullable; they are never empty
    assert may_be_empty(SUPPLIER_RISK) - set().union(*empty.values()) == counted
    assert risks["acme"].trend == "steady"
    assert (risks["never"].p_late, risks["never"].deliveries, risks["never"].overdue_deliveries) == (1.0, 0, 2)
    assert risks["never"].late_rate > risks["acme"].late_rate > risks["S1"].late_rate
    assert risks["new"].late_rate == pytest.approx(risks["bare"].late_rate)
    lines = {row.delivery_id: row for row in lake.read(DELIVERY_RISK.table).collect()}
    assert set(lines) == {"d00003", "d00004", "d00005", "d00006"}, "a cancelled line is not open"
    assert lines["d00003"].delay_p50_days is lines["d00003"].delay_p90_days is None
    levels = lake.read(SUPPLIER_LEVELS.table).collect()
    assert {r.member for r in levels if r.level == "supplier"} == {"acme", "new", "bare", "never", "S1", r"S1 \| a"}
    assert {r.category for r in levels if r.supplier_id == "S1"} == {None, "a | b"}


def test_no_line_known_by_as_of_is_said(lake: Lake) -> None:
    put(lake, [order(1, promised=10, delivered=15, supplier_id="warehouse")])
    with pytest.raises(InputError, match="holds no line beside warehouse"):
        run(lake)
