"""Learning a recipe on the purchases up to a date, and making lists from what was learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.recommend.contracts import STRANGER
from retail_spark.recommend.factors import Factors, learn_factors
from retail_spark.recommend.model import POPULAR, Blend, Recipe
from retail_spark.recommend.ranking import Wanted, pack_customers, pack_products, to_lists
from retail_spark.recommend.settings import JobSettings
from retail_spark.recommend.transforms import to_history, to_products, with_number
from retail_spark.run import Run

_BUCKETS = 64

POPULAR_BASELINE = Blend()
PERSONAL_BASELINE = Blend(repurchase_powers={"orders": 1.0}, repurchase_scale=1.0, popularity_scale=0.1)
FALLBACK_ALL = Blend(repurchase_powers={"decayed": 1.0}, repurchase_scale=1.0, popularity_scale=0.1)
"""What makes the list all when no model may: decayed personal frequency, recent popularity behind it."""
FALLBACK_DISCOVER = Blend()


@dataclass(frozen=True)
class Learned:
    """What is known of customers and products up to a date; factors are None for a baseline, which needs none.

    history: one row per (customer_id, product_id) with customer_no, product_no, orders, decayed, age;
    products: one row per product_id with product_no and its features.
    """

    recipe: Recipe
    history: DataFrame
    products: DataFrame
    factors: Factors | None

    def lists(self, wanted: Sequence[Wanted], *, k: int, settings: JobSettings) -> DataFrame:
        """One row per (list, customer_id, rank) for every customer of the history."""
        customer_factors = self.factors.customers if self.factors else _no_factors(self.history, "customer_no")
        product_factors = self.factors.products if self.factors else _no_factors(self.products, "product_no")
        customers = pack_customers(self.history, customer_factors, size=settings.customer_block)
        products = pack_products(self.products, product_factors, size=settings.product_block)
        return to_lists(customers, products, wanted=wanted, k=k)


def learn(run: Run, purchases: DataFrame, *, until: date, recipe: Recipe, settings: JobSettings, name: str) -> Learned:
    """Histories, products and ALS factors from the purchases up to the end of `until`; `name` keeps stages apart."""
    counted = count(run, purchases, until=until, recipe=recipe, name=name)
    return with_factors(counted, seed=run.seed, settings=settings)


def with_factors(counted: Learned, *, seed: int, settings: JobSettings) -> Learned:
    """Adds ALS factors to what was counted."""
    factors = learn_factors(
        counted.history, recipe=counted.recipe, seed=seed, checkpoint_interval=settings.checkpoint_interval
    )
    return replace(counted, factors=factors)


def count(run: Run, purchases: DataFrame, *, until: date, recipe: Recipe, name: str) -> Learned:
    """Histories and products without factors: all that the baselines need."""
    history = run.stage(f"{name}_counts", to_history(purchases, until=until, half_life_days=recipe.half_life_days))
    features = history.transform(
        to_products, recent_days=recipe.recent_days, trend_half_life_days=recipe.trend_half_life_days
    )
    products = run.stage(
        f"{name}_products", features.transform(with_number, key="product_id", number="product_no", buckets=_BUCKETS)
    )
    customers = history.select("customer_id").distinct()
    numbers = customers.transform(with_number, key="customer_id", number="customer_no", buckets=_BUCKETS)
    numbered = history.join(numbers, "customer_id", how="inner").join(
        products.select("product_id", "product_no"), "product_id", how="inner"
    )
    return Learned(recipe, run.stage(f"{name}_history", numbered), products, None)


def to_default_list(products: DataFrame, *, k: int) -> DataFrame:
    """One row per rank: the k most popular products of late, for customers about whom nothing is known."""
    best = products.orderBy(F.desc("popular_recent"), "product_id").limit(k)
    sorted_rows = F.sort_array(F.collect_list(F.struct(-F.col("popular_recent"), F.col("product_id"))))
    ranked = best.agg(sorted_rows.alias("rows")).select(F.posexplode("rows").alias("at", "row"))
    return ranked.select(
        (F.col("at") + 1).alias("rank"),
        F.col("row.product_id").alias("product_id"),
        (-F.col("row.col1")).alias("score"),
        F.lit(POPULAR).alias("strategy"),
    )


def with_strangers(lists: DataFrame, *, known: DataFrame, default: DataFrame, names: Sequence[str]) -> DataFrame:
    """Adds rows of the default list for customer_id * and for every known customer who has no purchase."""
    strangers = lists.sparkSession.range(1).select(F.lit(STRANGER).alias("customer_id"))
    served = lists.select("customer_id").distinct()
    without = known.select("customer_id").distinct().join(served, "customer_id", how="left_anti").union(strangers)
    every_list = without.withColumn("list", F.explode(F.array(*[F.lit(name) for name in names])))
    return lists.unionByName(every_list.crossJoin(F.broadcast(default)))


def _no_factors(frame: DataFrame, number: str) -> DataFrame:
    nothing = F.array(F.lit(0.0).cast("float")).alias("features")
    return frame.select(F.col(number).alias("id")).distinct().select("id", nothing)
