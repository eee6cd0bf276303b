"""From sales to what is learned from: purchases, histories, products, and numbers for ids. DataFrame to DataFrame."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.recommend.models.blend import BM25_B, BM25_K1
from retail_spark.tables.values import DEFAULT_CUSTOMER

_EXACT = 2**30
_HASHED = 2**30
"""Numbers below are hashes of ids; from here on they are counted out to ids whose hash was taken."""
_NOTHING = 1e-9


def to_lines(sales: DataFrame) -> DataFrame:
    """One row per (customer_id, product_id, order_key) of a known customer: day, store_id, bought and returned units.

    A purchase has a quantity and a price above 0; a return has a quantity below 0. Lines of one order that name a
    product twice are added up; where the source has no orders, a store's sales of one moment are one order.
    """
    order_key = F.coalesce("order_id", F.concat_ws("@", "store_id", F.col("sold_at").cast("string")))
    is_purchase = (F.col("quantity") > 0) & (F.col("unit_price") > 0)
    is_return = F.col("quantity") < 0
    # ingest quarantines customer *, which lists keep for customers that are not known; older tables may hold it
    is_known = F.col("customer_id").isNotNull() & (F.col("customer_id") != DEFAULT_CUSTOMER)
    known = sales.where(is_known & (is_purchase | is_return))
    return known.groupBy("customer_id", "product_id", order_key.alias("order_key")).agg(
        F.max("sold_at").alias("sold_at"),
        F.max(F.to_date("sold_at")).alias("day"),
        F.max("store_id").alias("store_id"),
        F.sum(F.when(is_purchase, F.col("quantity")).otherwise(0.0)).alias("bought"),
        F.sum(F.when(is_return, -F.col("quantity")).otherwise(0.0)).alias("returned"),
    )


def only_purchases(lines: DataFrame, *, until: date, nets_returns: bool) -> DataFrame:
    """The lines up to the end of `until` that bought something.

    With `nets_returns`, units sent back by then undo the customer's latest purchases of the product, and an order
    of which all went back is no purchase. A return without a purchase before it undoes nothing.
    """
    known = lines.where(F.col("day") <= F.lit(until))
    if not nets_returns:
        return known.where(F.col("bought") > 0)
    # Walking back in time, units returned wait for a purchase: waiting = S - min(S, 0) with S the running sum of
    # returned - bought, and what is left of a purchase is how far it pushes that minimum down.
    back = W.partitionBy("customer_id", "product_id").orderBy(F.desc("sold_at"), F.desc("order_key"))
    balance = F.sum(F.col("returned") - F.col("bought")).over(back.rowsBetween(W.unboundedPreceding, 0))
    lowest = F.min(F.least("_balance", F.lit(0.0))).over(back.rowsBetween(W.unboundedPreceding, 0))
    before = F.coalesce(F.lag("_lowest").over(back), F.lit(0.0))
    netted = known.withColumn("_balance", balance).withColumn("_lowest", lowest)
    left = netted.withColumn("bought", before - F.col("_lowest")).where(F.col("bought") > _NOTHING)
    return left.drop("_balance", "_lowest")


def to_history(purchases: DataFrame, *, until: date, half_life_days: float, order_weight: str = "one") -> DataFrame:
    """One row per (customer_id, product_id): orders, decayed (orders halved every half-life) and age (days since last).

    Takes purchases up to the end of `until`. With order_weight `quantity` an order adds its units to decayed: for
    ratings that were mapped to quantity.
    """
    age = F.datediff(F.lit(until), F.col("day"))
    weight = halved(age, half_life_days=half_life_days)
    if order_weight == "quantity":
        weight = weight * F.col("bought")
    aged = purchases.select("customer_id", "product_id", age.alias("age"), weight.alias("weight"))
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


def with_confidence(history: DataFrame, *, confidence: str) -> DataFrame:
    """Adds `rating`, what ALS learns from: decayed orders as they are (counts), their log(1 + x), or BM25.

    BM25 (Robertson and Zaragoza 2009): customers are the documents, products the terms. A product that everybody
    buys says little, and so does one purchase of a customer who buys everything.
    """
    if confidence == "counts":
        return history.withColumn("rating", F.col("decayed"))
    if confidence == "log":
        return history.withColumn("rating", F.log1p("decayed"))
    buyers = history.groupBy("product_id").agg(F.count(F.lit(1)).alias("_buyers"))
    lengths = history.groupBy("customer_id").agg(_exact_total().alias("_length"))
    total = to_market(history).select(F.col("mean_orders").alias("_average"), F.col("customers").alias("_customers"))
    idf = F.log1p((F.col("_customers") - F.col("_buyers") + 0.5) / (F.col("_buyers") + 0.5))
    norm = F.lit(1 - BM25_B) + F.lit(BM25_B) * F.col("_length") / F.col("_average")
    saturated = F.col("decayed") * (BM25_K1 + 1) / (F.col("decayed") + BM25_K1 * norm)
    joined = history.join(buyers, "product_id", how="inner").join(lengths, "customer_id", how="inner")
    weighted = joined.crossJoin(F.broadcast(total)).withColumn("rating", idf * saturated)
    return weighted.select(*history.columns, "rating")


def to_market(history: DataFrame) -> DataFrame:
    """One row: customers, and mean_orders, the mean over customers of their decayed orders."""
    customers = F.count_distinct("customer_id")
    return history.agg(customers.alias("customers"), (_exact_total() / customers).alias("mean_orders"))


def to_numbers(ids: DataFrame, *, known: DataFrame, key: str, number: str) -> DataFrame:
    """One row per id of `ids` or `known` (one row per id each): its number, an INT of 0 or more.

    A known id keeps its number. A new one gets a hash of itself, so that numbers depend neither on the order in
    which ids came nor on each other; the few whose hash is taken are counted out above all hashes, by id.
    """
    new = ids.select(key).join(known.select(key), key, how="left_anti")
    hashed = new.withColumn("_hash", F.pmod(F.xxhash64(key), F.lit(_HASHED)).cast("int"))
    taken = known.select(F.col(number).alias("_hash"), F.lit(True).alias("_is_taken"))
    first = F.row_number().over(W.partitionBy("_hash").orderBy(key)) == 1
    tried = hashed.join(taken, "_hash", how="left").withColumn("_is_free", first & F.col("_is_taken").isNull())
    free = tried.where("_is_free").select(key, F.col("_hash").alias(number))
    above = known.agg(
        F.coalesce(F.max(F.when(F.col(number) >= _HASHED, F.col(number))), F.lit(_HASHED - 1)).alias("_top")
    )
    place = F.row_number().over(W.orderBy(key))  # one sort of the few that collide: n^2 / 2^31 of n ids
    rest = (
        tried.where("NOT _is_free")
        .crossJoin(F.broadcast(above))
        .select(key, (F.col("_top") + place).cast("int").alias(number))
    )
    return known.select(key, number).unionByName(free).unionByName(rest)


def halved(age: Column, *, half_life_days: float) -> Column:
    """0.5 to the power of age / half-life: 1 today, a half after one half-life (days)."""
    return F.pow(F.lit(0.5), age / F.lit(float(half_life_days)))


def exact_sum(weights: Column) -> Column:
    """The sum of weights of size 1 as fixed-point numbers: the order of the rows cannot change its last bit.

    A weight counts at least 2**-30, so that what was bought once never counts as never bought.
    """
    units = F.greatest(F.round(weights * F.lit(_EXACT)), F.lit(1.0)).cast("long")
    return F.sum(units) / F.lit(float(_EXACT))


def _exact_total() -> Column:
    """The sum of decayed orders, which are fixed-point numbers already."""
    return F.sum((F.col("decayed") * F.lit(_EXACT)).cast("long")) / F.lit(float(_EXACT))
