"""Zoe leaves every table and stays away; bob stays."""

from __future__ import annotations

import json
from functools import reduce
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from retail_spark.domains import entry
from retail_spark.erase.contracts import ERASURES
from retail_spark.erase.job import with_subjects
from retail_spark.errors import UsageError
from retail_spark.lake.commits import carry_out
from retail_spark.lake.query import tables
from retail_spark.lake.store import Lake
from retail_spark.lake.tombstones import TOMBSTONES
from retail_spark.lake.writers import append_once
from retail_spark.layers import resolve
from retail_spark.lifecycle import run_job
from retail_spark.local_rows import frame_of_rows
from retail_spark.progress import Progress
from retail_spark.run import Result
from tests.toy import LOG

HEADER = "id,at,visitor,customer,type\n"
ROWS = (
    '1,2024-03-05 10:00:00,"v""zoe",,page_view\n2,2024-03-05 10:05:00,"v""zoe",c1,page_view\n'
    "3,2024-03-05 10:00:00,v-bob,,page_view\n4,2024-03-05 10:10:00,v-bob,c10,page_view\n"
    '5,soon,"v""zoe",c1,page_view\n6,soon,v-bob,c10,page_view\n'
)
COLUMNS = {
    "event_id": "id",
    "occurred_at": "to_timestamp(at)",
    "visitor_id": "visitor",
    "customer_id": "customer",
    "event_type": "type",
}


def run(lake: Lake, folder: Path, job: str, *sets: str) -> Result:
    mapping = folder / "mapping.yml"
    given = {
        "data_root": str(folder),
        "source": "clicks",
        "inputs": {"clicks": {"path": str(folder / "*.csv"), "escape": '"'}},
        "tables": {"events": {"from": "clicks", "columns": COLUMNS}},
        "lake": {"root": lake.root},
        "quality": {"data_docs": False},
        "ingest": {"max_quarantined_share": 1.0},
    }
    mapping.write_text(json.dumps(given))
    quiet = Progress(job, quiet=True)
    return run_job(entry(job).job(), resolve(files=[mapping], sets=sets), spark=lake.spark, progress=quiet)


def mentions(lake: Lake, *texts: str) -> dict[str, int]:
    """Rows of each table in which one of the texts stands anywhere."""
    found = {}
    for table in tables(lake):
        row = F.to_json(F.struct("*"))
        count = lake.read(table).where(reduce(lambda a, b: a | b, [F.contains(row, F.lit(t)) for t in texts])).count()
        if count:
            found[str(table)] = count
    return found


@pytest.mark.slow
def test_a_customer_and_the_linked_visitor_leave_every_table_and_stay_away(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "clicks.csv").write_text(HEADER + ROWS)
    run(lake, folder, "ingest")
    run(lake, folder, "sessionize")
    left_behind = Path(lake.root) / "_staging" / "killed" / "rows"
    left_behind.mkdir(parents=True)
    before = mentions(lake, "zoe")
    assert {"silver.events", "silver.events_quarantine", "gold.sessions", "gold.session_events"} <= set(before)
    monkeypatch.setenv("LEAVERS", "c1\n")
    monkeypatch.setenv("SALT", "sea")
    salt = "privacy.salt=env:SALT"
    result = run(lake, folder, "erase", salt, "erase.customers=env:LEAVERS")
    assert mentions(lake, "zoe", '"c1"') == {}
    assert result.metrics["subjects"] == 2.0
    assert not left_behind.exists()
    assert lake.read(TOMBSTONES.table).count() == 2
    rows = {r.table_name: r.rows for r in lake.read(ERASURES.table).collect()}
    assert rows["silver.events"] == 2
    assert rows["silver.events_quarantine"] == 1
    assert mentions(lake, "v-bob")["silver.events"] == 2
    assert mentions(lake, "v-bob")["silver.events_quarantine"] == 1
    with pytest.raises(UsageError, match=r"privacy\.salt"):
        run(lake, folder, "ingest", "run.seed=1")
    again = run(lake, folder, "ingest", salt)
    assert (again.metrics["events.filtered"], again.metrics["events.kept"]) == (3.0, 2.0)
    run(lake, folder, "sessionize", salt)
    assert mentions(lake, "zoe", '"c1"') == {}
    assert mentions(lake, "v-bob")["gold.sessions"] == 1


def test_an_append_after_an_erasure_is_made_again(lake: Lake) -> None:
    frame = frame_of_rows(lake.spark, [("a", 1.0)], "id string, value double").withColumn("run_id", F.lit("r"))
    whole = frame.withColumn("model_version", F.lit(None).cast("string"))
    carry_out(lake, append_once(LOG, whole), run_id="r")
    carry_out(lake, append_once(LOG, whole), run_id="r")
    assert lake.read(LOG.table).count() == 1
    lake.spark.sql(f"DELETE FROM {lake.ref(LOG.table)} WHERE id = 'a'").collect()
    carry_out(lake, append_once(LOG, whole), run_id="r")
    assert lake.read(LOG.table).count() == 1


def test_nobody_named_or_no_salt_is_refused(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALT", "sea")
    monkeypatch.setenv("LEAVERS", "c1")
    with pytest.raises(UsageError, match="told of nobody"):
        run(lake, tmp_path, "erase", "privacy.salt=env:SALT")
    with pytest.raises(UsageError, match=r"privacy\.salt is not set"):
        run(lake, tmp_path, "erase", "erase.customers=env:LEAVERS")


def test_every_table_with_people_in_it_is_searched() -> None:
    names = {contract.name for contract in with_subjects()}
    assert {"silver.events", "silver.sales_quarantine", "gold.recommendations", "gold.sessions", "raw.events"} <= names
    assert {"gold.visitor_identities", "gold.session_dead_letters", "truth.sessions"} <= names
