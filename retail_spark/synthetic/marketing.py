"""What the retailer spends on marketing: the same on every day, so that every total is known."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.synthetic.calendar import date_of
from retail_spark.synthetic.exports import money
from retail_spark.synthetic.settings import World

CENTS_PER_LINE = {"Paid Search": 12, "Paid Social": 7, "Email": 1}
"""Marketing channel -> money spent for every sales line that is expected, in cents."""


def daily_cents(world: World) -> dict[str, int]:
    """Marketing channel -> what is spent on each day, in cents."""
    lines_per_day = world.scale.sale_lines / world.days
    return {channel: round(cents * lines_per_day) for channel, cents in CENTS_PER_LINE.items()}


def to_spend(spark: SparkSession, *, world: World) -> DataFrame:
    """One row per day and marketing channel. Only mail is sent in campaigns, one a week."""
    channels = F.map_from_arrays(
        *(F.array(*map(F.lit, part)) for part in zip(*daily_cents(world).items(), strict=True))
    )
    day = F.col("day")
    days = spark.range(world.days, numPartitions=1).select(F.col("id").cast("int").alias("day"))
    return days.select("day", F.explode(channels).alias("channel", "cents")).select(
        F.concat_ws("-", F.lit("M"), day, F.col("channel")).alias("booking"),
        date_of(day, world=world).cast("string").alias("day"),
        "channel",
        F.when(F.col("channel") == "Email", F.concat(F.lit("letter "), F.floor(day / 7) + 1)).alias("campaign"),
        money(F.col("cents") / 100).alias("amount"),
    )
