"""Ingest and recommend on a cluster of two workers give the tables that a local run gives."""

from __future__ import annotations

import csv
import gzip
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.lake.contracts import LINEAGE
from tests.cluster.conftest import Cluster, ended_well
from tests.cluster.processes import clean_environment

pytestmark = pytest.mark.slow

AS_OF = "2011-11-08"
EVERY = int(os.environ.get("RETAIL_CLUSTER_EVERY", "16"))
"""Customers are cut to every n-th. With 1, the whole shop, the gate lets the model pass and ALS makes the lists; in the
cut it is too close to its rival, so that only its figures are compared."""
BROKEN = (
    "581999,22423,CAKESTAND,six,2011-12-09 12:00:00,12.75,17850,United Kingdom",
    "581999,22423,CAKESTAND,6,2011-02-30 12:00:00,12.75,17850,United Kingdom",
    "581999,22423,CAKESTAND,6,,12.75,17850,United Kingdom",
)
TOLERANCE = {"silver": 1e-9, "gold": 1e-6}
"""Of values and of model figures, between machines (relative and absolute)."""


@dataclass(frozen=True)
class Ran:
    """A lake, and the closing JSON of each job that made it."""

    lake: Path
    results: dict[str, Any]


@pytest.fixture(scope="module")
def shop(data_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data root with some customers' lines of Online Retail, as in the original file, and the broken lines."""
    root = tmp_path_factory.mktemp("shop")
    (root / "online_retail").mkdir()
    name = "online_retail/online_retail.csv.gz"
    with (
        gzip.open(data_folder("online_retail") / Path(name).name, "rt", encoding="utf-8", newline="") as whole,
        gzip.open(root / name, "wt", encoding="utf-8", newline="") as cut,
    ):
        lines = csv.reader(whole)
        out = csv.writer(cut)
        header = next(lines)
        customer = header.index("CustomerID")
        out.writerow(header)
        out.writerows(line for line in lines if line[customer].isdigit() and int(line[customer]) % EVERY == 0)
        out.writerows(csv.reader(BROKEN))
    return root


def arguments(job: str, *, shop: Path, lake: Path) -> list[str]:
    quick = ["recommend.chooses_blend=false", "recommend.iterations=5", "recommend.replicates=50"]
    at = ["--as-of", AS_OF, *(part for one in quick for part in ("--set", one))] if job == "recommend" else []
    sets = ["--set", f"lake.root={lake}", "--set", f"data_root={shop}"]
    return ["-c", "conf/sources/online_retail.yml", *sets, *at]


@pytest.fixture(scope="module")
def local(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    lake = tmp_path_factory.mktemp("local") / "lake"
    results = {}
    for job in ("ingest", "recommend"):
        program = Path(sys.executable).with_name("retail-spark")
        command = [program, "run", job, *arguments(job, shop=shop, lake=lake)]
        done = ended_well(command, environment=clean_environment())
        results[job] = json.loads(done.stdout.splitlines()[-1])
    return Ran(lake, results)


@pytest.fixture(scope="module")
def clustered(cluster: Cluster, shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    lake = tmp_path_factory.mktemp("clustered") / "lake"
    results = {}
    for job in ("ingest", "recommend"):
        done = cluster.submit(job, *arguments(job, shop=shop, lake=lake))
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
def test_every_table_equals_that_of_a_local_run(spark: SparkSession, local: Ran, clustered: Ran, schema: str) -> None:
    tables = tables_of(local.lake, schema)

    assert tables
    assert tables_of(clustered.lake, schema) == tables
    for table in tables:
        expected = content(spark, local.lake, f"{schema}/{table}")
        check_equal(content(spark, clustered.lake, f"{schema}/{table}"), expected, tolerance=TOLERANCE[schema])


def test_there_is_something_to_compare(spark: SparkSession, local: Ran) -> None:
    names = ("silver/sales", "silver/sales_quarantine", "gold/recommendations")
    rows = {table: len(content(spark, local.lake, table)) for table in names}

    assert rows["silver/sales"] > 5_000
    assert rows["silver/sales_quarantine"] == len(BROKEN)
    assert rows["gold/recommendations"] > 1_000


@pytest.mark.parametrize("job", ["ingest", "recommend"])
def test_figures_equal_those_of_a_local_run(local: Ran, clustered: Ran, job: str) -> None:
    expected, found = local.results[job], clustered.results[job]

    assert found["status"] == expected["status"]
    assert found["as_of"] == expected["as_of"]
    rows = {
        name: [told["rows"] for told in (found["tables"][name], expected["tables"][name])]
        for name in expected["tables"]
    }
    assert all(there == here for there, here in rows.values()), rows
    assert found["metrics"] == pytest.approx(expected["metrics"], rel=1e-6, abs=1e-6)


def test_a_second_submit_is_unchanged(cluster: Cluster, clustered: Ran, shop: Path) -> None:
    done = cluster.submit("recommend", *arguments("recommend", shop=shop, lake=clustered.lake))

    again = json.loads(done.stdout.splitlines()[-1])
    assert again["status"] == "unchanged"
    assert again["run_id"] == clustered.results["recommend"]["run_id"]
