"""Ingest and recommend on a cluster of two workers give the tables that a local run gives."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.engine.catalogue import entry
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.lake.contract import LINEAGE
from tests.cluster.conftest import Cluster
from tests.house import CONFIG, REPO, House, house_settings

pytestmark = pytest.mark.slow

JOBS = ("ingest", "recommend")
TOLERANCE = {"silver": 1e-9, "gold": 1e-6}
"""Of values and of model figures, between machines (relative and absolute)."""


@dataclass(frozen=True)
class Ran:
    """A lake, and the closing JSON of each job that made it."""

    lake: Path
    results: dict[str, Any]


@pytest.fixture(scope="module")
def clustered(cluster: Cluster, house: House, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The jobs on the cluster, from the same exports of the made-up retailer as those of the house."""
    lake = tmp_path_factory.mktemp("clustered") / "lake"
    shutil.copytree(Path(house.lake.root) / "raw", lake / "raw")
    files = [part for path in CONFIG for part in ("-c", str(path.relative_to(REPO)))]
    results = {}
    for job in JOBS:
        done = cluster.submit(job, *files, "--set", f"lake.root={lake}", "--set", "quality.data_docs=false")
        results[job] = json.loads(done.stdout.splitlines()[-1])
    return Ran(lake, results)


def tables_of(lake: Path, schema: str) -> list[str]:
    return sorted(folder.name for folder in (lake / schema).iterdir() if (folder / "_delta_log").is_dir())


def content(spark: SparkSession, lake: Path, table: str) -> pd.DataFrame:
    """All rows without lineage, nested columns as JSON, in an order that only exact columns decide."""
    frame = spark.read.format("delta").load(str(lake / table)).drop(*(column.name for column in LINEAGE))
    nested = (T.MapType, T.ArrayType, T.StructType)
    shown = [F.to_json(f.name).alias(f.name) if isinstance(f.dataType, nested) else F.col(f.name) for f in frame.schema]
    rows = frame.select(*shown).toPandas()
    exact = [name for name in rows if rows[name].dtype != np.float64]
    return rows.sort_values(exact, ignore_index=True)


def check_equal(left: pd.DataFrame, right: pd.DataFrame, *, tolerance: float) -> None:
    """Ids, dates and texts are equal, numbers within the tolerance."""
    pd.testing.assert_frame_equal(left, right, check_exact=False, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("schema", ["silver", "gold"])
def test_every_table_equals_that_of_a_local_run(spark: SparkSession, house: House, clustered: Ran, schema: str) -> None:
    tables = tables_of(clustered.lake, schema)

    assert len(tables) >= 2
    if schema == "silver":
        assert tables_of(Path(house.lake.root), schema) == tables
    for table in tables:
        expected = content(spark, Path(house.lake.root), f"{schema}/{table}")
        check_equal(content(spark, clustered.lake, f"{schema}/{table}"), expected, tolerance=TOLERANCE[schema])


def test_there_is_something_to_compare(house: House, clustered: Ran) -> None:
    told = {name: about["rows"] for result in clustered.results.values() for name, about in result["tables"].items()}

    assert told["silver.sales"] > 4_000
    assert told["silver.sales_quarantine"] > 10
    assert told["gold.recommendations"] > 1_000
    assert told["gold.similar_products"] > 50


@pytest.mark.parametrize("job", JOBS)
def test_figures_equal_those_of_a_local_run(house: House, clustered: Ran, job: str) -> None:
    expected, found = house.first[job], clustered.results[job]

    assert (found["status"], found["as_of"]) == (expected.status, expected.as_of)
    rows = {name: [told["rows"] for told in (found["tables"][name], expected.tables[name])] for name in expected.tables}
    assert all(there == here for there, here in rows.values()), rows
    assert found["metrics"] == pytest.approx(expected.metrics, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("job", JOBS)
def test_what_the_cluster_has_finished_is_unchanged_for_a_laptop(spark: SparkSession, clustered: Ran, job: str) -> None:
    quiet = Progress(job, quiet=True)
    again = run_job(entry(job).job(), house_settings(clustered.lake), spark=spark, progress=quiet)

    assert (again.status, again.run_id) == ("unchanged", clustered.results[job]["run_id"])
