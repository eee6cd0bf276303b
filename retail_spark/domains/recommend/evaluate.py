"""How good lists are on held-out time: ranking metrics per customer, with paired bootstrap intervals.

All products are ranked (no sampled negatives), relevance is binary, and the ideal DCG is that of
min(k, relevant) products. Only bounded summaries reach the driver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.modelling.gate import Difference
from retail_spark.stats.bootstrap import poisson_weights

METRICS = ("ndcg", "recall", "precision", "map", "hit_rate")
_SUMS = ", ".join(f"{name} DOUBLE" for name in METRICS)


def to_truth(test: DataFrame, history: DataFrame) -> DataFrame:
    """One row per (customer_id, product_id) bought in the held-out window, with is_new (not bought before).

    Only customers and products of the training history count: the others cannot be in any list.
    """
    warm = history.select("customer_id").distinct()
    seen = history.select("product_id").distinct()
    known = history.select("customer_id", "product_id", F.lit(False).alias("_is_new"))
    pairs = test.select("customer_id", "product_id").distinct()
    within = pairs.join(warm, "customer_id", how="left_semi").join(seen, "product_id", how="left_semi")
    marked = within.join(known, ["customer_id", "product_id"], how="left")
    return marked.select("customer_id", "product_id", F.coalesce("_is_new", F.lit(True)).alias("is_new"))


def to_customer_metrics(lists: DataFrame, truth: DataFrame, *, relevance: str, k: int) -> DataFrame:
    """One row per (list, customer_id) of every customer with a relevant product: METRICS at k.

    `relevance` says which products of the truth count: any, new (not bought before) or repeat (bought before). A
    customer without a hit scores 0.
    """
    relevant = truth if relevance == "any" else truth.where("is_new" if relevance == "new" else "NOT is_new")
    people = relevant.groupBy("customer_id").agg(F.count(F.lit(1)).alias("relevant"))
    by_rank = W.partitionBy("list", "customer_id").orderBy("rank")
    found = lists.where(F.col("rank") <= k).join(relevant, ["customer_id", "product_id"], how="inner")
    hits = found.select("list", "customer_id", "rank", F.row_number().over(by_rank).alias("hit"))
    sums = hits.groupBy("list", "customer_id").agg(
        F.sum(_gain(F.col("rank"))).alias("dcg"),
        F.sum(F.col("hit") / F.col("rank")).alias("precisions"),
        F.count(F.lit(1)).alias("hits"),
    )
    every = lists.select("list").distinct().crossJoin(people)
    scored = every.join(sums, ["list", "customer_id"], how="left").fillna(0)
    best = F.least("relevant", F.lit(k))
    ideal = F.element_at(F.array(*[F.lit(x) for x in _ideal_dcg(k)]), best.cast("int"))
    return scored.select(
        "list",
        "customer_id",
        (F.col("dcg") / ideal).alias("ndcg"),
        (F.col("hits") / F.col("relevant")).alias("recall"),
        (F.col("hits") / k).alias("precision"),
        (F.col("precisions") / best).alias("map"),
        (F.col("hits") > 0).cast("double").alias("hit_rate"),
    )


@dataclass(frozen=True)
class Means:
    """Means over customers, and the same means over bootstrap samples of the customers.

    `customers` is list -> how many; `means` is list -> metric -> value; `samples` is list -> array (replicates x
    METRICS). Samples of two lists are paired: replicate b drew the same customers for both.
    """

    customers: Mapping[str, int]
    means: Mapping[str, Mapping[str, float]]
    samples: Mapping[str, npt.NDArray[np.float64]]

    def with_equal(self, name: str, *, of: str) -> Means:
        """Adds a list that is known to be the same as another."""
        return Means(
            {**self.customers, name: self.customers[of]},
            {**self.means, name: self.means[of]},
            {**self.samples, name: self.samples[of]},
        )

    def difference(self, one: str, other: str, *, metric: str = "ndcg") -> Difference:
        """One list minus another, with the 95 % interval of the paired bootstrap."""
        at = METRICS.index(metric)
        drawn = self.samples[one][:, at] - self.samples[other][:, at]
        low, high = np.percentile(drawn, [2.5, 97.5])
        return Difference(self.means[one][metric] - self.means[other][metric], float(low), float(high))

    def interval(self, name: str, *, metric: str = "ndcg") -> tuple[float, float]:
        """The 95 % interval of one list's mean."""
        low, high = np.percentile(self.samples[name][:, METRICS.index(metric)], [2.5, 97.5])
        return float(low), float(high)


def to_means(per_customer: DataFrame, *, replicates: int, seed: int) -> Means:
    """Means and bootstrap means. Poisson(1) weights come from a hash of customer, seed and replicate, so they are
    the same for every list, on every machine. What reaches the driver is 1 + replicates rows a list, no customer's.
    """
    keyed = per_customer.select("list", F.xxhash64("customer_id", F.lit(seed)).alias("key"), *METRICS)

    def weigh(frames: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
        for frame in frames:
            for name, rows in frame.groupby("list", sort=True):
                weights = poisson_weights(rows["key"].to_numpy(), replicates=replicates)
                sums = pd.DataFrame(weights.T @ rows[list(METRICS)].to_numpy(), columns=list(METRICS))
                yield sums.assign(list=name, replicate=range(replicates + 1), weight=weights.sum(axis=0))

    partial = keyed.mapInPandas(weigh, f"list STRING, replicate INT, weight DOUBLE, {_SUMS}")
    totals = partial.groupBy("list", "replicate").agg(*[F.sum(name).alias(name) for name in ("weight", *METRICS)])
    summary = totals.orderBy("list", "replicate").toPandas()  # bounded: lists x (1 + replicates) rows
    means: dict[str, dict[str, float]] = {}
    samples: dict[str, npt.NDArray[np.float64]] = {}
    for name, rows in summary.groupby("list", sort=True):
        values = rows[list(METRICS)].to_numpy() / np.maximum(rows["weight"].to_numpy(), 1.0)[:, None]
        means[str(name)] = dict(zip(METRICS, values[0].tolist(), strict=True))
        samples[str(name)] = values[1:]
    everyone = summary[summary["replicate"] == 0]
    customers = {str(name): int(weight) for name, weight in zip(everyone["list"], everyone["weight"], strict=True)}
    return Means(customers, means, samples)


def count_people(truth: DataFrame) -> tuple[int, int]:
    """Customers with a relevant product, and with a new one."""
    is_new = F.when(F.col("is_new"), F.col("customer_id"))
    row = truth.agg(F.count_distinct("customer_id").alias("any"), F.count_distinct(is_new).alias("new")).collect()[0]
    return int(row["any"]), int(row["new"])


def to_cold_truth(test: DataFrame, history: DataFrame) -> DataFrame:
    """As `to_truth`, for customers without any purchase in the training history."""
    warm = history.select("customer_id").distinct()
    seen = history.select("product_id").distinct()
    pairs = test.select("customer_id", "product_id").distinct()
    cold = pairs.join(warm, "customer_id", how="left_anti").join(seen, "product_id", how="left_semi")
    return cold.withColumn("is_new", F.lit(True))


def to_spread(lists: DataFrame, products: DataFrame, *, customers: int) -> DataFrame:
    """One row per list, on what it shows of all products.

    coverage: share of all products that are in at least one list; gini: of the times each product is shown, 0 when
    all are shown alike (products never shown included); novelty: mean of -log2(buyers / customers) over what is
    shown (Zhou et al. 2010); popularity_share: share of what is shown that is among the 1 % best sold.
    """
    goods = products.select("product_id", "buyers")
    counted = goods.agg(F.count(F.lit(1)).alias("_n"), F.percentile_approx("buyers", 0.99, 10_000).alias("_top"))
    shown = lists.groupBy("list", "product_id").agg(F.count(F.lit(1)).alias("_shown"))
    every = lists.select("list").distinct().crossJoin(goods).join(shown, ["list", "product_id"], how="left")
    filled = every.fillna(0, ["_shown"]).crossJoin(F.broadcast(counted))
    # with x sorted upwards, gini = sum((2 i - n - 1) x_i) / (n sum(x)); equal x may come in any order
    place = F.row_number().over(W.partitionBy("list").orderBy("_shown", "product_id"))
    surprise = -F.log2(F.least(F.greatest("buyers", F.lit(1.0)) / F.lit(float(max(customers, 1))), F.lit(1.0)))
    return (
        filled.withColumn("_place", place)
        .groupBy("list")
        .agg(
            (F.count_if(F.col("_shown") > 0) / F.max("_n")).alias("coverage"),
            (F.sum((2 * F.col("_place") - F.col("_n") - 1) * F.col("_shown")) / (F.max("_n") * F.sum("_shown"))).alias(
                "gini"
            ),
            (F.sum(surprise * F.col("_shown")) / F.sum("_shown")).alias("novelty"),
            (F.sum(F.when(F.col("buyers") >= F.col("_top"), F.col("_shown")).otherwise(0)) / F.sum("_shown")).alias(
                "popularity_share"
            ),
        )
    )


def to_coverage_curve(lists: DataFrame, products: DataFrame, *, k: int) -> DataFrame:
    """One row per (list, rank) up to k: coverage, the share of all products that are on this rank or a better one."""
    catalogue = products.agg(F.count(F.lit(1)).alias("_n"))
    best = lists.groupBy("list", "product_id").agg(F.min("rank").alias("_best"))
    ranks = lists.sparkSession.range(1, k + 1).select(F.col("id").cast("int").alias("rank"))
    within = best.join(F.broadcast(ranks), F.col("_best") <= F.col("rank"), how="inner")
    return (
        within.groupBy("list", "rank")
        .agg(F.count(F.lit(1)).alias("_shown"))
        .crossJoin(F.broadcast(catalogue))
        .select("list", "rank", (F.col("_shown") / F.col("_n")).alias("coverage"))
    )


def to_activity_deciles(per_customer: DataFrame, history: DataFrame) -> DataFrame:
    """One row per (list, decile), 1 for the customers with fewest orders: mean ndcg and customers."""
    orders = history.groupBy("customer_id").agg(F.sum("orders").alias("_orders"))
    active = per_customer.join(orders, "customer_id", how="inner")
    tenths = [at / 10 for at in range(1, 10)]
    bounds = active.agg(F.percentile_approx("_orders", tenths, 10_000).alias("_bounds"))
    below = F.size(F.filter("_bounds", lambda bound: bound < F.col("_orders")))
    marked = active.crossJoin(F.broadcast(bounds)).withColumn("decile", below + 1)
    return marked.groupBy("list", "decile").agg(F.avg("ndcg").alias("ndcg"), F.count(F.lit(1)).alias("customers"))


def _gain(rank: Column) -> Column:
    return F.lit(1.0) / F.log2(rank + 1)


def _ideal_dcg(k: int) -> list[float]:
    return [float(x) for x in np.cumsum(1.0 / np.log2(np.arange(2, k + 2)))]
