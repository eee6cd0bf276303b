"""A tiny retailer, made once for all tests, and small ones made to order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from retail_spark.config.section import LakeSettings, RunSettings, Settings
from retail_spark.engine.job import Outcome, Run
from retail_spark.engine.progress import Progress
from retail_spark.lake.lake import Lake
from retail_spark.synthetic.job import JOB
from retail_spark.synthetic.settings import JobSettings
from tests.house import House

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
def tiny(house: House) -> Lake:
    """The lake with the tiny retailer's raw tables and their truth."""
    return house.lake


Table = Callable[[str], DataFrame]


@pytest.fixture(scope="session")
def table(tiny: Lake) -> Table:
    """A table of the tiny retailer."""
    return lambda name: tiny.spark.read.format("delta").load(str(Path(tiny.root, *name.split("."))))


@pytest.fixture(scope="session")
def frame(table: Table) -> Callable[[str], pd.DataFrame]:
    """A table of the tiny retailer in memory."""
    return lambda name: table(name).toPandas()
