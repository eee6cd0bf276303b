"""Products that go together: by the cosine of their factors, by who bought them, and by the baskets they lay in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.recommend.models.blend import Blend
from retail_spark.domains.recommend.scoring.blocks import blocks_of, pack_customers, pack_products
from retail_spark.domains.recommend.scoring.lists import Wanted, to_lists
from retail_spark.domains.recommend.settings import JobSettings
from retail_spark.domains.recommend.train import Learned
from retail_spark.tables.recommend import BY_BASKETS, BY_CUSTOMERS, BY_FACTORS

_BASKETS = 4096
"""Baskets whose pairs are counted at once: of at most 100 products, 160 MB of pairs."""
_COSINE = Wanted("factors", Blend(als_scale=1.0, popularity_scale=0.0), only_new=True)


def to_similar(learned: Learned, purchases: DataFrame, *, settings: JobSettings) -> DataFrame:
    """One row per (method, product_id, rank): similar_product_id, similarity, lift, support."""
    numbered = purchases.join(learned.products.select("product_id", "product_no"), "product_id", how="inner")
    names = learned.products.select("product_no", "product_id")
    by_customer = numbered.select(F.col("customer_id").alias("group"), "product_no").distinct()
    by_basket = numbered.select(F.concat_ws("@", "customer_id", "order_key").alias("group"), "product_no").distinct()
    frames = [
        to_together(
            groups, min_support=settings.min_support, most=settings.max_basket_products, k=settings.similar_k
        ).withColumn("method", F.lit(method))
        for groups, method in ((by_customer, BY_CUSTOMERS), (by_basket, BY_BASKETS))
    ]
    frames = [_named(frame, names) for frame in frames]
    if learned.factors is not None:
        frames.append(to_alike(learned, settings=settings).withColumn("method", F.lit(BY_FACTORS)))
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.unionByName(frame)
    return whole


def to_together(groups: DataFrame, *, min_support: int, most: int, k: int) -> DataFrame:
    """One row per (product_no, rank): similar_no, the products most often in the same group, in `min_support` or more.

    Takes distinct (group, product_no). similarity is the cosine n_ab / sqrt(n_a n_b); lift is n_ab N / (n_a n_b), over
    the N groups. Of a group with more than `most` products, `most` are drawn by hash: pairs, and the cost, stay
    linear in rows. Ties go to the smaller number.
    """
    by_hash = W.partitionBy("group").orderBy(F.xxhash64("group", "product_no"), "product_no")
    drawn = groups.withColumn("_place", F.row_number().over(by_hash)).where(F.col("_place") <= most)
    counts = drawn.groupBy("product_no").agg(F.count(F.lit(1)).alias("n"))
    total = drawn.agg(F.count_distinct("group").alias("_groups"))
    baskets = drawn.groupBy("group").agg(F.sort_array(F.collect_list("product_no")).alias("products"))
    partial = baskets.select("products").mapInArrow(_count_pairs, "a INT, b INT, support LONG")
    met = partial.groupBy("a", "b").agg(F.sum("support").alias("support")).where(F.col("support") >= min_support)
    ways = met.unionByName(met.select(F.col("b").alias("a"), F.col("a").alias("b"), "support"))
    sized = ways.join(counts.withColumnsRenamed({"product_no": "a", "n": "n_a"}), "a", how="inner").join(
        counts.withColumnsRenamed({"product_no": "b", "n": "n_b"}), "b", how="inner"
    )
    both = F.col("n_a") * F.col("n_b").cast("double")
    scored = sized.crossJoin(F.broadcast(total)).select(
        F.col("a").alias("product_no"),
        F.col("b").alias("similar_no"),
        (F.col("support") / F.sqrt(both)).alias("similarity"),
        (F.col("support") * F.col("_groups") / both).alias("lift"),
        "support",
    )
    best_first = W.partitionBy("product_no").orderBy(F.desc("similarity"), "similar_no")
    return scored.withColumn("rank", F.row_number().over(best_first)).where(F.col("rank") <= k)


def count_pairs(baskets: pa.ListArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Codes a x 2^31 + b of the pairs a < b in sorted lists of numbers, and how many lists hold each."""
    offsets, values = baskets.offsets.to_numpy(), baskets.values.to_numpy().astype(np.int64)
    starts, lengths = offsets[:-1], np.diff(offsets)
    codes = [np.zeros(0, dtype=np.int64)]
    for length in np.unique(lengths[lengths > 1]):  # at most as many turns as a basket has products
        rows = values[starts[lengths == length][:, None] + np.arange(length)]
        left, right = np.triu_indices(length, 1)
        codes.append(((rows[:, left] << 31) + rows[:, right]).ravel())
    found, counts = np.unique(np.concatenate(codes), return_counts=True)
    return found, counts.astype(np.int64)


def _count_pairs(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for at in range(0, batch.num_rows, _BASKETS):
            codes, counts = count_pairs(batch.slice(at, _BASKETS).column(0))
            sides = ((codes >> 31).astype(np.int32), (codes & (2**31 - 1)).astype(np.int32))
            arrays = [pa.array(values) for values in (*sides, counts)]
            yield pa.RecordBatch.from_arrays(arrays, names=["a", "b", "support"])


def _named(pairs: DataFrame, names: DataFrame) -> DataFrame:
    """Numbers of products to their ids."""
    other = names.withColumnsRenamed({"product_no": "similar_no", "product_id": "similar_product_id"})
    whole = pairs.join(names, "product_no", how="inner").join(other, "similar_no", how="inner")
    return whole.select("product_id", "similar_product_id", "similarity", "lift", "support", "rank", "method")


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
