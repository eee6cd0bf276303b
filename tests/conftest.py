"""What every test may use: one Spark session a process, a fresh lake, and the place of the real data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from pyspark.sql import SparkSession

from retail_spark.lake.store import Lake
from retail_spark.session import get_session
from retail_spark.settings import LakeSettings, Settings, SparkSettings

# machines are shared: how long an example takes says nothing about the law
hypothesis_settings.register_profile("house", deadline=None)
hypothesis_settings.load_profile("house")

DATA_ROOT = Path(os.environ.get("RETAIL_SPARK__DATA_ROOT", Path(__file__).parents[1] / ".." / "shared" / "data"))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    home = tmp_path_factory.mktemp("session")
    settings = Settings(
        lake=LakeSettings(root=str(home / "lake")),
        # tiny data: compiling a plan costs more than running it (the demo in CI runs with the defaults)
        spark=SparkSettings(master="local[2]", shuffle_partitions=2, conf={"spark.sql.codegen.wholeStage": "false"}),
    )
    session = get_session(settings, fast_start=True)
    yield session
    session.stop()


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    """A fresh path lake."""
    return Lake.open(spark, LakeSettings(root=str(tmp_path / "lake")))


@pytest.fixture(scope="session")
def data_folder() -> Callable[[str], Path]:
    """Finds a folder of the real data, or fails saying how to point at it: a missing folder is never a pass."""

    def find(name: str) -> Path:
        folder = DATA_ROOT / name
        if not folder.is_dir():
            pytest.fail(
                f"the real data is not at {DATA_ROOT}: set RETAIL_SPARK__DATA_ROOT to the folder that holds {name}/"
            )
        return folder

    return find
