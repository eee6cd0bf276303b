"""How fast series are foretold: whole panels against one group a series, and AutoETS against statsforecast itself.

python -m tests.benchmarks.forecast_speed [--only cheap|ets|linear]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import LakeSettings, Settings, SparkSettings
from retail_spark.domains.forecast.models.auto import searched
from retail_spark.domains.forecast.recipe import Recipe
from retail_spark.domains.forecast.series.frame import Frame
from retail_spark.domains.forecast.series.panel import PAID, PEERS, PLANNED
from retail_spark.domains.forecast.settings import JobSettings
from retail_spark.domains.forecast.train import to_tried
from retail_spark.spark.session import get_session

POINTS, HORIZON, END = 150, 8, 2800
CHEAP = ("naive", "seasonal_naive", "ses", "croston_sba", "tsb", "adida")


def recipe_of(*models: str) -> Recipe:
    settings = JobSettings(
        models=models, transform="raw", ensembles=(), global_model=False, horizon=HORIZON, windows=2, step=8
    )
    return settings.recipe()


def units(rng: np.random.Generator) -> list[float]:
    """One series: trend, wave and noise, or now and then a sale."""
    t = np.arange(POINTS)
    level = rng.gamma(2.0, 5.0)
    if rng.random() < 0.5:
        return [float(x) for x in rng.poisson(0.3, POINTS) * rng.geometric(0.3, POINTS)]
    return [float(x) for x in rng.poisson(level * (1 + 0.3 * np.sin(2 * np.pi * t / 52)))]


def packed(spark: SparkSession, folder: str, *, series: int, buckets: int) -> DataFrame:
    """Packed series on disk."""
    rng = np.random.default_rng(1)
    blank = [float("nan")] * POINTS
    wide = [float("nan")] * (POINTS + HORIZON)
    rows = pd.DataFrame({
        "store_id": [f"s{n % 20}" for n in range(series)], "product_id": [f"p{n // 20}" for n in range(series)],
        "category": "c", "region": "r", "first": END - POINTS + 1, "is_closed": False,
        "period": [list(range(END - POINTS + 1, END + 1))] * series, "quantity": [units(rng) for _ in range(series)],
        **{name: [blank] * series for name in ("out", *PAID, *PLANNED, "known")},
        **dict.fromkeys(PEERS, [wide] * series),
    })  # fmt: skip
    path = f"{folder}/series{series}_{buckets}"
    rows.to_parquet(f"{path}.parquet")
    bucket = F.pmod(F.xxhash64("product_id"), F.lit(buckets)).cast("int")
    spark.read.parquet(f"{path}.parquet").repartition(4).withColumn("bucket", bucket).write.parquet(path)
    return spark.read.parquet(path)


def seconds(frame: DataFrame) -> float:
    began = time.monotonic()
    frame.write.format("noop").mode("overwrite").save()
    return time.monotonic() - began


def one_by_one(rows: DataFrame, *, frame: Frame) -> DataFrame:
    """The same trials with a group a series, as is often done."""
    alone = rows.withColumn("bucket", F.xxhash64("store_id", "product_id"))
    return to_tried(alone, frame=frame, boosters=())


def cheap(spark: SparkSession, folder: str) -> None:
    frame = Frame(recipe_of(*CHEAP), END, POINTS, buckets=8)
    rows = packed(spark, folder, series=2000, buckets=8)
    seconds(to_tried(rows.limit(50), frame=frame, boosters=()))  # workers are started
    batched = min(seconds(to_tried(rows, frame=frame, boosters=())) for _ in range(2))
    alone = seconds(one_by_one(rows, frame=frame))
    print(f"six cheap models, 2,000 series: {batched:.1f} s in panels, {alone:.1f} s with a group a series: "
          f"{alone / batched:.1f} times (bar 8)", flush=True)  # fmt: skip


def ets(spark: SparkSession, folder: str) -> None:
    """AutoETS at one cut, beside statsforecast with two processes."""
    from statsforecast import StatsForecast
    from statsforecast.models import AutoETS

    rows = packed(spark, folder, series=2000, buckets=16)
    long = rows.select(F.concat("store_id", "product_id").alias("unique_id"), F.posexplode("quantity"))
    bare = long.toPandas().rename(columns={"pos": "ds", "col": "y"})

    def theirs() -> None:
        StatsForecast(models=[AutoETS(season_length=1)], freq=1, n_jobs=2).forecast(df=bare, h=HORIZON)

    def ours(batch: pd.DataFrame) -> pd.DataFrame:
        y = np.vstack(list(batch["quantity"]))
        found = searched("auto_ets", y, cuts=[POINTS], reach=HORIZON, season=52)[0]
        return pd.DataFrame({"product_id": batch["product_id"], "mean": list(found)})

    grouped = (
        rows.repartition(16, "bucket").groupBy("bucket").applyInPandas(ours, "product_id string, mean array<double>")
    )
    seconds(rows.limit(50).groupBy("bucket").applyInPandas(ours, "product_id string, mean array<double>"))
    mine, bare_seconds = seconds(grouped), timed(theirs)
    print(f"AutoETS, 2,000 series: {mine:.1f} s in Spark, {bare_seconds:.1f} s bare with two processes: "
          f"{mine / bare_seconds:.2f} times (bar 1.3)", flush=True)  # fmt: skip


def timed(function: Callable[[], None]) -> float:
    began = time.monotonic()
    function()
    return time.monotonic() - began


def linear(spark: SparkSession, folder: str) -> None:
    """Cost by number of series, buckets of about 500; and the most that a bucket takes in memory."""
    for series in (1000, 4000, 16000):
        frame = Frame(recipe_of(*CHEAP), END, POINTS, buckets=series // 500)
        rows = packed(spark, folder, series=series, buckets=series // 500)
        took = min(seconds(to_tried(rows, frame=frame, boosters=())) for _ in range(2))
        print(f"{series:>7,} series: {took:6.1f} s, {1000 * took / series:.2f} ms a series", flush=True)
    schema = "bucket int, mib double"

    def peak(batch: pd.DataFrame) -> pd.DataFrame:
        from retail_spark.domains.forecast.candidates import tried_rows

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        tried_rows(batch, frame, [])
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return pd.DataFrame({"bucket": [int(batch["bucket"].iloc[0])], "mib": [max(before, after) / 1024]})

    largest = rows.groupBy("bucket").applyInPandas(peak, schema).agg(F.max("mib")).collect()[0][0]
    print(f"a worker's peak with buckets of about 500 series: {largest:,.0f} MiB", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", choices=("cheap", "ets", "linear"))
    only = arguments.parse_args().only
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            lake=LakeSettings(root=folder), spark=SparkSettings(master="local[2]", shuffle_partitions=4)
        )
        spark = get_session(settings)
        for name, measure in (("cheap", cheap), ("ets", ets), ("linear", linear)):
            if only in (None, name):
                measure(spark, folder)
        spark.stop()


if __name__ == "__main__":
    main()
