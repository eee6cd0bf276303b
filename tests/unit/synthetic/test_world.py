from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from retail_spark.engine.settings_layers import resolve
from retail_spark.ingest.mapping import mapping_of
from retail_spark.synthetic.contracts import RAW, TRUTH
from retail_spark.synthetic.faults import FAULTS
from retail_spark.synthetic.settings import SCALES, JobSettings, World
from retail_spark.tables.silver import SILVER

MAPPING = Path(__file__).parents[3] / "conf" / "sources" / "synthetic.yml"


def test_history_is_whole_weeks_that_end_on_the_given_day() -> None:
    world = World.of(JobSettings(weeks=10, end_on=date(2024, 12, 29)))
    assert world.days == 70
    assert world.start_on == date(2024, 10, 21)
    assert world.start_on.weekday() == 0


def test_a_count_that_is_given_wins_over_the_size() -> None:
    world = World.of(JobSettings(size="tiny", stores=7, bad_rows=0))
    assert (world.scale.stores, world.scale.bad_rows) == (7, 0)
    assert world.scale.products == SCALES["tiny"].products


@pytest.mark.parametrize("size", SCALES)
def test_pools_hold_some_twenty_customers_of_a_store(size: str) -> None:
    world = World.of(JobSettings.model_validate({"size": size}))
    in_a_pool = world.scale.customers / world.scale.stores / world.pools
    assert in_a_pool >= 20
    assert world.slots >= 8 * in_a_pool


def test_true_demand_is_written_if_tiny_or_asked_for() -> None:
    assert World.of(JobSettings(size="tiny")).writes_demand
    assert not World.of(JobSettings(size="small")).writes_demand
    assert World.of(JobSettings(size="large", demand=True)).writes_demand


def test_wrong_sizes_and_shares_are_refused() -> None:
    for wrong in ({"size": "huge"}, {"listed_share": 0.0}, {"weeks": 3}, {"customer": 5}):
        with pytest.raises(ValidationError):
            JobSettings.model_validate(wrong)


def test_the_ready_mapping_fills_every_canonical_table() -> None:
    settings = resolve(files=[MAPPING])
    mapping = mapping_of(settings)
    assert set(mapping.tables) == {contract.table.parts[-1] for contract in SILVER}
    assert {spec.table for spec in mapping.inputs.values()} == {contract.name for contract in RAW}


def test_the_ready_mapping_leaves_no_raw_column_unused() -> None:
    mapping = mapping_of(resolve(files=[MAPPING]))
    for contract in RAW:
        used = " ".join(mapping.tables[contract.table.parts[-1]].columns.values())
        assert [name for name in contract.names if name != "retailer" and name not in used] == []


def test_exports_are_texts_and_customers_are_marked_for_erasure() -> None:
    assert {column.type.simpleString() for contract in RAW for column in contract.columns} == {"string"}
    marked = {(contract.name, name) for contract in (*RAW, *TRUTH) for name in contract.subjects}
    assert {("raw.sales", "card"), ("raw.events", "visitor"), ("truth.customers", "customer_id")} <= marked


def test_faults_name_columns_that_the_export_has() -> None:
    for fault in FAULTS:
        assert set(fault.values) | set(fault.twin or {}) <= set(fault.table.names)
        assert bool(fault.values) != (fault.twin is not None)
    assert len({(fault.table.name, fault.kind) for fault in FAULTS}) == len(FAULTS)
