"""A lake on which every job of the demo has run once, for all laws that look at whole runs.

CI makes it by the command (`make demo CONFIG=tests/quick.yml`) and names it in RETAIL_SPARK_TEST_LAKE; without that
name the same jobs run here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from pyspark.sql import SparkSession

from retail_spark.cli.demo import conf_folder
from retail_spark.config.section import Settings
from retail_spark.engine.catalogue import all_jobs, entry, in_order
from retail_spark.engine.history import FINISHED, JOB_RUNS
from retail_spark.engine.job import Result
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.engine.settings_layers import resolve
from retail_spark.lake.content_hash import content_hash
from retail_spark.lake.journal import read_rows
from retail_spark.lake.lake import Lake
from retail_spark.lake.sql import tables
from retail_spark.lake.table_name import TableName

REPO = Path(__file__).parents[1]
CONFIG = (conf_folder() / "sources" / "synthetic.yml", REPO / "tests" / "quick.yml")
GIVEN = "RETAIL_SPARK_TEST_LAKE"
COMPUTED = ("raw", "truth", "silver", "gold", "ids")
_APART = ("synthetic", "ingest", "maintain")
DOMAINS = in_order(name for name, job in all_jobs().items() if name not in _APART and not job.on_demand)
ORDER = ["synthetic", "ingest", *DOMAINS]


def house_settings(root: Path | str, *sets: str) -> Settings:
    """Settings of the demo on that lake, without its pages."""
    return resolve(files=list(CONFIG), sets=[f"lake.root={root}", "quality.data_docs=false", *sets])


class House:
    """The lake, and the result of each job's first run."""

    def __init__(self, spark: SparkSession, scratch: Path) -> None:
        given = os.environ.get(GIVEN)
        self.spark = spark
        self.settings = house_settings(given or scratch / "lake")
        self.lake = Lake.open(spark, self.settings.lake)
        if not given:
            for name in ORDER:
                self.run(name)
        self.first = {name: self._first_of(name) for name in ORDER}
        self._hashed: dict[tuple[str, int | None], str] = {}

    def _first_of(self, name: str) -> Result:
        attempts = read_rows(self.lake, JOB_RUNS, where={"job": name}, newest_by="finished_at")
        finished = [row for row in attempts if row["status"] in FINISHED]
        assert finished, f"{name} has not run on {self.lake.root}"
        return Result(**json.loads(finished[-1]["result"]))

    def run(self, name: str, *, force: bool = False) -> Result:
        quiet = Progress(name, quiet=True)
        return run_job(entry(name).job(), self.settings, spark=self.spark, force=force, progress=quiet)

    def run_without_spark(self, name: str) -> Result:
        """Runs a job that may not ask for a session."""

        def none() -> SparkSession:
            raise AssertionError(f"{name} asked for a session")

        return run_job(entry(name).job(), self.settings, spark=none, progress=Progress(name, quiet=True))

    def contents(self) -> dict[str, str]:
        """What every table of a job holds: of gold and ids a hash, of what no domain writes the version."""
        found = [table for table in tables(self.lake) if table.parts[0] in COMPUTED]
        return {str(table): self._content(table) for table in found}

    def _content(self, table: TableName) -> str:
        version = self.lake.pin(table).version
        if table.parts[0] not in ("gold", "ids"):
            return f"version {version}"
        if (str(table), version) not in self._hashed:
            self._hashed[str(table), version] = content_hash(self.lake.read(table))
        return self._hashed[str(table), version]
