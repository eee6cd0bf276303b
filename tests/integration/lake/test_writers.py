from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.errors import ContractError, InputError
from retail_spark.lake import commits
from retail_spark.lake.commits import carry_out
from retail_spark.lake.contracts import DATE, DOUBLE, STRING, TEXT_MAP, TIMESTAMP, Column, Contract, snapshot
from retail_spark.lake.store import Lake
from retail_spark.lake.writers import append_once, replace_slice, upsert
from retail_spark.local_rows import frame_of_rows
from retail_spark.settings import LakeSettings

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
    """A path lake: what says nothing of catalogs is tried there alone."""
    return Lake.open(spark, LakeSettings(root=str(tmp_path / "lake"), keep_as_of=2))


@pytest.fixture(params=["path", "catalog"])
def any_lake(request: pytest.FixtureRequest, spark: SparkSession, lake: Lake, tmp_path: Path) -> Lake:
    """The laws of the writers hold on a path lake and on a catalog lake (the session's own catalog)."""
    if request.param == "path":
        return lake
    for table in ("gold.rows", "gold.days", "gold.toy_moments"):
        spark.sql(f"DROP TABLE IF EXISTS spark_catalog.{table}")
    return Lake.open(spark, LakeSettings(root=str(tmp_path / "lake"), catalog="spark_catalog", keep_as_of=2))


def rows(lake: Lake, *values: tuple[str, float | None]) -> DataFrame:
    return frame_of_rows(
        lake.spark, [(i, v, {"k": i}) for i, v in values], "id string, value double, tags map<string,string>"
    )


def content(lake: Lake) -> dict[str, float | None]:
    return {row["id"]: row["value"] for row in lake.read(ROWS.table).collect()}


def test_upsert_inserts_updates_and_deletes_in_one_commit(any_lake: Lake) -> None:
    carry_out(any_lake, upsert(ROWS, rows(any_lake, ("a", 2.0), ("b", 4.0), ("c", None))), run_id="one")
    gone = frame_of_rows(any_lake.spark, [("c",), ("unknown",), ("a",)], "id string")
    commit = carry_out(any_lake, upsert(ROWS, rows(any_lake, ("a", 6.0), ("d", 8.0)), delete=gone), run_id="two")
    assert content(any_lake) == {"a": 6.0, "b": 4.0, "d": 8.0}
    history = any_lake.history(ROWS.table).where(F.col("version") == commit.version).collect()
    assert history[0]["userMetadata"] == "two"


def test_upsert_of_the_same_rows_changes_no_row(lake: Lake) -> None:
    for run_id in ("one", "two"):
        carry_out(lake, upsert(ROWS, rows(lake, ("a", 2.0), ("b", None))), run_id=run_id)
    assert content(lake) == {"a": 2.0, "b": None}
    merge = lake.history(ROWS.table).orderBy(F.desc("version")).limit(1).collect()[0]["operationMetrics"]
    assert merge["numTargetRowsUpdated"] == "0"


def test_a_repeated_key_is_refused_with_an_example_and_nothing_is_written(lake: Lake) -> None:
    carry_out(lake, upsert(ROWS, rows(lake, ("a", 2.0))), run_id="one")
    with pytest.raises(ContractError, match=r"id=b \(2 times\)"):
        carry_out(lake, upsert(ROWS, rows(lake, ("b", 2.0), ("b", 4.0))), run_id="two")
    assert content(lake) == {"a": 2.0}


def test_replace_slice_touches_only_its_slice(any_lake: Lake) -> None:
    def write(day: int, *ids: str) -> None:
        frame = frame_of_rows(any_lake.spark, [(date(2024, 1, day), i, "r", None) for i in ids], DAYS.schema)
        carry_out(any_lake, replace_slice(DAYS, frame, as_of=date(2024, 1, day)), run_id=f"day {day}")

    write(1, "a", "b")
    write(2, "c")
    write(1, "d")
    found = {(row["as_of"].day, row["id"]) for row in any_lake.read(DAYS.table).collect()}
    assert found == {(1, "d"), (2, "c")}
    write(3, "e")
    assert {row["as_of"].day for row in any_lake.read(DAYS.table).collect()} == {2, 3}, "only keep_as_of dates are kept"


def test_a_row_outside_the_slice_is_refused(lake: Lake) -> None:
    outside, inside = (frame_of_rows(lake.spark, [(date(2024, 1, d), "a", "r", None)], DAYS.schema) for d in (2, 1))
    with pytest.raises(Exception, match="outside the slice"):
        carry_out(lake, replace_slice(DAYS, outside, as_of=date(2024, 1, 1)), run_id="one")
    assert lake.read(DAYS.table).count() == 0
    carry_out(lake, replace_slice(DAYS, inside, as_of=date(2024, 1, 1)), run_id="one")
    with pytest.raises(Exception, match="DELTA_REPLACE_WHERE_MISMATCH"):
        carry_out(lake, replace_slice(DAYS, outside, as_of=date(2024, 1, 1)), run_id="two")
    assert lake.read(DAYS.table).count() == 1


def test_append_once_adds_once_a_run(any_lake: Lake) -> None:
    for _ in range(2):
        carry_out(any_lake, append_once(ROWS, rows(any_lake, ("a", 2.0))), run_id="one")
    assert any_lake.read(ROWS.table).count() == 1
    carry_out(any_lake, append_once(ROWS, rows(any_lake, ("b", 2.0))), run_id="two")
    assert any_lake.read(ROWS.table).count() == 2


def test_append_after_restore_or_delete_is_made_again(any_lake: Lake) -> None:
    any_lake.ensure(ROWS)
    carry_out(any_lake, append_once(ROWS, rows(any_lake, ("a", 2.0))), run_id="one")
    any_lake.spark.sql(f"RESTORE TABLE {any_lake.ref(ROWS.table)} TO VERSION AS OF 0").collect()
    assert any_lake.read(ROWS.table).count() == 0
    carry_out(any_lake, append_once(ROWS, rows(any_lake, ("a", 2.0))), run_id="one")
    assert content(any_lake) == {"a": 2.0}
    any_lake.spark.sql(f"DELETE FROM {any_lake.ref(ROWS.table)} WHERE id = 'a'").collect()
    carry_out(any_lake, append_once(ROWS, rows(any_lake, ("a", 2.0))), run_id="one")
    assert content(any_lake) == {"a": 2.0}


def test_the_table_itself_refuses_what_breaks_a_check(lake: Lake) -> None:
    lake.ensure(ROWS)
    for value in (-2.0, 3.0, float("nan"), float("inf")):
        with pytest.raises(Exception, match="DELTA_VIOLATE_CONSTRAINT"):
            carry_out(lake, append_once(ROWS, rows(lake, ("a", value))), run_id="one")
    assert lake.read(ROWS.table).count() == 0


def test_the_table_itself_refuses_null_where_the_contract_does(lake: Lake) -> None:
    lake.ensure(ROWS)
    broken = rows(lake, ("a", 2.0)).withColumn("id", F.lit(None).cast("string"))
    with pytest.raises(Exception, match=r"(?i)not.null"):
        carry_out(lake, append_once(ROWS, broken), run_id="one")
    assert lake.read(ROWS.table).count() == 0


def test_comments_and_clustering_are_on_the_table(any_lake: Lake) -> None:
    any_lake.ensure(ROWS)
    described = {
        r["col_name"]: r["comment"] for r in any_lake.spark.sql(f"DESCRIBE TABLE {any_lake.ref(ROWS.table)}").collect()
    }
    assert described["id"] == "Identifies the row."
    detail = any_lake.spark.sql(f"DESCRIBE DETAIL {any_lake.ref(ROWS.table)}").collect()[0]
    assert detail["description"] == ROWS.grain
    assert detail["clusteringColumns"] == ["id"]
    assert detail["properties"]["delta.constraints.even"] == "value IS NULL OR value % 2 = 0"


def test_a_pin_ignores_commits_that_change_no_row(any_lake: Lake) -> None:
    assert any_lake.pin(ROWS.table).version is None
    for i in range(3):
        carry_out(any_lake, append_once(ROWS, rows(any_lake, (str(i), 2.0))), run_id=str(i))
    before = any_lake.pin(ROWS.table)
    any_lake.spark.sql(f"OPTIMIZE {any_lake.ref(ROWS.table)}").collect()
    after = any_lake.pin(ROWS.table)
    assert after.version == before.version == 3
    assert after.read_version == 4
    assert after.table_id == before.table_id


def test_a_version_is_read_as_it_was(lake: Lake) -> None:
    carry_out(lake, upsert(ROWS, rows(lake, ("a", 2.0))), run_id="one")
    pinned = lake.pin(ROWS.table).version
    carry_out(lake, upsert(ROWS, rows(lake, ("a", 4.0))), run_id="two")
    assert [row["value"] for row in lake.read(ROWS.table, version=pinned).collect()] == [2.0]


def test_a_column_that_the_contract_gained_is_added(lake: Lake) -> None:
    carry_out(lake, upsert(ROWS, rows(lake, ("a", 2.0))), run_id="one")
    wider = Contract("gold.rows", ROWS.grain, ROWS.key, (*ROWS.columns, Column("day", DATE, "A day.", nullable=True)))
    lake.ensure(wider)
    assert lake.read(ROWS.table).columns == ["id", "value", "tags", "day"]
    other_type = Contract("gold.rows", ROWS.grain, ROWS.key, (ROWS.columns[0], Column("value", STRING, "A value.")))
    with pytest.raises(ContractError, match=r"gold.rows.value is double"):
        lake.ensure(other_type)


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
