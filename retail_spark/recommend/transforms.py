"""From sales to what is learned from: purchases, histories, products, and numbers for ids. DataFrame to DataFrame."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

_EXACT = 2**30


def only_purchases(sales: DataFrame) -> DataFrame:
    """One row per (customer_id, product_id, order_key, day) of a known customer.

    A purchase has a quantity and a price above 0. Returns are ignored, not netted: who bought and sent back wanted
    the product, and a return line does not say which purchase it undoes. Lines of one order that name a product
    twice count once; where the source has no orders, a store's sales of one moment are one order.
    """
    order_key = F.coalesce("order_id", F.concat_ws("@", "store_id", F.col("sold_at").cast("string")))
    is_purchase = (F.col("quantity") > 0) & (F.col("unit_price") > 0) & F.col("customer_id").isNotNull()
    lines = sales.where(is_purchase).withColumn("order_key", order_key)
    by_order = lines.groupBy("customer_id", "product_id", "order_key")
    return by_order.agg(F.max(F.to_date("sold_at")).alias("day"))


def to_history(purchases: DataFrame, *, until: date, half_life_days: float) -> DataFrame:
    """One row per (customer_id, product_id): orders, decayed (orders halved every half-life) and age (days since last).

    Only purchases up to the end of `until` count.
    """
    age = F.datediff(F.lit(until), F.col("day"))
    weight = halved(age, half_life_days=half_life_days)
    aged = purchases.where(F.col("day") <= F.lit(until)).select(
        "customer_id", "product_id", age.alias("age"), weight.alias("weight")
    )
    return aged.groupBy("customer_id", "product_id").agg(
        F.count(F.lit(1)).cast("int").alias("orders"),
        exact_sum(F.col("weight")).alias("decayed"),
        F.min("age").alias("age"),
    )


def to_products(history: DataFrame, *, recent_days: int, trend_half_life_days: float) -> DataFrame:
    """One row per product_id, with what is known of it from all histories.

    buyers; recent (buyers in the last `recent_days`); trend (buyers, halved by the age of their last order);
    repeat_rate (share of buyers who ordered again, drawn to 15 % where buyers are few); popular_recent (order by
    recent, then buyers) and popular_ever (order by buyers), both in 0..1.
    """
    counted = history.groupBy("product_id").agg(
        F.count(F.lit(1)).cast("double").alias("buyers"),
        F.count_if(F.col("age") < recent_days).cast("double").alias("recent"),
        exact_sum(halved(F.col("age"), half_life_days=trend_half_life_days)).alias("trend"),
        ((F.count_if(F.col("orders") > 1) + 3) / (F.count(F.lit(1)) + 20)).alias("repeat_rate"),
    )
    most = counted.agg(F.max("recent").alias("_most_recent"), F.max("buyers").alias("_most_buyers"))
    ever = F.col("buyers") / (F.col("_most_buyers") + 1)
    with_shares = counted.crossJoin(F.broadcast(most)).withColumn("popular_ever", ever)
    recent = (F.col("recent") + F.col("popular_ever")) / (F.col("_most_recent") + 1)
    return with_shares.withColumn("popular_recent", recent).drop("_most_recent", "_most_buyers")


def with_number(frame: DataFrame, *, key: str, number: str, buckets: int) -> DataFrame:
    """Same grain, one row per key: adds dense numbers from 0 that depend on the set of keys alone.

    Keys are numbered inside hash buckets, and a bucket starts where the one before ends: no sort of all keys in
    one place, and no list of keys on the driver.
    """
    bucketed = frame.withColumn("_bucket", F.pmod(F.xxhash64(key), F.lit(buckets)))
    sizes = bucketed.groupBy("_bucket").agg(F.count(F.lit(1)).alias("_size"))
    before = F.sum("_size").over(W.orderBy("_bucket").rowsBetween(W.unboundedPreceding, -1))
    starts = sizes.select("_bucket", F.coalesce(before, F.lit(0)).alias("_start"))
    inside = F.row_number().over(W.partitionBy("_bucket").orderBy(key)) - 1
    numbered = bucketed.withColumn("_inside", inside).join(F.broadcast(starts), "_bucket", how="inner")
    return numbered.withColumn(number, (F.col("_start") + F.col("_inside")).cast("int")).drop(
        "_bucket", "_start", "_inside"
    )


def halved(age: Column, *, half_life_days: float) -> Column:
    """0.5 to the power of age / half-life: 1 today, a half after one half-life (days)."""
    return F.pow(F.lit(0.5), age / F.lit(float(half_life_days)))


def exact_sum(weights: Column) -> Column:
    """The sum of weights in 0..1 as fixed-point numbers: the order of the rows cannot change its last bit.

    A weight counts at least 2**-30, so that what was bought once never counts as never bought.
    """
    units = F.greatest(F.round(weights * F.lit(_EXACT)), F.lit(1.0)).cast("long")
    return F.sum(units) / F.lit(float(_EXACT))
