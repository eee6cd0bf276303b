"""Store-product regressions from moments beside applyInPandas with numpy's lstsq, in one run; and linear in the rows.

python -m tests.benchmarks.elasticity_speed [--groups 18260] [--weeks 115] [--most 20000000]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import LakeSettings, Settings, SparkSettings
from retail_spark.domains.elasticity.models.least_squares import solve_small
from retail_spark.domains.elasticity.panel.moments import matrices, stacked, to_moments, within
from retail_spark.spark.session import get_session
from retail_spark.synthetic.chance import Chance

COLUMNS = ("y", "price", "on_promotion", "on_display", "rival_price")
KEYS = ("store_id", "product_id")
SCHEMA = "store_id int, product_id int, slopes array<double>"
STORES = 83


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--groups", type=int, default=18_260)
    arguments.add_argument("--weeks", type=int, default=115)
    arguments.add_argument("--most", type=int, default=20_000_000)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spark = get_session(Settings(lake=LakeSettings(root=folder), spark=SparkSettings(driver_memory="4g")))
        path = f"{folder}/rows"
        made_up(spark, groups=given.groups, weeks=given.weeks).write.parquet(path)
        rows = spark.read.parquet(path)
        print(f"{rows.count():,} rows, {given.groups:,} store-products, {len(COLUMNS) - 1} regressors", flush=True)
        by_moments(rows.limit(10_000)).collect()  # workers and code generation are warm for both
        by_lstsq(rows.where("product_id < 3")).collect()
        times = []
        for _ in range(3):
            began = time.monotonic()
            ours = by_moments(rows).toPandas()
            times.append(time.monotonic() - began)
        began = time.monotonic()
        theirs = by_lstsq(rows).toPandas()
        rival = time.monotonic() - began
        both = ours.merge(theirs, on=list(KEYS), suffixes=("", "_theirs"))
        apart = np.abs(np.stack(both["slopes"]) - np.stack(both["slopes_theirs"])).max()
        ratio = rival / sorted(times)[1]
        shown = ", ".join(f"{t:.1f}" for t in times)
        print(f"  moments {shown} s, applyInPandas with lstsq {rival:.1f} s: ratio of the median {ratio:.1f}, bar 25: "
              f"{'reached' if ratio >= 25 else 'missed'}; largest difference {apart:.1e} over {len(both):,}",
              flush=True)  # fmt: skip
        for part in (4, 2, 1):
            some = given.most // part
            made_up(spark, groups=some // given.weeks, weeks=given.weeks).write.mode("overwrite").parquet(path)
            grown = spark.read.parquet(path)
            began = time.monotonic()
            by_moments(grown).write.format("noop").mode("overwrite").save()
            seconds = time.monotonic() - began
            driver = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"  {some:>12,} rows: {seconds:6.1f} s, {some / seconds:>10,.0f} rows/s, driver {driver:.0f} MiB",
                  flush=True)  # fmt: skip
        spark.stop()


def made_up(spark: SparkSession, *, groups: int, weeks: int) -> DataFrame:
    """Rows whose columns have levels of their own, as prices have: cross products must not cancel."""
    chance, number = Chance(7), F.col("id")
    group = F.floor(number / weeks)
    rows = spark.range(groups * weeks).select(
        (group % STORES).cast("int").alias("store_id"), F.floor(group / STORES).cast("int").alias("product_id"),
        (F.lit(1.2) + F.lit(0.2) * chance.normal("price", number)).alias("price"),
        chance.happens("promotion", 0.2, number).cast("double").alias("on_promotion"),
        chance.happens("display", 0.1, number).cast("double").alias("on_display"),
        (F.lit(1.1) + F.lit(0.1) * chance.normal("rival", number)).alias("rival_price"),
        chance.normal("noise", number).alias("noise"),
    )  # fmt: skip
    y = 8 - 2 * F.col("price") + 0.5 * F.col("on_promotion") + 0.3 * F.col("rival_price") + 0.4 * F.col("noise")
    return rows.withColumn("y", y).drop("noise")


def by_moments(rows: DataFrame) -> DataFrame:
    """Moments in one groupBy around an anchor of the columns, finished in Arrow batches."""
    anchors = rows.agg(*[F.avg(name).alias(name) for name in COLUMNS]).collect()[0]
    near = rows.withColumns({name: F.col(name) - F.lit(anchors[name]) for name in COLUMNS})
    size = len(COLUMNS)

    def finish(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for some in batches:
            counts = some["rows"].to_numpy(dtype=np.float64)
            whole = within(matrices(stacked(some["crossed"]), size), stacked(some["sums"]), counts)
            small = solve_small(whole[:, 1:, 1:], whole[:, 1:, 0], share=1e-9)
            yield some[list(KEYS)].assign(slopes=list(small.values))

    return to_moments(near, keys=KEYS, columns=COLUMNS).mapInPandas(finish, SCHEMA)


def by_lstsq(rows: DataFrame) -> DataFrame:
    """What most people write."""

    def one(some: pd.DataFrame) -> pd.DataFrame:
        x = np.column_stack([np.ones(len(some)), some[list(COLUMNS[1:])].to_numpy()])
        slopes = np.linalg.lstsq(x, some["y"].to_numpy(), rcond=None)[0][1:]
        return pd.DataFrame({"store_id": some["store_id"].iloc[:1], "product_id": some["product_id"].iloc[:1],
                             "slopes": [slopes]})  # fmt: skip

    return rows.groupBy(*KEYS).applyInPandas(one, SCHEMA)


if __name__ == "__main__":
    main()
