"""Spark ML's ALS on numbered histories, with the same result on one core, on two and on a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.ml.recommendation import ALS, ALSModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.domains.recommend.models.blend import Recipe
from retail_spark.errors import UsageError


@dataclass(frozen=True)
class Factors:
    """One row per number: `id` INT and `features` ARRAY<FLOAT>, of customers and of products."""

    customers: DataFrame
    products: DataFrame
    model: ALSModel | None = None
    """Spark's own, where these are all of its factors."""


def learn_factors(history: DataFrame, *, recipe: Recipe, seed: int, checkpoint_interval: int) -> Factors:
    """ALS on the `rating` of (customer_no, product_no), implicit unless the recipe says explicit.

    ALS adds in the order in which rows arrive. Rows are therefore cut by customer block, the unit that ALS itself
    shuffles by, and sorted inside, so that every one of its blocks is filled from one sorted partition. Raises
    UsageError when checkpoints are due and the session has no folder for them (Spark itself would skip them silently).
    """
    if recipe.iterations >= checkpoint_interval:
        check_checkpoints(history.sparkSession)
    block = F.pmod(F.col("customer_no"), F.lit(recipe.blocks))
    rating = F.col("rating").cast("float").alias("rating")
    ratings = history.select("customer_no", "product_no", rating).repartition(recipe.blocks, block)
    als = ALS(
        userCol="customer_no",
        itemCol="product_no",
        ratingCol="rating",
        implicitPrefs=not recipe.is_explicit,
        rank=recipe.rank,
        maxIter=recipe.iterations,
        regParam=recipe.reg_param,
        alpha=recipe.alpha,
        numUserBlocks=recipe.blocks,
        numItemBlocks=recipe.blocks,
        checkpointInterval=checkpoint_interval,
        coldStartStrategy="drop",
        seed=seed,
    )
    model: ALSModel = als.fit(ratings.sortWithinPartitions("customer_no", "product_no"))
    return Factors(model.userFactors, model.itemFactors, model)


def check_checkpoints(spark: SparkSession) -> None:
    """Raises UsageError unless the session can write checkpoints; the only test that works on Spark Connect too."""
    try:
        spark.range(1).checkpoint(eager=True).count()
    except (PySparkException, Py4JJavaError) as error:
        raise UsageError(
            "ALS needs a checkpoint folder, and this session has none that can be written.",
            fix="set spark.checkpoint_dir, or start the session with --conf spark.checkpoint.dir=<shared folder>",
        ) from error
