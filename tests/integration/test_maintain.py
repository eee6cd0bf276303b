from __future__ import annotations

from datetime import UTC, datetime, timedelta
from os import utime
from pathlib import Path

import pytest
from pydantic import ValidationError
from pyspark.sql import functions as F

from retail_spark.config.section import LakeSettings
from retail_spark.engine.catalogue import entry, settings_class
from retail_spark.engine.history import JOB_RUNS, METRICS
from retail_spark.engine.job import Result
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.errors import ContractError, InputError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.commit import carry_out
from retail_spark.lake.content_hash import content_hash
from retail_spark.lake.contract import STRING, Column, Contract
from retail_spark.lake.lake import Lake, local_path
from retail_spark.lake.maintenance import vacuum
from retail_spark.lake.write import append_once, upsert
from retail_spark.maintain.settings import JobSettings
from retail_spark.quality.status import check_failed_share
from tests.toy import STATE

NOTES = Contract("silver.notes", "One row per note.", ("id",), (Column("id", STRING, "Note."),), cluster_by=("id",))


def maintain(lake: Lake, **chosen: object) -> Result:
    settings = settings_class()(lake=LakeSettings(root=lake.root), maintain=JobSettings(**chosen))
    return run_job(entry("maintain").job(), settings, spark=lake.spark, progress=Progress("maintain", quiet=True))


def files(lake: Lake) -> int:
    return lake.read(NOTES.table).select(F.input_file_name()).distinct().count()


def test_maintain_compacts_and_changes_no_row(lake: Lake) -> None:
    for i in range(4):
        frame = frame_of_rows(lake.spark, [(str(i),)], "id string").coalesce(1)
        carry_out(lake, append_once(NOTES, frame), run_id=str(i))
    before, version = content_hash(lake.read(NOTES.table)), lake.pin(NOTES.table).version
    assert files(lake) == 4
    result = maintain(lake, tables=["silver.notes"])
    assert {name: value for name, value in result.metrics.items() if not name.endswith("_pruned")} == {
        "tables": 1.0, "files_removed": 4.0, "files_added": 1.0, "tables_analyzed": 0.0, "stages_dropped": 0.0,
    }  # fmt: skip
    assert files(lake) == 1
    assert content_hash(lake.read(NOTES.table)) == before
    assert lake.pin(NOTES.table).version == version, "jobs that read the table stay unchanged"
    assert maintain(lake, tables=["silver.notes"]).metrics["files_removed"] == 0


def test_old_rows_of_ops_go_but_for_runs_that_rows_name_and_the_newest(lake: Lake) -> None:
    now = datetime.now(UTC)

    def row(run_id: str, *, days: int, job: str = "toy") -> dict[str, object]:
        when = now - timedelta(days=days)
        given = {"run_id": run_id, "attempt": 1, "job": job, "status": "done", "started_at": when, "finished_at": when}
        return given | {"settings": "{}", "package_version": "0"}

    runs = [row(f"old{n}", days=500 + n) for n in range(30)] + [row("new", days=1), row("lone", days=900, job="x")]
    carry_out(lake, append_once(JOB_RUNS, frame_of_rows(lake.spark, runs, JOB_RUNS.schema)), run_id="r")
    metrics = [(one["run_id"], 1, one["job"], "rows", 1.0) for one in runs]
    carry_out(lake, append_once(METRICS, frame_of_rows(lake.spark, metrics, METRICS.schema)), run_id="r")
    state = frame_of_rows(lake.spark, [("a", 1.0, "old29", "7")], STATE.schema)
    carry_out(lake, upsert(STATE, state), run_id="r")
    result = maintain(lake, tables=["gold.toy_state"], optimize=False)
    kept = {f"old{n}" for n in range(19)} | {"new", "lone", "old29", result.run_id}
    assert {r.run_id for r in lake.read(JOB_RUNS.table).collect()} == kept
    assert {r.run_id for r in lake.read(METRICS.table).collect()} == kept
    assert result.metrics["ops_rows_pruned"] == 20.0


def test_a_table_that_lacks_a_file_is_told_when_all_others_are_done_and_can_be_taken_back(lake: Lake) -> None:
    for i in range(2):
        frame = frame_of_rows(lake.spark, [(str(i),)], "id string").coalesce(1)
        carry_out(lake, append_once(NOTES, frame), run_id=str(i))
    carry_out(lake, upsert(STATE, frame_of_rows(lake.spark, [("a", 1.0, "r", None)], STATE.schema)), run_id="r")
    newest = lake.read(NOTES.table).where("id = '1'").select(F.input_file_name()).collect()[0][0]
    Path(local_path(newest)).unlink()
    with pytest.raises(InputError, match=r"silver\.notes lacks 1 of its data files"):
        maintain(lake)
    assert maintain(lake, restore=["silver.notes"]).status == "done"
    assert [row.id for row in lake.read(NOTES.table).collect()] == ["0"]


def test_vacuum_keeps_a_week(lake: Lake) -> None:
    with pytest.raises(ValueError, match="168"):
        vacuum(lake, NOTES.table, retain_hours=24)
    with pytest.raises(ValidationError, match="168"):
        JobSettings(retain_hours=24)


def test_vacuum_removes_what_a_killed_write_left_long_ago(lake: Lake) -> None:
    frame = frame_of_rows(lake.spark, [("a",)], "id string").coalesce(1)
    carry_out(lake, append_once(NOTES, frame), run_id="one")
    folder = Path(lake.path(NOTES.table))
    old, young = folder / "part-old.parquet", folder / "part-young.parquet"
    for left in (old, young):
        left.write_bytes(b"half a file")
    long_ago = (datetime.now(UTC) - timedelta(days=8)).timestamp()
    utime(old, (long_ago, long_ago))
    vacuum(lake, NOTES.table, retain_hours=168)
    assert (old.exists(), young.exists()) == (False, True)
    assert lake.read(NOTES.table).count() == 1


def test_stages_of_runs_killed_long_ago_are_dropped(lake: Lake) -> None:
    old, young = (Path(lake.root, "_staging", name) for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir(parents=True)
    long_ago = (datetime.now(UTC) - timedelta(days=8)).timestamp()
    utime(old, (long_ago, long_ago))
    assert maintain(lake).metrics["stages_dropped"] == 1
    assert (old.exists(), young.exists()) == (False, True)


def test_a_table_that_is_not_there_is_named(lake: Lake) -> None:
    with pytest.raises(InputError, match=r"silver\.absent is not in"):
        maintain(lake, tables=["silver.absent"])


def test_a_run_full_of_failed_rows_is_refused_and_a_few_are_let_through(lake: Lake) -> None:
    contract = Contract(
        "gold.e", "One row per id.", ("id",), (Column("id", STRING, "Id."), Column("status", STRING, "Ok?"))
    )
    rows = [(str(i), "ok" if i < 18 else "too_few_weeks") for i in range(20)]
    frame = frame_of_rows(lake.spark, rows, "id string, status string")
    check_failed_share(frame, contract, limit=0.1)
    with pytest.raises(ContractError, match=r"gold\.e: 10\.0% of the rows failed.*too_few_weeks \(2 rows\)"):
        check_failed_share(frame, contract, limit=0.05)
