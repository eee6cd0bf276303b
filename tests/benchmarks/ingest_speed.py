"""Rows per second of ingest beside a plain read.csv -> write delta of the same columns, in one process.

The Online Retail file is repeated until it has as many rows as asked for; every repetition has invoice numbers of its
own, so that rows of different repetitions differ (the file's own identical rows stay).

    python -m tests.benchmarks.ingest_speed --rows 10000000 [--rounds 3] [--folder DIR]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from pyspark.sql import SparkSession

from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.engine.settings_layers import resolve
from retail_spark.ingest.job import JOB
from retail_spark.spark.session import get_session

DATA_ROOT = Path(os.environ.get("RETAIL_SPARK__DATA_ROOT", Path(__file__).parents[2] / ".." / "shared" / "data"))
LIMIT = 2.5
MAPPING = """
source: repeated
inputs: {lines: {path: "PATH", format: csv}}
tables:
  sales:
    from: lines
    columns:
      order_id: InvoiceNo
      sold_at: "to_timestamp(InvoiceDate)"
      store_id: "coalesce(Country, 'unknown')"
      product_id: StockCode
      customer_id: CustomerID
      quantity: "cast(Quantity as double)"
      unit_price: "abs(cast(UnitPrice as double))"
"""


def main() -> None:
    """Makes the file, warms up, measures, prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="ingest_speed_", dir=arguments.folder))
    try:
        source = make_file(home / "lines.csv", rows=arguments.rows)
        warm = make_file(home / "warm.csv", rows=200_000)
        spark = get_session(resolve(sets=[f"lake.root={home}/session", "spark.driver_memory=6g"]))
        plain(spark, warm, home / "warm_plain")
        machinery(spark, warm, home / "warm_lake")
        for number in range(arguments.rounds):
            measure(spark, source, home, rows=arguments.rows, number=number)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def measure(spark: SparkSession, source: Path, home: Path, *, rows: int, number: int) -> None:
    """One round: plain, then ingest, with the parts of the run."""
    began = time.monotonic()
    plain(spark, source, home / f"plain{number}")
    plain_seconds = time.monotonic() - began
    began = time.monotonic()
    metrics, parts = machinery(spark, source, home / f"lake{number}")
    seconds = time.monotonic() - began
    print(f"rows {rows:,}: plain {plain_seconds:.1f} s ({rows / plain_seconds:,.0f} rows/s), ", end="")
    print(f"ingest {seconds:.1f} s ({rows / seconds:,.0f} rows/s), ratio {seconds / plain_seconds:.2f} (limit {LIMIT})")
    print("  " + ", ".join(f"{name} {took:.1f}" for name, took in parts.items() if took >= 0.05))
    print("  " + json.dumps(metrics))
    for folder in (home / f"plain{number}", home / f"lake{number}"):
        shutil.rmtree(folder, ignore_errors=True)


def plain(spark: SparkSession, source: Path, target: Path) -> None:
    """What a hurried script does: typed columns by position, no rule, no check."""
    schema = (
        "InvoiceNo string, StockCode string, Description string, Quantity int, InvoiceDate timestamp, "
        "UnitPrice double, CustomerID string, Country string"
    )
    rows = spark.read.csv(str(source), header=True, schema=schema, escape='"')
    names = ("InvoiceNo", "InvoiceDate", "Country", "StockCode", "CustomerID", "Quantity", "UnitPrice")
    rows.select(*names).write.format("delta").save(str(target))


def machinery(spark: SparkSession, source: Path, lake: Path) -> tuple[dict[str, float], dict[str, float]]:
    """The whole of `run ingest`: lease, pins, judging, settling, checks, writes, records."""
    lake.mkdir(parents=True)
    mapping = lake / "mapping.yml"
    mapping.write_text(MAPPING.replace("PATH", str(source)), encoding="utf-8")
    progress = Progress("ingest", quiet=True)
    result = run_job(JOB, resolve(files=[mapping], sets=[f"lake.root={lake}"]), spark=spark, progress=progress)
    return dict(result.metrics), progress.seconds


def make_file(path: Path, *, rows: int) -> Path:
    """The file repeated to `rows` rows, uncompressed."""
    with gzip.open(DATA_ROOT / "online_retail" / "online_retail.csv.gz", "rt", encoding="utf-8") as opened:
        header, *lines = opened.readlines()
    with path.open("w", encoding="utf-8") as written:
        written.write(header)
        left, repetition = rows, 0
        while left > 0:
            written.writelines(f"{repetition}-{line}" for line in lines[:left])
            left -= len(lines)
            repetition += 1
    return path


if __name__ == "__main__":
    main()
