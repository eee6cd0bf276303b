"""A tiny retailer, made once for all tests, and small ones made to order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from retail_spark.lake.store import Lake
from retail_spark.progress import Progress
from retail_spark.run import Outcome, Run
from retail_spark.settings import LakeSettings, RunSettings, Settings
from retail_spark.synthetic.job import JOB
from retail_spark.synthetic.settings import JobSettings

Make = Callable[..., Outcome]


@pytest.fixture(scope="session")
def make(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Calls the job as a function: nothing is written but its stages."""

    def made(*, seed: int = 42, **own: object) -> Outcome:
        root = tmp_path_factory.mktemp("made")
        settings = Settings(lake=LakeSettings(root=str(root)), run=RunSettings(seed=seed))
        run = Run(
            id="test",
            job="synthetic",
            known_until=None,
            seed=seed,
            spark=spark,
            lake=Lake.open(spark, settings.lake),
            settings=settings,
            pins={},
            last_pins={},
            progress=Progress("test", quiet=True),
        )
        return JOB(run, JobSettings.model_validate(own))

    return made


@pytest.fixture(scope="session")
def tiny(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The tiny retailer's tables in a lake of their own, as Delta tables without further machinery."""
    outcome = make(size="tiny")
    assert isinstance(outcome.tables, tuple)
    spark = outcome.tables[0].frame.sparkSession
    lake = Lake.open(spark, LakeSettings(root=str(tmp_path_factory.mktemp("tiny"))))
    for write in outcome.tables:
        write.frame.coalesce(1).write.format("delta").save(lake.path(write.contract.table))
    return lake


Table = Callable[[str], DataFrame]


@pytest.fixture(scope="session")
def table(tiny: Lake) -> Table:
    """A table of the tiny retailer."""
    return lambda name: tiny.spark.read.format("delta").load(str(Path(tiny.root, *name.split("."))))


@pytest.fixture(scope="session")
def frame(table: Table) -> Callable[[str], pd.DataFrame]:
    """A table of the tiny retailer in memory."""
    return lambda name: table(name).toPandas()
