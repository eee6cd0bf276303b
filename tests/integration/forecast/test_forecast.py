"""The job in the whole life of a run, on a small made-up shop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pytest
from pydantic import create_model
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import LakeSettings, Settings
from retail_spark.domains.forecast.job import JOB
from retail_spark.domains.forecast.settings import JobSettings
from retail_spark.engine.job import Result
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.lake.commit import carry_out
from retail_spark.lake.content_hash import content_hash
from retail_spark.lake.lake import Lake
from retail_spark.lake.write import replace_slice
from retail_spark.tables.forecast import FORECAST_ACCURACY, FORECAST_LEVELS, FORECASTS
from tests.unit.forecast.shop import frame_of, shop

SMALL: dict[str, Any] = {
    "horizon": 3, "windows": 3, "step": 3, "trees": 20, "buckets": 2, "train_periods": 40, "replicates": 20,
    "models": ("mean", "ses"), "max_coverage_error": 0.3, "reconcile": "mint",
}  # fmt: skip


class House:
    """A lake with the small shop's tables, on which the job has run once."""

    def __init__(self, spark: SparkSession, root: Path) -> None:
        self.lake = Lake.open(spark, LakeSettings(root=str(root)))
        for contract, rows in shop().items():
            frame = frame_of(spark, contract, rows)
            carry_out(self.lake, replace_slice(contract, frame, source="made_up"), run_id="input")
        self.first = self.run()

    def run(self, *, force: bool = False, **given: Any) -> Result:
        whole = create_model("Whole", __base__=Settings, forecast=(JobSettings, JobSettings(**(SMALL | given))))
        self.settings = whole(lake=LakeSettings(root=self.lake.root), quality={"data_docs": False})
        quiet = Progress("forecast", quiet=True)
        return run_job(JOB, self.settings, spark=self.lake.spark, force=force, progress=quiet)


@pytest.fixture(scope="module")
def house(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(spark, tmp_path_factory.mktemp("forecast") / "lake")


@pytest.mark.slow
def test_the_job_learns_registers_and_writes_its_tables(house: House) -> None:
    assert house.first.status == "done"
    assert house.first.metrics["wape"] < house.first.metrics["wape_seasonal_naive"]
    rows = house.lake.read(FORECASTS.table)
    assert rows.count() == 3 * 8 * 3
    assert rows.where("status != 'ok'").count() == 0
    chosen = house.lake.read(FORECAST_ACCURACY.table).where("is_chosen")
    assert chosen.count() == 3 * 8
    assert chosen.where("reason = ''").count() == 0
    assert run_again_is_unchanged(house)


def run_again_is_unchanged(house: House) -> bool:
    return house.run().status == "unchanged"


@pytest.mark.slow
def test_levels_add_up(house: House) -> None:
    bottom = house.lake.read(FORECASTS.table).groupBy("date").agg(F.sum("mean").alias("bottom"))
    levels = house.lake.read(FORECAST_LEVELS.table).groupBy("date", "level").agg(F.sum("mean").alias("upper"))
    off = levels.join(bottom, "date", how="inner").where(F.abs(F.col("upper") - F.col("bottom")) > 1e-6)
    assert off.count() == 0
    assert levels.select("level").distinct().count() == 5


@pytest.mark.slow
def test_the_registered_policy_forecasts_a_history(house: House) -> None:
    from retail_spark.registry.connection import Connection

    with Connection.of(house.settings).talking():
        model = mlflow.pyfunc.load_model("models:/retail_spark_forecast@champion")
    answer = model.predict(model.input_example)
    assert len(answer) == 3 * 3
    assert (answer["lo_95"] <= answer["mean"]).all()


@pytest.mark.slow
def test_forced_again_the_tables_hold_the_same(house: House) -> None:
    tables = (FORECASTS, FORECAST_LEVELS, FORECAST_ACCURACY)
    before = [content_hash(house.lake.read(c.table)) for c in tables]
    assert house.run(force=True).status == "done"
    assert [content_hash(house.lake.read(c.table)) for c in tables] == before
