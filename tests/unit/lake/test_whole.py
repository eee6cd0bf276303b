"""Files that a log names and that are gone: told without Spark, from tables that the library deltalake writes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from retail_spark.engine.history import AttemptRow, History, record
from retail_spark.engine.job import Result
from retail_spark.errors import InputError
from retail_spark.lake.contract import STRING, Column, Contract
from retail_spark.lake.lake import Lake, Pin
from retail_spark.lake.table_name import TableName
from retail_spark.lake.whole import check_files, feed_is_there, kept_whole, missing_files, newest_whole_version

NOTES = TableName.parse("silver.notes")
CONTRACT = Contract("silver.notes", "One row per note.", ("id",), (Column("id", STRING, "Note."),))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake of one table of three commits, a file each, in a folder with a space."""
    found = Lake(cast(SparkSession, None), str(tmp_path / "a b"), None)
    for text in ("x", "y", "z"):
        write_deltalake(found.path(NOTES), pa.table({"id": [text]}), mode="append")
    return found


def lose(lake: Lake, version: int) -> Path:
    """Removes the file that a version added."""
    before = set(DeltaTable(lake.path(NOTES), version=version - 1).get_add_actions(flatten=True)["path"].to_pylist())
    now = set(DeltaTable(lake.path(NOTES), version=version).get_add_actions(flatten=True)["path"].to_pylist())
    file = Path(lake.path(NOTES)) / (now - before).pop()
    file.unlink()
    return file


def test_a_lost_file_is_named_with_its_table_and_what_heals_it(lake: Lake) -> None:
    check_files(lake, [NOTES])
    file = lose(lake, 2)
    assert missing_files(lake, NOTES) == [str(file)]
    assert newest_whole_version(lake, NOTES) == 1
    with pytest.raises(InputError, match=r"silver\.notes lacks 1 of its data files, such as .*parquet") as told:
        check_files(lake, [NOTES])
    assert "maintain.restore=[silver.notes]" in told.value.fix
    assert file.name in told.value.what


def test_a_forced_run_looks_before_and_after(lake: Lake) -> None:
    with pytest.raises(InputError, match="lacks 1"), kept_whole(lake, reads=(), writes=[CONTRACT], asked=True):
        lose(lake, 2)
    with pytest.raises(InputError, match="lacks 1"), kept_whole(lake, reads=[CONTRACT], writes=(), asked=True):
        pytest.fail("it was not looked before")
    with kept_whole(lake, reads=[CONTRACT], writes=[CONTRACT], asked=False):
        pass


def test_a_table_without_a_whole_version_or_not_there_at_all(lake: Lake) -> None:
    for file in Path(lake.path(NOTES)).glob("*.parquet"):
        file.unlink()
    assert newest_whole_version(lake, NOTES) is None
    assert missing_files(lake, TableName.parse("silver.absent")) == []


def test_changes_can_be_read_while_their_files_and_commits_are_there(lake: Lake) -> None:
    assert feed_is_there(lake, NOTES, after=0, until=2)
    lose(lake, 2)
    assert feed_is_there(lake, NOTES, after=0, until=1)
    assert feed_is_there(lake, NOTES, after=2, until=2)
    assert not feed_is_there(lake, NOTES, after=1, until=2)
    (Path(lake.path(NOTES)) / "_delta_log" / f"{1:020d}.json").unlink()
    assert not feed_is_there(lake, NOTES, after=0, until=1), "its commit was cleaned up"


def test_files_that_later_commits_removed_tell_what_went(lake: Lake) -> None:
    write_deltalake(lake.path(NOTES), pa.table({"id": ["all"]}), mode="overwrite")
    assert feed_is_there(lake, NOTES, after=2, until=3)
    lose(lake, 1)
    assert missing_files(lake, NOTES) == []
    assert not feed_is_there(lake, NOTES, after=2, until=3)


def test_a_run_that_cannot_read_what_changed_computes_all_anew_and_says_so(lake: Lake) -> None:
    def attempt(version: int) -> AttemptRow:
        pin = Pin("silver.notes", "id", version, version)
        return AttemptRow(f"run{version}", 1, "toy", None, datetime.now(UTC), {}, "0", pins=[pin])

    record(lake, attempt(1), status="done", result=Result("run1", "toy", "done", None, {}, {}))
    notes: list[str] = []
    followed = History(lake, "toy").to_follow(attempt(2), feeds={"silver.notes"}, note=notes.append)
    assert followed is not None
    assert followed.run_id == "run1"
    lose(lake, 2)
    assert History(lake, "toy").to_follow(attempt(2), feeds={"silver.notes"}, note=notes.append) is None
    assert notes == ["what changed in silver.notes since the last run can no longer be read: all is computed anew"]
    assert History(lake, "toy").to_follow(attempt(2), feeds=set(), note=notes.append) is not None
