"""From sales to purchase days, and from these to one row a customer."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.frames.periods import day_of
from retail_spark.frames.sums import exact_sum

_DECIMALS = 6


def to_days(sales: DataFrame, *, time_zone: str, currency: str | None) -> DataFrame:
    """One row per (customer_id, day) of known customers: whether they bought, what they spent, and in which store.

    What came back is taken off the spend of its day. Money of another currency than the given one counts as none.
    """
    is_own = F.lit(True) if currency is None else F.coalesce(F.col("currency") == currency, F.lit(False))
    amount = F.when(is_own, F.col("quantity") * F.col("unit_price"))
    day = day_of("sold_at", time_zone=time_zone)
    return (
        sales.where(F.col("customer_id").isNotNull())
        .groupBy("customer_id", day.alias("day"))
        .agg(
            F.bool_or(F.col("quantity") > 0).alias("has_bought"),
            F.coalesce(exact_sum(amount, scale=_DECIMALS), F.lit(0.0)).alias("spend"),
            F.min(F.when(F.col("quantity") > 0, F.col("store_id"))).alias("store_id"),
        )
    )


def to_histories(days: DataFrame, *, until: date) -> DataFrame:
    """One row per customer who had bought by the day `until`.

    x: purchase days after the first; t_x_days and age_days: from the first to the last of them, and to `until`;
    spend: of all days; repeat_spend: of the days after the first.
    """
    known = days.where(F.col("day") <= F.lit(until))
    bought = F.when(F.col("has_bought"), F.col("day"))
    first = known.groupBy("customer_id").agg(
        F.min(bought).alias("first_day"),
        F.max(bought).alias("last_day"),
        F.count(bought).alias("purchases"),
        exact_sum(F.col("spend"), scale=_DECIMALS).alias("spend"),
        F.min_by(F.struct("spend", "store_id"), F.struct(~F.col("has_bought"), F.col("day"))).alias("_first"),
    )
    return first.where(F.col("purchases") > 0).select(
        "customer_id",
        "first_day",
        "last_day",
        "purchases",
        "spend",
        (F.col("purchases") - 1).alias("x"),
        F.datediff("last_day", "first_day").alias("t_x_days"),
        F.datediff(F.lit(until), "first_day").alias("age_days"),
        (F.col("spend") - F.col("_first.spend")).alias("repeat_spend"),
        F.col("_first.store_id").alias("store_id"),
    )


def to_later(days: DataFrame, *, after: date, until: date) -> DataFrame:
    """One row per customer with a day after `after`, up to `until`: purchases and spend of that time."""
    later = days.where((F.col("day") > F.lit(after)) & (F.col("day") <= F.lit(until)))
    return later.groupBy("customer_id").agg(
        F.count_if("has_bought").alias("later_purchases"),
        exact_sum(F.col("spend"), scale=_DECIMALS).alias("later_spend"),
    )


def mean_repeat_spend() -> Column:
    """Spend a purchase after the first; NULL without any, or where nothing of it is left after returns."""
    mean = F.col("repeat_spend") / F.col("x")
    return F.when((F.col("x") > 0) & (mean > 0), mean)
