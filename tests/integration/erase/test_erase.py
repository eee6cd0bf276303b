"""Zoe leaves every table and stays away; bob stays."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import reduce
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from retail_spark.config.secrets import SecretRef
from retail_spark.engine.catalogue import entry
from retail_spark.engine.job import Result
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.engine.settings_layers import resolve
from retail_spark.erase.deletion import Erased, erase_from
from retail_spark.erase.job import with_subjects
from retail_spark.errors import UsageError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.commit import carry_out
from retail_spark.lake.lake import Lake
from retail_spark.lake.sql import tables
from retail_spark.lake.tombstones import TOMBSTONES, tokens_of, with_erased
from retail_spark.lake.write import append_once, upsert
from retail_spark.tables.erasures import ERASURES
from retail_spark.tables.silver import EVENTS, quarantine_of
from tests.toy import LOG

QUARANTINE = quarantine_of(EVENTS)
PEOPLE_LOG = replace(LOG, columns=tuple(replace(c, subject=c.name == "id") for c in LOG.columns))

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
    monkeypatch.setenv("LEAVERS", "customer_id\nc1\nnobody\n")
    monkeypatch.setenv("SALT", "sea")
    salt = "privacy.salt=env:SALT"
    result = run(lake, folder, "erase", salt, "erase.customers=env:LEAVERS")
    assert mentions(lake, "zoe", '"c1"') == {}
    assert (result.metrics["subjects"], result.metrics["ids_without_rows"]) == (3.0, 1.0)
    assert not left_behind.exists()
    assert lake.read(TOMBSTONES.table).count() == 3
    rows = {r.table_name: r.rows for r in lake.read(ERASURES.table).collect()}
    assert rows["silver.events"] == 2
    assert rows["silver.events_quarantine"] == 1
    assert mentions(lake, "v-bob")["silver.events"] == 2
    assert mentions(lake, "v-bob")["silver.events_quarantine"] == 1
    with pytest.raises(UsageError, match=r"privacy\.salt"):
        run(lake, folder, "ingest", "run.seed=1")
    malformed = '7,2024-03-05,x,y,"v""zoe",c1\n'  # out of place, people are not recognised
    (folder / "clicks.csv").write_text(HEADER + ROWS + malformed)
    again = run(lake, folder, "ingest", salt)
    assert (again.metrics["events.filtered"], again.metrics["events.kept"]) == (3.0, 2.0)
    assert again.metrics["events.quarantined.malformed_line"] == 1.0
    run(lake, folder, "sessionize", salt)
    assert mentions(lake, "zoe", '"c1"') == {}
    assert mentions(lake, "v-bob")["gold.sessions"] == 1


def test_an_append_after_an_erasure_is_made_again(lake: Lake) -> None:
    frame = frame_of_rows(lake.spark, [("a", 1.0)], "id string, value double").withColumn("run_id", F.lit("r"))
    whole = frame.withColumn("model_version", F.lit(None).cast("string"))
    carry_out(lake, append_once(LOG, whole), run_id="r")
    carry_out(lake, append_once(LOG, whole), run_id="r")
    assert lake.read(LOG.table).count() == 1
    assert erase_from(lake, PEOPLE_LOG, ["a"], run_id="erasing") == Erased(LOG.name, 1, frozenset({"a"}))
    assert lake.read(LOG.table).isEmpty()
    carry_out(lake, append_once(LOG, whole), run_id="r")
    assert lake.read(LOG.table).count() == 1


def test_a_person_leaves_raw_text_and_no_log_keeps_the_id(lake: Lake) -> None:
    texts = {
        "json": '{"who": "c1"}',
        "line": json.dumps({"_malformed": "7,soon,c1,x"}),
        "nested": json.dumps({"_malformed": json.dumps({"who": "c1"})}),
        "other": '{"who": "c10"}',
        "joined": json.dumps({"_malformed": "7,soon,x-c1,x"}),
    }
    rows = [("s", name, "bad_line", None, text, "h", "r") for name, text in texts.items()]
    frame = frame_of_rows(lake.spark, rows, QUARANTINE.schema)
    carry_out(lake, append_once(QUARANTINE, frame), run_id="r")
    assert erase_from(lake, QUARANTINE, ["c1", "absent"], run_id="e") == Erased(QUARANTINE.name, 3, frozenset({"c1"}))
    assert {row.source_file for row in lake.read(QUARANTINE.table).collect()} == {"other", "joined"}
    log = "".join(file.read_text() for file in Path(lake.path(QUARANTINE.table)).glob("_delta_log/*.json"))
    assert "absent" not in log
    assert "MERGE" in log
    assert '"c1' not in log.replace("\\", "").split("MERGE")[1], "the statement that deletes holds no id"


def test_a_salt_stands_in_no_plan_and_a_tombstone_is_known_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALT", "canary-of-the-sea")
    tokens = [(token, "r") for token in tokens_of(["c1"], salt="canary-of-the-sea")]
    carry_out(lake, upsert(TOMBSTONES, frame_of_rows(lake.spark, tokens, TOMBSTONES.schema)), run_id="r")
    people = frame_of_rows(lake.spark, [("c1", 1), ("c2", 2), (None, 3)], "who string, n int")
    flagged = people.transform(with_erased, lake, columns=["who"], salt=SecretRef("env:SALT"))
    assert {row.n: row._erased for row in flagged.collect()} == {1: True, 2: False, 3: False}
    assert flagged.columns == ["who", "n", "_erased"]
    plan = flagged._jdf.queryExecution()  # type: ignore[operator]
    assert "canary" not in plan.toString() + plan.logical().toJSON() + plan.optimizedPlan().toString()


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
