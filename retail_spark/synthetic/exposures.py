"""The weekly mail: products put before customers by a policy whose probabilities are known."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.synthetic.chance import Chance, label
from retail_spark.synthetic.exports import time_text
from retail_spark.synthetic.settings import World

PLACES = 5


def to_exposures(spark: SparkSession, *, world: World, chance: Chance) -> DataFrame:
    """One row per product shown: every other place from the first fifth of the range, the rest from all of it."""
    count, products = world.scale.exposures, world.scale.products
    pushed = max(1, products // 5)
    shown = spark.range(count, numPartitions=max(2, count // 500_000)).select(F.col("id").alias("number"))
    number, mail = F.col("number"), F.floor(F.col("number") / PLACES)
    of_all = chance.pick("shown", products, number)
    of_pushed = chance.pick("pushed", pushed, number)
    chosen = shown.withColumn(
        "product_no", F.when(chance.happens("is pushed", 0.5, number), of_pushed).otherwise(of_all)
    )
    propensity = F.lit(0.5 / products) + F.when(F.col("product_no") < pushed, F.lit(0.5 / pushed)).otherwise(0.0)
    day = chance.pick("mail day", world.days, mail)
    return chosen.select(
        label("X", number, 8).alias("exposure"),
        time_text(day, F.lit(6 * 3600), world=world).alias("shown_at"),
        label("C", chance.pick("mailed", world.scale.customers, mail), 7).alias("card"),
        label("P", F.col("product_no"), 6).alias("sku"),
        (number % PLACES + 1).cast("string").alias("place"),
        F.round(propensity, 8).cast("string").alias("propensity"),
    )
