"""What every test may use: one Spark session a process, a fresh lake, and the place of the real data."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from pyspark.sql import SparkSession

from retail_spark.config.section import LakeSettings, Settings, SparkSettings
from retail_spark.lake.lake import Lake
from retail_spark.spark.session import get_session
from tests.house import House
from tests.real.figures import FILE as FIGURES

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


SECONDS = Path(__file__).parents[1] / ".make"
"""Where `make durations` finds how long each test file took."""


class Durations:
    """Adds up the seconds of each test file, fixtures included; fixtures of the session count for who asked first."""

    def __init__(self) -> None:
        self.by_file: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.by_file[report.nodeid.split("::")[0]] += report.duration

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        suite = "-".join(re.findall(r"[a-z]+", session.config.option.markexpr)) or "all"
        slowest = sorted(self.by_file.items(), key=lambda item: -item[1])
        lines = [f"{seconds:6.0f} s  {file} ({session.config.option.markexpr})\n" for file, seconds in slowest]
        SECONDS.mkdir(exist_ok=True)
        (SECONDS / f"seconds-tests-{suite}.tsv").write_text("".join(lines), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the process that hears of all tests
        config.pluginmanager.register(Durations())


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
def house(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> House:
    """The demo's retailer at its smallest, with every job run once."""
    return House(spark, tmp_path_factory.mktemp("house"))


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of published figures, after the tests that read them (`make real`)."""
    if FIGURES.exists() and terminalreporter.config.option.markexpr.strip() == "real":
        terminalreporter.section("figures, from the output tables")
        for line in FIGURES.read_text(encoding="utf-8").splitlines():
            terminalreporter.write_line("  ".join(line.split("\t")))
