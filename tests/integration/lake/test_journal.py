"""The tables of ops on a local lake: written and read without Spark, and the same tables to Spark."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from retail_spark.config.section import LakeSettings
from retail_spark.engine.history import JOB_RUNS
from retail_spark.errors import ContractError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.commit import carry_out
from retail_spark.lake.contract import DATE, DOUBLE, NUMBER_MAP, STRING, TIMESTAMP, Column, Contract
from retail_spark.lake.journal import append_rows, read_rows
from retail_spark.lake.lake import Lake
from retail_spark.lake.write import append_once

NOTES = Contract(
    "ops.notes",
    grain="One row per note.",
    key=("id",),
    columns=(
        Column("id", STRING, "Identifies the note."),
        Column("at", TIMESTAMP, "When, UTC."),
        Column("day", DATE, "A day.", nullable=True),
        Column("size", DOUBLE, "A size.", nullable=True),
        Column("parts", NUMBER_MAP, "Parts.", nullable=True),
    ),
)
AT = datetime(2024, 3, 5, 10, 0, 0, 123456, tzinfo=UTC)


def note(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "at": AT, "day": date(2024, 3, 5), "size": 1.5, "parts": {"a": 1.0, "b": 2.0}} | more


def no_session() -> SparkSession:
    raise AssertionError("a local journal needs no Spark")


@pytest.fixture
def without_spark(lake: Lake) -> Lake:
    return Lake(no_session, lake.root, None)


def test_rows_come_back_as_they_went_in_and_spark_sees_the_same(lake: Lake, without_spark: Lake) -> None:
    append_rows(without_spark, NOTES, [note("one"), note("two", day=None, size=None, parts=None)], run_id="r1")
    append_rows(without_spark, NOTES, [note("o'three")], run_id="r2")
    (found,) = read_rows(without_spark, NOTES, where={"id": "o'three"}, newest_by="at")
    assert found == note("o'three")
    assert [row["id"] for row in read_rows(without_spark, NOTES, where={}, newest_by="id", most=2)] == ["two", "one"]
    rows = {row["id"]: row.asDict(recursive=True) for row in lake.read(NOTES.table).collect()}
    assert rows["two"] == note("two", at=AT.replace(tzinfo=None), day=None, size=None, parts=None)
    assert rows["one"]["parts"] == {"a": 1.0, "b": 2.0}
    described = {r["col_name"]: r["comment"] for r in lake.spark.sql(f"DESCRIBE {lake.ref(NOTES.table)}").collect()}
    assert described["at"] == "When, UTC."
    assert [commit.run_id for commit in lake.commits(NOTES.table)] == ["r2", "r1", None]


def test_a_run_id_adds_once_unless_its_rows_were_taken_away(lake: Lake, without_spark: Lake) -> None:
    for _ in range(2):
        append_rows(without_spark, NOTES, [note("one")], run_id="r1")
    assert len(read_rows(without_spark, NOTES, where={}, newest_by="at")) == 1
    lake.spark.sql(f"DELETE FROM {lake.ref(NOTES.table)} WHERE id = 'one'").collect()
    append_rows(without_spark, NOTES, [note("one")], run_id="r1")
    assert len(read_rows(without_spark, NOTES, where={}, newest_by="at")) == 1


def test_what_no_table_would_take_is_refused(without_spark: Lake) -> None:
    with pytest.raises(ContractError, match=r"ops\.notes\.at may not be NULL"):
        append_rows(without_spark, NOTES, [note("one", at=None)], run_id="r1")
    with pytest.raises(ContractError, match=r"ops\.notes\.size is nan \(id=two\)"):
        append_rows(without_spark, NOTES, [note("one"), note("two", size=float("nan"))], run_id="r1")
    assert not without_spark.exists(NOTES.table)


def test_a_table_that_spark_made_with_clustering_is_added_to_by_spark(lake: Lake) -> None:
    older = Contract(NOTES.name, NOTES.grain, NOTES.key, NOTES.columns, cluster_by=("at",))
    carry_out(lake, append_once(older, frame_of_rows(lake.spark, [note("old")], older.schema)), run_id="r0")
    for _ in range(2):
        append_rows(lake, older, [note("new")], run_id="r1")
    assert sorted(row["id"] for row in read_rows(lake, older, where={}, newest_by="at")) == ["new", "old"]
    assert lake.read(older.table).count() == 2


def test_a_column_that_the_contract_gained_is_added(lake: Lake, without_spark: Lake) -> None:
    append_rows(without_spark, NOTES, [note("one")], run_id="r1")
    extra = (*NOTES.columns, Column("more", STRING, "More.", nullable=True))
    wider = Contract(NOTES.name, NOTES.grain, NOTES.key, extra)
    append_rows(without_spark, wider, [note("two", more="x")], run_id="r2")
    found = {row["id"]: row["more"] for row in read_rows(without_spark, wider, where={}, newest_by="at")}
    assert found == {"one": None, "two": "x"}
    assert lake.read(wider.table).where("more = 'x'").count() == 1


WRITER = """
import sys
from datetime import UTC, datetime
from retail_spark.lake.lake import Lake
from retail_spark.lake.journal import append_rows
from tests.integration.lake.test_journal import NOTES, note
for number in range(15):
    name = f"{sys.argv[2]}-{number}"
    append_rows(Lake(None, sys.argv[1], None), NOTES, [note(name)], run_id=name)
"""


def test_three_writers_at_once_lose_nothing_and_double_nothing(lake: Lake, without_spark: Lake) -> None:
    """Two processes by the library, and Spark beside them."""
    repo = Path(__file__).parents[3]
    command = [sys.executable, "-c", WRITER, lake.root]
    writers = [subprocess.Popen([*command, name], cwd=repo) for name in ("a", "b")]
    frame = frame_of_rows(lake.spark, [note("spark")], NOTES.schema)
    while not lake.exists(NOTES.table):
        assert any(writer.poll() is None for writer in writers), "the writers ended before they wrote"
    carry_out(lake, append_once(NOTES, frame, journal=True), run_id="spark")
    assert [writer.wait() for writer in writers] == [0, 0]
    ids = [row["id"] for row in read_rows(without_spark, NOTES, where={}, newest_by="at")]
    assert sorted(ids) == sorted(["spark", *(f"{name}-{n}" for name in "ab" for n in range(15))])


def test_ops_tables_are_made_without_what_the_library_cannot_add_to(without_spark: Lake) -> None:
    values = dict.fromkeys(JOB_RUNS.names) | {
        "run_id": "r", "attempt": 1, "job": "toy", "status": "done", "started_at": AT, "finished_at": AT,
        "inputs": [("silver.toy", "id", 3, None)], "outputs": [("gold.toy", 4, 2, {"as_of": "2024-03-05"})],
        "settings": "{}", "seconds": {"write": 1.0}, "package_version": "0",
    }  # fmt: skip
    for attempt in (1, 2):
        append_rows(without_spark, JOB_RUNS, [values | {"attempt": attempt}], run_id=f"r-{attempt}")
    newest, _ = read_rows(without_spark, JOB_RUNS, where={"job": "toy", "run_id": "r"}, newest_by="attempt")
    assert newest["attempt"] == 2
    assert newest["inputs"] == [{"name": "silver.toy", "table_id": "id", "version": 3, "digest": None}]
    assert newest["outputs"] == [{"name": "gold.toy", "version": 4, "rows": 2, "slice": {"as_of": "2024-03-05"}}]


def test_a_catalogs_journal_is_sparks(spark: SparkSession, tmp_path: Path) -> None:
    spark.sql(f"DROP TABLE IF EXISTS spark_catalog.{NOTES.name}")
    lake = Lake.open(spark, LakeSettings(root=str(tmp_path / "lake"), catalog="spark_catalog"))
    for _ in range(2):
        append_rows(lake, NOTES, [note("one")], run_id="r1")
    (found,) = read_rows(lake, NOTES, where={"id": "one"}, newest_by="at")
    assert found["parts"] == {"a": 1.0, "b": 2.0}
    spark.sql(f"DROP TABLE spark_catalog.{NOTES.name}")
