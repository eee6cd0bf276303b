"""What a list would have earned, told from what another policy showed: inverse propensities, self-normalised."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

_FLOOR = 0.01
"""Propensities below count as this: one lucky exposure must not decide the estimate."""


def to_off_policy(exposures: DataFrame, purchases: DataFrame, lists: DataFrame, *, days: int) -> DataFrame:
    """One row per list: snips, naive, matched, effective.

    `exposures` were shown after the training cut (propensity: probability that the policy of then showed it). The
    reward of one is 1 when the customer buys the product within `days` days. naive is the mean reward of the exposures
    that the list would have shown too; snips weighs each by 1 / propensity (Swaminathan and Joachims 2015), so that
    what the old policy liked to show does not count more. effective is (sum w)^2 / sum w^2 of the `matched`.
    """
    shown = exposures.where(F.col("propensity") > 0).select(
        "exposure_id",
        "customer_id",
        "product_id",
        F.to_date("shown_at").alias("shown_on"),
        (F.lit(1.0) / F.greatest("propensity", F.lit(_FLOOR))).alias("weight"),
    )
    bought = purchases.select("customer_id", "product_id", "day").distinct()
    both = shown.join(bought, ["customer_id", "product_id"], how="left")
    in_time = (F.col("day") >= F.col("shown_on")) & (F.datediff("day", "shown_on") <= F.lit(days))
    reward = F.max(F.coalesce(in_time.cast("double"), F.lit(0.0))).alias("reward")
    rewarded = both.groupBy("exposure_id", "customer_id", "product_id", "weight").agg(reward)
    placed = lists.select("list", "customer_id", "product_id").distinct()
    matched = placed.join(rewarded, ["customer_id", "product_id"], how="inner")
    return matched.groupBy("list").agg(
        (F.sum(F.col("weight") * F.col("reward")) / F.sum("weight")).alias("snips"),
        F.avg("reward").alias("naive"),
        F.count(F.lit(1)).alias("matched"),
        (F.pow(F.sum("weight"), F.lit(2.0)) / F.sum(F.col("weight") * F.col("weight"))).alias("effective"),
    )
