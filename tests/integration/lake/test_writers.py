from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import LakeSettings
from retail_spark.errors import ContractError, InputError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake import commit as commits
from retail_spark.lake.commit import carry_out
from retail_spark.lake.contract import DATE, DOUBLE, STRING, TEXT_MAP, TIMESTAMP, Column, Contract, snapshot
from retail_spark.lake.lake import Lake
from retail_spark.lake.write import append_once, replace_slice, upsert

ROWS = Contract(
    "gold.rows",
    grain="One row per id, with a quote ' and a backslash \\ in its comment.",
    key=("id",),
    columns=(
        Column("id", STRING, "Identifies the row."),
        Column("value", DOUBLE, "A value.", nullable=True, check="value >= 0"),
        Column("tags", TEXT_MAP, "Tags.", nullable=True),
    ),
    cluster_by=("id",),
    checks=(("even", "value IS NULL OR value % 2 = 0"),),
)
DAYS = snapshot("gold.days", grain="One row per id.", key=("id",), columns=(Column("id", STRING, "Identifies it."),))


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake.open(spark, LakeSettings(root=str(tmp_path / "lake"), keep_as_of=2))


@pytest.fixture(scope="module")
def world(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with two rows, written by run `one`."""
    made = Lake.open(spark, LakeSettings(root=str(tmp_path_factory.mktemp("world") / "lake"), keep_as_of=2))
    carry_out(made, append_once(ROWS, rows(made, ("a", 2.0), ("b", None))), run_id="one")
    return made


@pytest.fixture
def filled(world: Lake, tmp_path: Path) -> Lake:
    """A copy of it, as a folder."""
    root = shutil.copytree(world.root, tmp_path / "filled")
    return Lake.open(world.spark, LakeSettings(root=str(root), keep_as_of=2))


@pytest.fixture
def catalog_lake(spark: SparkSession, tmp_path: Path) -> Lake:
    """A catalog lake in the session's own catalog."""
    for table in ("gold.rows", "gold.days"):
        spark.sql(f"DROP TABLE IF EXISTS spark_catalog.{table}")
    return Lake.open(spark, LakeSettings(root=str(tmp_path / "lake"), catalog="spark_catalog", keep_as_of=2))


def rows(lake: Lake, *values: tuple[str, float | None]) -> DataFrame:
    return frame_of_rows(
        lake.spark, [(i, v, {"k": i}) for i, v in values], "id string, value double, tags map<string,string>"
    )


def content(lake: Lake) -> dict[str, float | None]:
    return {row["id"]: row["value"] for row in lake.read(ROWS.table).collect()}


def check_upsert(lake: Lake) -> None:
    """From (a 2, b NULL): one commit updates, inserts and deletes, and is signed."""
    gone = frame_of_rows(lake.spark, [("b",), ("unknown",), ("a",)], "id string")
    commit = carry_out(lake, upsert(ROWS, rows(lake, ("a", 6.0), ("d", 8.0)), delete=gone), run_id="two")
    assert content(lake) == {"a": 6.0, "d": 8.0}
    history = lake.history(ROWS.table).where(F.col("version") == commit.version).collect()
    assert history[0]["userMetadata"] == "two"


def check_append_is_made_again(lake: Lake) -> None:
    """A run adds once, unless what it added was taken back or away. Ends with the row c of run `three`."""
    for _ in range(2):
        carry_out(lake, append_once(ROWS, rows(lake, ("c", 2.0))), run_id="three")
    assert content(lake)["c"] == 2.0
    assert lake.read(ROWS.table).where("id = 'c'").count() == 1
    newest = next(lake.commits(ROWS.table)).version
    lake.spark.sql(f"RESTORE TABLE {lake.ref(ROWS.table)} TO VERSION AS OF {newest - 1}").collect()
    assert "c" not in content(lake)
    carry_out(lake, append_once(ROWS, rows(lake, ("c", 2.0))), run_id="three")
    lake.spark.sql(f"DELETE FROM {lake.ref(ROWS.table)} WHERE id = 'c'").collect()
    for _ in range(2):
        carry_out(lake, append_once(ROWS, rows(lake, ("c", 2.0))), run_id="three")
    assert lake.read(ROWS.table).where("id = 'c'").count() == 1


def check_slices(lake: Lake) -> None:
    """A slice is replaced alone, a row outside it is refused, and only keep_as_of dates are kept."""

    def write(day: int, *ids: str, of: int | None = None) -> None:
        frame = frame_of_rows(lake.spark, [(date(2024, 1, of or day), i, "r", None) for i in ids], DAYS.schema)
        carry_out(lake, replace_slice(DAYS, frame, as_of=date(2024, 1, day)), run_id=f"day {day}")

    def days() -> set[tuple[int, str]]:
        return {(row["as_of"].day, row["id"]) for row in lake.read(DAYS.table).collect()}

    with pytest.raises(Exception, match="outside the slice"):
        write(1, "a", of=2)
    assert days() == set()
    write(1, "a", "b")
    write(2, "c")
    write(1, "d")
    assert days() == {(1, "d"), (2, "c")}
    with pytest.raises(Exception, match="DELTA_REPLACE_WHERE_MISMATCH"):
        write(1, "a", of=2)
    assert days() == {(1, "d"), (2, "c")}
    write(3, "e")
    assert days() == {(2, "c"), (3, "e")}


def check_pin(lake: Lake) -> None:
    """A commit that changes no row moves no pin."""
    before = lake.pin(ROWS.table)
    lake.spark.sql(f"ALTER TABLE {lake.ref(ROWS.table)} SET TBLPROPERTIES ('note' = 'nothing changed')").collect()
    after = lake.pin(ROWS.table)
    assert after.version == before.version == before.read_version
    assert after.read_version == (before.read_version or 0) + 1
    assert after.table_id == before.table_id


def check_description(lake: Lake) -> None:
    ref = lake.ref(ROWS.table)
    described = {r["col_name"]: r["comment"] for r in lake.spark.sql(f"DESCRIBE TABLE {ref}").collect()}
    assert described["id"] == "Identifies the row."
    detail = lake.spark.sql(f"DESCRIBE DETAIL {ref}").collect()[0]
    assert detail["description"] == ROWS.grain
    assert detail["clusteringColumns"] == ["id"]
    assert detail["properties"]["delta.constraints.even"] == "value IS NULL OR value % 2 = 0"


def test_upsert_inserts_updates_and_deletes_in_one_commit(filled: Lake) -> None:
    check_upsert(filled)


def test_replace_slice_touches_only_its_slice(lake: Lake) -> None:
    check_slices(lake)


def test_append_once_adds_once_a_run_and_again_after_restore_or_delete(filled: Lake) -> None:
    check_append_is_made_again(filled)


def test_a_pin_ignores_commits_that_change_no_row(filled: Lake) -> None:
    assert filled.pin(DAYS.table).version is None
    check_pin(filled)


def test_comments_and_clustering_are_on_the_table(world: Lake) -> None:
    check_description(world)


@pytest.mark.slow
def test_a_catalog_lake_keeps_the_same_laws(catalog_lake: Lake) -> None:
    assert catalog_lake.pin(ROWS.table).version is None
    carry_out(catalog_lake, append_once(ROWS, rows(catalog_lake, ("a", 2.0), ("b", None))), run_id="one")
    check_description(catalog_lake)
    check_pin(catalog_lake)
    check_upsert(catalog_lake)
    check_append_is_made_again(catalog_lake)
    check_slices(catalog_lake)


def test_upsert_of_the_same_rows_changes_no_row(filled: Lake) -> None:
    carry_out(filled, upsert(ROWS, rows(filled, ("a", 2.0), ("b", None))), run_id="two")
    assert content(filled) == {"a": 2.0, "b": None}
    merge = filled.history(ROWS.table).orderBy(F.desc("version")).limit(1).collect()[0]["operationMetrics"]
    assert merge["numTargetRowsUpdated"] == "0"


def test_a_repeated_key_is_refused_with_an_example_and_nothing_is_written(filled: Lake) -> None:
    with pytest.raises(ContractError, match=r"id=c \(2 times\)"):
        carry_out(filled, upsert(ROWS, rows(filled, ("c", 2.0), ("c", 4.0))), run_id="two")
    assert content(filled) == {"a": 2.0, "b": None}


def test_the_table_itself_refuses_what_breaks_a_check_or_is_null(filled: Lake) -> None:
    for value in (-2.0, 3.0, float("nan"), float("inf")):
        with pytest.raises(Exception, match="DELTA_VIOLATE_CONSTRAINT"):
            carry_out(filled, append_once(ROWS, rows(filled, ("c", value))), run_id="two")
    broken = rows(filled, ("c", 2.0)).withColumn("id", F.lit(None).cast("string"))
    with pytest.raises(Exception, match=r"(?i)not.null"):
        carry_out(filled, append_once(ROWS, broken), run_id="two")
    assert content(filled) == {"a": 2.0, "b": None}


def test_a_version_is_read_as_it_was(filled: Lake) -> None:
    pinned = filled.pin(ROWS.table).version
    carry_out(filled, upsert(ROWS, rows(filled, ("a", 4.0))), run_id="two")
    old = {row["id"]: row["value"] for row in filled.read(ROWS.table, version=pinned).collect()}
    assert old == {"a": 2.0, "b": None}


def test_a_column_that_the_contract_gained_is_added(filled: Lake) -> None:
    wider = Contract("gold.rows", ROWS.grain, ROWS.key, (*ROWS.columns, Column("day", DATE, "A day.", nullable=True)))
    filled.ensure(wider)
    assert filled.read(ROWS.table).columns == ["id", "value", "tags", "day"]
    other_type = Contract("gold.rows", ROWS.grain, ROWS.key, (ROWS.columns[0], Column("value", STRING, "A value.")))
    with pytest.raises(ContractError, match=r"gold.rows.value is double"):
        filled.ensure(other_type)


def test_a_column_that_may_be_null_by_now_is_let_be(filled: Lake) -> None:
    strict = Contract(
        "gold.moods", "One row per id.", ("id",),
        (Column("id", STRING, "Id."), Column("mood", STRING, "Mood.", check="mood IN ('good', 'bad')")),
    )  # fmt: skip
    carry_out(filled, append_once(strict, frame_of_rows(filled.spark, [("a", "good")], strict.schema)), run_id="one")
    mood = Column("mood", STRING, "Mood; NULL where unknown.", nullable=True, check="mood IN ('good', 'bad', 'mixed')")
    relaxed = Contract("gold.moods", "One row per id.", ("id",), (strict.columns[0], mood))
    newer = frame_of_rows(filled.spark, [("b", None), ("c", "mixed")], relaxed.schema)
    carry_out(filled, append_once(relaxed, newer), run_id="two")
    assert filled.read(relaxed.table).count() == 3
    wrong = frame_of_rows(filled.spark, [("d", "none")], relaxed.schema)
    with pytest.raises(Exception, match="DELTA_VIOLATE_CONSTRAINT"):
        carry_out(filled, append_once(relaxed, wrong), run_id="three")


def test_a_table_that_is_not_there_is_named(lake: Lake) -> None:
    with pytest.raises(InputError, match=r"gold\.days does not exist"):
        lake.read(DAYS.table)


MOMENTS = Contract(
    "gold.toy_moments",
    grain="One row per id.",
    key=("id",),
    columns=(Column("id", STRING, "Identifies the row."), Column("at", TIMESTAMP, "When.")),
    cluster_by=("at",),
)


def moments(lake: Lake, *days: int) -> DataFrame:
    rows = [(f"d{day}", datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day)) for day in days]
    return frame_of_rows(lake.spark, rows, "id string, at timestamp").transform(MOMENTS.select)


def test_a_bounded_upsert_leaves_files_outside_alone(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "_LEAST_ROWS", 10)
    whole = replace(replace_slice(MOMENTS, moments(lake, *range(40)), in_order=True), rows=40)
    carry_out(lake, whole, run_id="r1")
    before = files_of(lake)
    spans = sorted(before.values())
    assert len(spans) == 4
    assert all(earlier[1] < later[0] for earlier, later in pairwise(spans))

    reach = (datetime(2024, 2, 8, tzinfo=UTC), datetime(2024, 2, 20, tzinfo=UTC))
    gone = frame_of_rows(lake.spark, [("d39",)], "id string")
    carry_out(lake, upsert(MOMENTS, moments(lake, 38, 45), delete=gone, within={"at": reach}), run_id="r2")
    assert sorted(row["id"] for row in lake.read(MOMENTS.table).select("id").collect()) == sorted(
        f"d{n}" for n in (*range(39), 45)
    )
    assert len(set(before) & set(files_of(lake))) == 3


def files_of(lake: Lake) -> dict[str, tuple[datetime, datetime]]:
    """Data file -> its first and last moment."""
    files = lake.read(MOMENTS.table).select(F.col("_metadata.file_path").alias("file"), "at")
    rows = files.groupBy("file").agg(F.min("at"), F.max("at"))
    return {row["file"]: (row[1], row[2]) for row in rows.collect()}
