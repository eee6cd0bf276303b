"""Products that go together: by the cosine of their factors, by who bought them, and by the baskets they lay in."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.recommend.contracts import BY_BASKETS, BY_CUSTOMERS, BY_FACTORS
from retail_spark.recommend.learning import Learned
from retail_spark.recommend.model import Blend
from retail_spark.recommend.ranking import Wanted, blocks_of, pack_customers, pack_products, to_lists
from retail_spark.recommend.settings import JobSettings

_COSINE = Wanted("factors", Blend(als_scale=1.0, popularity_scale=0.0), only_new=True)


def to_similar(learned: Learned, purchases: DataFrame, *, settings: JobSettings) -> DataFrame:
    """One row per (method, product_id, rank): similar_product_id, similarity, lift, support."""
    by_customer = purchases.select(F.col("customer_id").alias("group"), "product_id").distinct()
    by_basket = purchases.select(F.concat_ws("@", "customer_id", "order_key").alias("group"), "product_id").distinct()
    frames = [
        to_together(
            groups, min_support=settings.min_support, most=settings.max_basket_products, k=settings.similar_k
        ).withColumn("method", F.lit(method))
        for groups, method in ((by_customer, BY_CUSTOMERS), (by_basket, BY_BASKETS))
    ]
    if learned.factors is not None:
        frames.append(to_alike(learned, settings=settings).withColumn("method", F.lit(BY_FACTORS)))
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.unionByName(frame)
    return whole


def to_together(groups: DataFrame, *, min_support: int, most: int, k: int) -> DataFrame:
    """One row per (product_id, rank): the products most often in the same group, at least `min_support` groups.

    Takes distinct (group, product_id). similarity is the cosine n_ab / sqrt(n_a n_b); lift is n_ab N / (n_a n_b), over
    the N groups. Of a group with more than `most` products, `most` are drawn by hash: pairs, and the cost, stay
    linear in rows.
    """
    by_hash = W.partitionBy("group").orderBy(F.xxhash64("group", "product_id"), "product_id")
    drawn = groups.withColumn("_place", F.row_number().over(by_hash)).where(F.col("_place") <= most).drop("_place")
    counts = drawn.groupBy("product_id").agg(F.count(F.lit(1)).alias("n"))
    frequent = counts.where(F.col("n") >= min_support)
    total = drawn.agg(F.count_distinct("group").alias("_groups"))
    kept = drawn.join(frequent.select("product_id"), "product_id", how="left_semi")
    left, right = kept.alias("left"), kept.alias("right")
    is_pair = (F.col("left.group") == F.col("right.group")) & (F.col("left.product_id") < F.col("right.product_id"))
    pairs = left.join(right, is_pair, how="inner").groupBy(
        F.col("left.product_id").alias("a"), F.col("right.product_id").alias("b")
    )
    met = pairs.agg(F.count(F.lit(1)).alias("support")).where(F.col("support") >= min_support)
    ways = met.unionByName(met.select(F.col("b").alias("a"), F.col("a").alias("b"), "support"))
    sized = ways.join(frequent.withColumnsRenamed({"product_id": "a", "n": "n_a"}), "a", how="inner").join(
        frequent.withColumnsRenamed({"product_id": "b", "n": "n_b"}), "b", how="inner"
    )
    cosine = F.col("support") / F.sqrt(F.col("n_a") * F.col("n_b").cast("double"))
    lift = F.col("support") * F.col("_groups") / (F.col("n_a") * F.col("n_b").cast("double"))
    scored = sized.crossJoin(F.broadcast(total)).select(
        F.col("a").alias("product_id"),
        F.col("b").alias("similar_product_id"),
        cosine.alias("similarity"),
        lift.alias("lift"),
        "support",
    )
    best_first = W.partitionBy("product_id").orderBy(F.desc("similarity"), "similar_product_id")
    return scored.withColumn("rank", F.row_number().over(best_first)).where(F.col("rank") <= k)


def to_alike(learned: Learned, *, settings: JobSettings) -> DataFrame:
    """One row per (product_id, rank): the products with the nearest factors, among those with enough buyers.

    Products take both sides of the blocked top-k that makes lists: a product's one purchase is itself.
    """
    if learned.factors is None:
        raise ValueError("a baseline has no factors")
    goods = learned.products.where(F.col("buyers") >= settings.min_support)
    length = F.sqrt(F.aggregate("features", F.lit(0.0), lambda total, x: total + x.cast("double") * x.cast("double")))
    units = learned.factors.products.withColumn("_length", length).where(F.col("_length") > 0)
    factors = units.select(
        "id", F.transform("features", lambda x: (x / F.col("_length")).cast("float")).alias("features")
    )
    itself = goods.select(
        F.col("product_no").alias("customer_no"),
        F.col("product_id").alias("customer_id"),
        "product_no",
        F.lit(1.0).alias("orders"),
        F.lit(1.0).alias("decayed"),
    )
    number = goods.count()
    left = pack_customers(itself, factors, blocks=blocks_of(number, size=settings.customer_block))
    blocks = blocks_of(number, size=settings.product_block)
    right = pack_products(goods, factors, blocks=blocks)
    found = to_lists(left, right, wanted=(_COSINE,), k=settings.similar_k, product_blocks=blocks).where(
        F.col("score") > 0
    )
    sizes = goods.select("product_id", "buyers")
    named = found.select(
        F.col("customer_id").alias("product_id"),
        F.col("product_id").alias("similar_product_id"),
        F.least("score", F.lit(1.0)).alias("similarity"),
        "rank",
    )
    other = sizes.withColumnsRenamed({"product_id": "similar_product_id", "buyers": "_other"})
    both = named.join(sizes, "product_id", how="inner").join(other, "similar_product_id", how="inner")
    support = F.least("buyers", "_other").cast("long").alias("support")
    none = F.lit(None).cast("double").alias("lift")
    return both.select("product_id", "similar_product_id", "similarity", none, support, "rank")
