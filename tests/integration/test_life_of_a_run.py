from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import LakeSettings
from retail_spark.engine.history import JOB_RUNS, METRICS
from retail_spark.engine.job import Result
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.errors import ContractError, InputError, LeaseHeldError, UsageError
from retail_spark.lake.content_hash import content_hash
from retail_spark.lake.lake import Lake
from retail_spark.lake.lease import LEASES, hold
from retail_spark.quality.report import EXPECTATIONS
from tests.toy import INPUT, MODES, OUTPUT, SLICE, Mode, put_input, toy_job, toy_settings

ROWS = (("a", "2024-01-01", 1.0), ("b", "2024-01-02", 2.0))


@pytest.fixture
def filled(lake: Lake) -> Lake:
    put_input(lake, *ROWS)
    return lake


@dataclass(frozen=True)
class Ran:
    """A lake on which the toy has run once, to do with as a test likes."""

    lake: Lake
    first: Result


@pytest.fixture(scope="module")
def whole_world(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    lake = Lake.open(spark, LakeSettings(root=str(tmp_path_factory.mktemp("world") / "lake")))
    put_input(lake, *ROWS)
    return Ran(lake, run(lake))


@pytest.fixture
def ran(whole_world: Ran, tmp_path: Path) -> Ran:
    """A copy of the folder: tables, history and all."""
    root = shutil.copytree(whole_world.lake.root, tmp_path / "lake")
    return Ran(Lake.open(whole_world.lake.spark, LakeSettings(root=str(root))), whole_world.first)


def run(
    lake: Lake, mode: Mode = "replace_slice", *, force: bool = False, as_of: str | None = None, **toy: float
) -> Result:
    from datetime import date

    settings = toy_settings(lake.root, **toy)
    day = date.fromisoformat(as_of) if as_of else None
    quiet = Progress("toy", quiet=True)
    return run_job(toy_job(mode), settings, spark=lake.spark, as_of=day, force=force, progress=quiet)


def values(lake: Lake, mode: Mode = "replace_slice") -> dict[str, float]:
    return {row["id"]: row["value"] for row in lake.read(OUTPUT[mode].table).collect()}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_rerun_is_unchanged_and_force_gives_the_same_rows(filled: Lake, mode: Mode) -> None:
    first = run(filled, mode)
    assert (first.status, first.as_of) == ("done", "2024-01-02")
    assert first.tables[OUTPUT[mode].name]["rows"] == 2
    before = content_hash(filled.read(OUTPUT[mode].table))
    again = run(filled, mode)
    assert again.status == "unchanged"
    assert (again.run_id, again.tables, again.metrics) == (first.run_id, first.tables, first.metrics)
    forced = run(filled, mode, force=True)
    assert (forced.status, forced.run_id) == ("done", first.run_id)
    assert content_hash(filled.read(OUTPUT[mode].table)) == before
    attempts = filled.read(JOB_RUNS.table).where(F.col("run_id") == first.run_id).select("attempt").collect()
    assert sorted(row["attempt"] for row in attempts) == [1, 2]


def test_a_corrected_input_or_setting_is_another_run(ran: Ran) -> None:
    filled, first = ran.lake, ran.first
    put_input(filled, ("a", "2024-01-01", 1.0), ("b", "2024-01-02", 5.0), run_id="corrected")
    second = run(filled)
    assert (second.status, second.run_id != first.run_id) == ("done", True)
    assert values(filled) == {"a-1": 2.0, "b-1": 10.0}
    third = run(filled, factor=3.0)
    assert third.run_id != second.run_id
    assert values(filled) == {"a-1": 3.0, "b-1": 15.0}


def test_what_someone_did_to_the_slice_since_is_repaired(ran: Ran) -> None:
    filled, first = ran.lake, ran.first
    filled.spark.sql(f"DELETE FROM {filled.ref(SLICE.table)} WHERE id = 'a-1'").collect()
    assert run(filled).status == "done"
    assert values(filled) == {"a-1": 2.0, "b-1": 4.0}
    filled.spark.sql(f"OPTIMIZE {filled.ref(SLICE.table)}").collect()
    assert run(filled).run_id == first.run_id
    assert run(filled).status == "unchanged"


def test_a_run_as_of_a_past_date_sees_no_later_row_and_leaves_other_dates_alone(ran: Ran) -> None:
    filled, today = ran.lake, ran.first
    past = run(filled, as_of="2024-01-01")
    assert past.tables[SLICE.name]["rows"] == 1
    found = {(str(row["as_of"]), row["id"]) for row in filled.read(SLICE.table).collect()}
    assert found == {("2024-01-01", "a-1"), ("2024-01-02", "a-1"), ("2024-01-02", "b-1")}
    assert run(filled).status == "unchanged", "another run's slice is no reason to compute again"
    assert run(filled).run_id == today.run_id


def test_one_row_dated_far_beyond_all_others_is_refused_by_name(ran: Ran) -> None:
    put_input(ran.lake, *ROWS, ("typo", "2042-05-01", 1.0), run_id="typo")
    with pytest.raises(InputError, match=r"silver\.toy: .*2042-05-01 is 2024-01-02.*2042-05-01 \(id=typo\)") as told:
        run(ran.lake)
    assert "--as-of 2024-01-02" in told.value.fix
    assert run(ran.lake, as_of="2024-01-02").tables[SLICE.name]["rows"] == 2


def test_every_run_is_told_in_the_ops_tables(ran: Ran) -> None:
    filled, result = ran.lake, ran.first
    row = filled.read(JOB_RUNS.table).collect()[0].asDict(recursive=True)
    assert (row["job"], row["status"], row["attempt"]) == ("toy", "done", 1)
    assert [(i["name"], i["version"]) for i in row["inputs"]] == [(INPUT.name, 1)]
    assert row["outputs"][0]["slice"] == {"as_of": "2024-01-02"}
    assert json.loads(row["result"])["run_id"] == result.run_id
    metrics = {r["metric"]: r["value"] for r in filled.read(METRICS.table).collect()}
    assert metrics == {"rows": 2.0}
    checks = filled.read(EXPECTATIONS.table).where(F.col("run_id") == result.run_id)
    assert checks.where(~F.col("success")).count() == 0
    assert checks.count() >= 5


def test_a_broken_output_is_refused_before_anything_is_written(ran: Ran) -> None:
    filled = ran.lake
    before = content_hash(filled.read(SLICE.table))
    with pytest.raises(ContractError, match=r"gold\.toy_slice"):
        run(filled, factor=-1.0)
    assert content_hash(filled.read(SLICE.table)) == before
    failed = filled.read(JOB_RUNS.table).where(F.col("status") == "failed").collect()
    assert len(failed) == 1
    assert "gold.toy_slice" in failed[0]["error"]
    assert not list(Path(filled.root, "_staging").iterdir())


def test_a_second_run_at_once_is_refused_before_it_starts(ran: Ran) -> None:
    before = ran.lake.pin(SLICE.table), ran.lake.pin(JOB_RUNS.table)
    with hold(ran.lake, "toy"), pytest.raises(LeaseHeldError):
        run(ran.lake, factor=7.0)
    assert (ran.lake.pin(SLICE.table), ran.lake.pin(JOB_RUNS.table)) == before


def test_a_missing_or_empty_input_is_named(lake: Lake) -> None:
    with pytest.raises(InputError, match=r"silver\.toy, which does not exist"):
        run(lake)
    lake.ensure(INPUT)
    with pytest.raises(InputError, match=r"silver\.toy is empty"):
        run(lake)


def test_a_job_without_dates_refuses_as_of(lake: Lake) -> None:
    from datetime import date

    from retail_spark.engine.job import Job, Outcome, job
    from tests.toy import ToySettings

    timeless: Job = job("toy", settings=ToySettings)(lambda run, settings: Outcome(tables=()))
    with pytest.raises(UsageError, match="no as-of date"):
        run_job(timeless, toy_settings(lake.root), spark=lake.spark, as_of=date(2024, 1, 1))


@pytest.mark.slow
def test_a_catalog_lake_lives_the_same_life(spark: SparkSession, tmp_path: Path) -> None:
    for table in (INPUT.name, SLICE.name, *(c.name for c in (JOB_RUNS, METRICS, EXPECTATIONS, LEASES))):
        spark.sql(f"DROP TABLE IF EXISTS spark_catalog.{table}")
    settings = toy_settings(tmp_path / "lake", catalog="spark_catalog")
    lake = Lake.open(spark, settings.lake)
    put_input(lake, *ROWS)

    def once() -> Result:
        return run_job(toy_job("replace_slice"), settings, spark=spark, progress=Progress("toy", quiet=True))

    first = once()
    assert (first.status, once().status) == ("done", "unchanged")
    assert values(lake) == {"a-1": 2.0, "b-1": 4.0}
    assert spark.sql("SELECT count(*) FROM spark_catalog.gold.latest_toy_slice").collect()[0][0] == 2
    with hold(lake, "toy"), pytest.raises(LeaseHeldError):
        once()
    dead = f"UPDATE {lake.ref(LEASES.table)} SET token = 'gone', pid = 1, started = 0.5 WHERE name = 'toy'"
    spark.sql(dead).collect()
    with hold(lake, "toy") as lease:
        lease.check()
        spark.sql(f"UPDATE {lake.ref(LEASES.table)} SET token = 'another' WHERE name = 'toy'").collect()
        with pytest.raises(LeaseHeldError, match="taken over"):
            lease.check()
    assert not spark.catalog.tableExists(f"staging.{first.run_id}_toy_slice"), "stages are dropped"
