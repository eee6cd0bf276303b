"""Who and what the factors do not know: popular products by place for customers, neighbours in content for products."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.recommend.models.blend import EXPLORE, POPULAR, POPULAR_REGION, POPULAR_STORE
from retail_spark.domains.recommend.purchases import exact_sum, halved
from retail_spark.tables.values import DEFAULT_CUSTOMER

_POSTINGS = 500
_SCALE = float(2**30)


def to_default_list(products: DataFrame, *, k: int, quota: int | None = None) -> DataFrame:
    """One row per rank: the k most popular products of late, for customers about whom nothing is known.

    With a `quota`, at most so many of one category (no category counts as one).
    """
    if quota is not None:
        inside = W.partitionBy("category").orderBy(F.desc("popular_recent"), "product_id")
        products = products.withColumn("_inside", F.row_number().over(inside)).where(F.col("_inside") <= quota)
    best = products.orderBy(F.desc("popular_recent"), "product_id").limit(k)
    sorted_rows = F.sort_array(F.collect_list(F.struct(-F.col("popular_recent"), F.col("product_id"))))
    ranked = best.agg(sorted_rows.alias("rows")).select(F.posexplode("rows").alias("at", "row"))
    return ranked.select(
        (F.col("at") + 1).alias("rank"),
        F.col("row.product_id").alias("product_id"),
        (-F.col("row.col1")).alias("score"),
        F.lit(POPULAR).alias("strategy"),
    )


def to_place_lists(
    purchases: DataFrame, *, until: date, half_life_days: float, min_customers: int, k: int, quota: int | None = None
) -> DataFrame:
    """One row per (place, rank): the k products with most buyers at a place, each halved by the age of the purchase.

    Takes purchases with a column place, and category where there is a `quota` of products of one category. Places with
    fewer buyers than `min_customers` are left out; scores are shares of the place's best.
    """
    placed = purchases.where(F.col("place").isNotNull())
    known = placed.groupBy("place").agg(F.count_distinct("customer_id").alias("_people"))
    last = placed.groupBy("place", "product_id", "customer_id").agg(F.max("day").alias("day"))
    weight = halved(F.datediff(F.lit(until), F.col("day")), half_life_days=half_life_days)
    bought = last.groupBy("place", "product_id").agg(exact_sum(weight).alias("_weight"))
    if quota is not None:
        categories = purchases.groupBy("product_id").agg(F.max("category").alias("category"))
        inside = W.partitionBy("place", "category").orderBy(F.desc("_weight"), "product_id")
        described = bought.join(categories, "product_id", how="inner")
        bought = described.withColumn("_inside", F.row_number().over(inside)).where(F.col("_inside") <= quota)
    best_first = W.partitionBy("place").orderBy(F.desc("_weight"), "product_id")
    ranked = bought.withColumn("rank", F.row_number().over(best_first)).where(F.col("rank") <= k)
    score = F.col("_weight") / F.max("_weight").over(W.partitionBy("place"))
    is_known = known.where(F.col("_people") >= min_customers).select("place")
    return ranked.join(is_known, "place", how="left_semi").select("place", "rank", "product_id", score.alias("score"))


def with_strangers(
    lists: DataFrame,
    *,
    known: DataFrame,
    default: DataFrame,
    names: Sequence[str],
    by_store: DataFrame | None = None,
    by_region: DataFrame | None = None,
) -> DataFrame:
    """Adds rows for customer_id * and for every known customer who has no list: store, else region, else default.

    `known` has one row or more per customer_id, with home_store_id and region; `by_store` and `by_region` are
    place lists. `store_id` tells the home store of rows that are its popular products.
    """
    spark = lists.sparkSession
    nobody = spark.range(1).select(
        F.lit(DEFAULT_CUSTOMER).alias("customer_id"), *[_none(c) for c in ("home_store_id", "region")]
    )
    served = lists.select("customer_id").distinct()
    people = known.groupBy("customer_id").agg(
        F.max("home_store_id").alias("home_store_id"), F.max("region").alias("region")
    )
    without = people.join(served, "customer_id", how="left_anti").unionByName(nobody)
    rows, rest = [lists.withColumn("store_id", F.lit(None).cast("string"))], without
    for place_lists, column, strategy in (
        (by_store, "home_store_id", POPULAR_STORE),
        (by_region, "region", POPULAR_REGION),
    ):
        if place_lists is None:
            continue
        is_there = place_lists.select(F.col("place").alias(column)).distinct().withColumn("_is_there", F.lit(True))
        marked = rest.join(is_there, column, how="left")
        placed = marked.where("_is_there").join(place_lists.withColumnRenamed("place", column), column, how="inner")
        store = F.col(column) if strategy == POPULAR_STORE else F.lit(None).cast("string")
        rows.append(_of_every_list(placed.withColumns({"strategy": F.lit(strategy), "store_id": store}), names))
        rest = marked.where(F.col("_is_there").isNull()).drop("_is_there")
    shown = rest.crossJoin(F.broadcast(default)).withColumn("store_id", F.lit(None).cast("string"))
    rows.append(_of_every_list(shown, names))
    whole = rows[0]
    for part in rows[1:]:
        whole = whole.unionByName(part.select(*whole.columns))
    return whole


def to_content_neighbours(new: DataFrame, known: DataFrame, *, k: int) -> DataFrame:
    """One row per (product_id, neighbour_no): similarity, for the k known products most like each new one.

    Products are sets of words: category, subcategory, brand and the words of the name, weighted by ln(1 + N / n) of
    the n products that have one; similarity is the cosine. Takes `new` (product_id and the descriptive columns) and
    `known` (product_no, buyers besides). Of a word that many products have, the 500 best sold stand for all: the
    cost stays linear in new products.
    """
    mine = new.select("product_id", _words().alias("word"))
    theirs = known.select("product_no", "product_id", "buyers", _words().alias("word"))
    counts = mine.select("product_id", "word").unionByName(theirs.select("product_id", "word"))
    many = counts.agg(F.count_distinct("product_id").alias("_all"))
    idf = counts.groupBy("word").agg(F.count(F.lit(1)).alias("_have")).crossJoin(F.broadcast(many))
    weights = idf.select("word", F.log1p(F.col("_all") / F.col("_have")).alias("weight"))
    weighted_mine = mine.join(weights, "word", how="inner")
    weighted_theirs = theirs.join(weights, "word", how="inner")
    best_sold = W.partitionBy("word").orderBy(F.desc("buyers"), "product_id")
    postings = weighted_theirs.withColumn("_place", F.row_number().over(best_sold)).where(F.col("_place") <= _POSTINGS)
    met = weighted_mine.select("product_id", "word", "weight").join(
        postings.select("product_no", "word"), "word", how="inner"
    )
    common = met.groupBy("product_id", "product_no").agg(_exact(F.pow("weight", 2.0)).alias("_common"))
    norm = F.sqrt(_exact(F.pow("weight", 2.0))).alias("_norm")
    own = weighted_mine.groupBy("product_id").agg(norm)
    other = weighted_theirs.groupBy("product_no").agg(norm.alias("_other_norm"))
    scored = common.join(own, "product_id", how="inner").join(other, "product_no", how="inner")
    similarity = (F.col("_common") / (F.col("_norm") * F.col("_other_norm"))).alias("similarity")
    near = W.partitionBy("product_id").orderBy(F.desc("similarity"), "neighbour_no")
    pairs = scored.select("product_id", F.col("product_no").alias("neighbour_no"), similarity)
    return pairs.withColumn("_place", F.row_number().over(near)).where(F.col("_place") <= k).drop("_place")


def to_lent_factors(neighbours: DataFrame, factors: DataFrame) -> DataFrame:
    """One row per product_id: the mean of its neighbours' factors, weighted by similarity, as ARRAY<FLOAT>."""
    learned = factors.select(F.col("id").alias("neighbour_no"), "features")
    terms = neighbours.join(learned, "neighbour_no", how="inner").select(
        "product_id", "similarity", F.posexplode("features").alias("at", "value")
    )
    mean = _exact(F.col("similarity") * F.col("value")) / _exact(F.col("similarity"))
    means = terms.groupBy("product_id", "at").agg(mean.alias("mean"))
    ordered = F.sort_array(F.collect_list(F.struct("at", "mean")))
    return means.groupBy("product_id").agg(F.transform(ordered, lambda e: e["mean"].cast("float")).alias("features"))


def with_explored(lists: DataFrame, fresh: DataFrame, *, name: str, slots: int, k: int) -> DataFrame:
    """Gives the last `slots` of k places of list `name` to each customer's best of `fresh`; same columns.

    `fresh` are lists (of the same name) over products that nobody bought yet. What the list shows already on its
    first k - slots places is not shown twice; where nothing fresh is left, the list keeps its own.
    """
    keeps = k - slots
    head = lists.where((F.col("list") == name) & (F.col("rank") <= keeps)).select("customer_id", "product_id")
    unseen = fresh.join(head, ["customer_id", "product_id"], how="left_anti")
    by_rank = W.partitionBy("customer_id").orderBy("rank")
    picked = unseen.withColumn("_place", F.row_number().over(by_rank)).where(F.col("_place") <= slots)
    sizes = picked.groupBy("customer_id").agg(F.count(F.lit(1)).alias("_picked"))
    shown = picked.join(sizes, "customer_id", how="inner").select(
        F.lit(name).alias("list"),
        "customer_id",
        (F.lit(k) - F.col("_picked") + F.col("_place")).cast("int").alias("rank"),
        "product_id",
        "score",
        F.lit(EXPLORE).alias("strategy"),
    )
    room = F.lit(k) - F.coalesce("_picked", F.lit(0))
    is_other = F.col("list") != name
    cut = lists.join(sizes, "customer_id", how="left").where(is_other | (F.col("rank") <= room)).drop("_picked")
    twice = shown.select("list", "customer_id", "product_id")
    rest = cut.join(twice, ["list", "customer_id", "product_id"], how="left_anti")
    joined = rest.unionByName(shown.select(*rest.columns))
    again = W.partitionBy("list", "customer_id").orderBy("rank")
    return joined.withColumn("rank", F.row_number().over(again)).select(*lists.columns)


def _of_every_list(rows: DataFrame, names: Sequence[str]) -> DataFrame:
    return rows.withColumn("list", F.explode(F.array(*[F.lit(name) for name in names])))


def _words() -> Column:
    """The distinct words of a product, one a row: of the name, and its category, subcategory and brand as a whole."""
    name = F.split(F.lower(F.coalesce("product_name", F.lit(""))), r"[^\p{L}\p{N}]+")
    long_enough = F.filter(name, lambda word: F.length(word) >= 3)
    kinds = [F.concat(F.lit(f"{c}="), F.lower(c)) for c in ("category", "subcategory", "brand")]
    return F.explode(F.array_distinct(F.array_compact(F.concat(long_enough, F.array(*kinds)))))


def _exact(values: Column) -> Column:
    """The sum of values of size 1 as fixed-point numbers: the order of the rows cannot change its last bit."""
    return F.sum(F.round(values * F.lit(_SCALE)).cast("long")) / F.lit(_SCALE)


def _none(name: str) -> Column:
    return F.lit(None).cast("string").alias(name)
