"""Top-k for all customers beside Spark's recommendForAllUsers, on the same made-up factors, in one run.

Prints seconds and their ratio, computed only (written to nowhere) and written to parquet, where ours are rows and the
rival's are arrays; whether the lists of 200 customers equal exact brute force, the highest memory of a Python worker,
and seconds for a quarter and a half of the customers.

    python -m tests.benchmarks.topk_speed [--customers 200000] [--products 20000] [--rank 64] [--k 20]
        [--no-rival | --whole]
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from pyspark.ml.recommendation import ALS, ALSModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import LakeSettings, Settings, SparkSettings
from retail_spark.domains.recommend.models.blend import PRODUCT_FEATURES, Blend
from retail_spark.domains.recommend.scoring.blocks import blocks_of, pack_customers, pack_products
from retail_spark.domains.recommend.scoring.lists import Wanted, to_lists
from retail_spark.domains.recommend.settings import JobSettings
from retail_spark.spark.session import get_session

SEEN = 30
LIMIT = 8.0
ALS_ONLY = Wanted("discover", Blend(als_scale=1.0, popularity_scale=0.0), only_new=True)


class WorkerMemory(threading.Thread):
    """Watches the Python workers of this machine; `peak` is the highest resident memory of one, in MiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self._over = 0.0, threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.2):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    if b"pyspark.daemon" in (folder / "cmdline").read_bytes():
                        lines = (folder / "status").read_text().splitlines()
                        peak = next(line for line in lines if line.startswith("VmHWM"))
                        self.peak = max(self.peak, int(peak.split()[1]) / 1024)
                except (OSError, StopIteration):
                    continue  # it has ended meanwhile

    def stop(self) -> float:
        self._over.set()
        self.join()
        return self.peak


def factors(spark: SparkSession, path: Path, *, rows: int, rank: int, seed: int) -> DataFrame:
    """id and features, the same numbers on every machine."""
    values = [((F.xxhash64("id", F.lit(seed * 1000 + at)) % 100_000) / 250_000.0).cast("float") for at in range(rank)]
    frame = spark.range(rows).select(F.col("id").cast("int").alias("id"), F.array(*values).alias("features"))
    frame.write.parquet(str(path))
    return spark.read.parquet(str(path))


def history_of(spark: SparkSession, path: Path, *, customers: int, products: int) -> DataFrame:
    """SEEN products a customer."""
    pairs = spark.range(customers).select("id", F.explode(F.sequence(F.lit(1), F.lit(SEEN))).alias("n"))
    named = pairs.select(
        F.col("id").cast("int").alias("customer_no"),
        F.col("id").cast("string").alias("customer_id"),
        F.pmod(F.xxhash64("id", "n"), F.lit(products)).cast("int").alias("product_no"),
        F.lit(1.0).alias("orders"),
        F.lit(1.0).alias("decayed"),
    )
    named.dropDuplicates(["customer_no", "product_no"]).write.parquet(str(path))
    return spark.read.parquet(str(path))


def written(lists: DataFrame, out: Path | None) -> None:
    """Computes the lists; keeps them where `out` says."""
    if out is None:
        lists.write.format("noop").mode("overwrite").save()
    else:
        lists.write.parquet(str(out))


def ours(
    history: DataFrame, users: DataFrame, goods: DataFrame, items: DataFrame, out: Path | None, *, k: int
) -> float:
    """Seconds for the job's top-k, seen products left out."""
    settings = JobSettings()
    began = time.monotonic()
    customers = users.count()
    left = pack_customers(history, users, blocks=blocks_of(customers, size=settings.customer_block))
    blocks = blocks_of(goods.count(), size=settings.product_block)
    right = pack_products(goods, items, blocks=blocks)
    written(to_lists(left, right, wanted=(ALS_ONLY,), k=k, product_blocks=blocks), out)
    return time.monotonic() - began


def rival_model(spark: SparkSession, home: Path, *, rank: int) -> ALSModel:
    """Spark's own model over the same factors: the files of a small one, replaced."""
    small = spark.createDataFrame([(0, 0, 1.0), (1, 1, 1.0)], "user int, item int, rating float")
    ALS(rank=rank, maxIter=1, seed=1).fit(small).write().overwrite().save(str(home / "model"))
    for name in ("userFactors", "itemFactors"):
        factors_of = spark.read.parquet(str(home / name))
        factors_of.write.mode("overwrite").parquet(str(home / "model" / name))
    return ALSModel.load(str(home / "model"))


def check(home: Path, spark: SparkSession, history: DataFrame, *, k: int, customers: int) -> int:
    """How many of 200 customers have exactly the products of brute force in float64, up to scores equal to 1e-6."""
    asked = np.random.default_rng(1).choice(customers, size=200, replace=False).tolist()
    items = spark.read.parquet(str(home / "itemFactors")).orderBy("id").toPandas()
    matrix = np.stack(items["features"]).astype(np.float64)
    users = spark.read.parquet(str(home / "userFactors")).where(F.col("id").isin(asked)).toPandas()
    seen = history.where(F.col("customer_no").isin(asked)).groupBy("customer_no").agg(F.collect_set("product_no"))
    bought = {row[0]: row[1] for row in seen.collect()}
    lists = spark.read.parquet(str(home / "ours")).where(F.col("customer_id").isin([str(a) for a in asked]))
    found = lists.groupBy("customer_id").agg(F.collect_set(F.substring("product_id", 2, 9).cast("int"))).collect()
    shown = {int(row[0]): row[1] for row in found}
    equal = 0
    for number, own in zip(users["id"], users["features"], strict=True):
        scores = matrix @ np.asarray(own, dtype=np.float64)
        scores[list(bought[number])] = -np.inf
        best = np.sort(scores)[::-1][:k]
        mine = np.sort(scores[list(shown[number])])[::-1]
        equal += len(mine) == k and bool(np.allclose(mine, best, rtol=2e-6))
    return equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--products", type=int, default=20_000)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--driver-memory", default="4g")
    parser.add_argument("--no-rival", action="store_true", help="without recommendForAllUsers, which takes minutes")
    parser.add_argument("--whole", action="store_true", help="the whole size alone, written, without the rival")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = Settings(lake=LakeSettings(root=folder), spark=SparkSettings(driver_memory=given.driver_memory))
        spark = get_session(settings)
        users = factors(spark, home / "userFactors", rows=given.customers, rank=given.rank, seed=1)
        items = factors(spark, home / "itemFactors", rows=given.products, rank=given.rank, seed=2)
        history = history_of(spark, home / "history", customers=given.customers, products=given.products)
        named = F.concat(F.lit("p"), F.lpad(F.col("id").cast("string"), 9, "0")).alias("product_id")
        goods = items.select(
            F.col("id").alias("product_no"), named, *[F.lit(0.0).alias(name) for name in PRODUCT_FEATURES]
        )
        few = F.col("customer_no") < 2000
        ours(history.where(few), users.where("id < 2000"), goods, items, home / "warm", k=given.k)
        watch = WorkerMemory()
        watch.start()
        for part in () if given.whole else (4, 2):
            n = given.customers // part
            seconds = ours(
                history.where(F.col("customer_no") < n), users.where(F.col("id") < n), goods, items,
                None, k=given.k,
            )  # fmt: skip
            print(f"{n:,} customers x {given.products:,} products: {seconds:.1f} s", flush=True)
        sinks = (home / "ours",) if given.whole else (None, home / "ours")
        seconds = [ours(history, users, goods, items, out, k=given.k) for out in sinks]
        peak = watch.stop()
        told = "" if given.whole else f"{seconds[0]:.1f} s, "
        print(f"{given.customers:,} x {given.products:,}, rank {given.rank}, k {given.k}: {told}"
              f"written as rows {seconds[-1]:.1f} s", flush=True)  # fmt: skip
        print(f"highest memory of a Python worker {peak:,.0f} MiB, of the JVM's heap at most {given.driver_memory}")
        equal = check(home, spark, history, k=given.k, customers=given.customers)
        print(f"lists equal to brute force: {equal} of 200 customers", flush=True)
        if not (given.no_rival or given.whole):
            model = rival_model(spark, home, rank=given.rank)
            theirs = []
            for out in (None, home / "theirs"):
                began = time.monotonic()
                written(model.recommendForAllUsers(given.k), out)
                theirs.append(time.monotonic() - began)
            ratios = [their / our for their, our in zip(theirs, seconds, strict=True)]
            print(f"recommendForAllUsers, unfiltered: {theirs[0]:.1f} s, written as arrays {theirs[1]:.1f} s: "
                  f"ratios {ratios[0]:.1f} and {ratios[1]:.1f} (bar {LIMIT})")  # fmt: skip
        spark.stop()


if __name__ == "__main__":
    main()
