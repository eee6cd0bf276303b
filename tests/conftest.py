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

INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
DEAREST = (
    "test_same_twice", "test_equals_local", "test_recommend", "test_life_of_a_run", "test_kill", "test_incremental",
    "test_mappings", "test_elasticity", "test_connect", "test_writers", "test_increments", "test_job",
    "test_supplier_risk", "test_forecast",
)  # fmt: skip
"""Files that take minutes, the longest first: begun early, no process is left alone with one at the end."""

DATA_ROOT = Path(os.environ.get("RETAIL_SPARK__DATA_ROOT", Path(__file__).parents[1] / ".." / "shared" / "data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: n for n, name in enumerate(DEAREST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    home = tmp_path_factory.mktemp("session")
    settings = Settings(
        lake=LakeSettings(root=str(home / "lake")),
        # compiling a plan costs more than running it on tiny data (the demo and the cluster run with the defaults)
        spark=SparkSettings(master="local[2]", shuffle_partitions=2, conf=INTERPRETED),
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
