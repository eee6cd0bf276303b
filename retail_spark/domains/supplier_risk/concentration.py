"""How much hangs on a supplier: share of spend, Herfindahl indices, single sources. DataFrame to DataFrame."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.frames.sums import exact_mean, exact_sum

_MONEY, _SHARE = 6, 15
"""Decimals to which amounts and shares add up."""


def with_spend_country(lines: DataFrame, *, suppliers: DataFrame | None) -> DataFrame:
    """Adds spend_country: where the line is sent from, or else the supplier's country. Same grain."""
    if suppliers is None:
        return lines.withColumn("spend_country", F.col("origin_country"))
    homes = suppliers.groupBy("supplier_id").agg(F.min("country").alias("_home"))  # one row a supplier
    joined = lines.join(homes, "supplier_id", how="left")
    return joined.withColumn("spend_country", F.coalesce("origin_country", "_home")).drop("_home")


def herfindahl(value: Column) -> Column:
    """Aggregate of one row a supplier: the sum of squared shares of the value; NULL where nothing is worth anything."""
    whole = exact_sum(value, scale=_MONEY)
    return F.try_divide(exact_sum(value * value, scale=_MONEY), whole * whole)


def to_concentration(lines: DataFrame) -> DataFrame:
    """One row per supplier_id: value, value_share, hhi (of its categories), hhi_country, is_single_source.

    An index is the mean of those of the supplier's categories (countries), weighted by what it sells there. It is a
    single source when some product (the category, where products are not told) came from it alone.
    """
    kinds = {
        "whole": F.lit("*"), "category": F.col("category"), "country": F.col("spend_country"),
        "product": F.coalesce("product_id", "category"),
    }  # fmt: skip
    groups = [F.struct(F.lit(kind).alias("kind"), name.alias("group")) for kind, name in kinds.items()]
    each = lines.select("supplier_id", "value", F.inline(F.array(*groups))).where(F.col("group").isNotNull())
    spent = each.groupBy("kind", "group", "supplier_id").agg(exact_sum(F.col("value"), scale=_MONEY).alias("value"))
    among, share = W.partitionBy("kind", "group"), F.coalesce(F.col("share"), F.lit(0.0))
    whole = exact_sum(F.col("value"), scale=_MONEY, over=among)
    shared = spent.withColumn("share", F.try_divide(F.col("value"), whole))
    index = exact_sum(share * share, scale=_SHARE, over=among)
    indexed = shared.withColumns({"index": index, "sources": F.count(F.lit(1)).over(among)})
    of_whole, of_product = F.col("kind") == "whole", F.col("kind") == "product"
    found = indexed.groupBy("supplier_id").agg(
        F.max(F.when(of_whole, F.col("value"))).alias("value"),
        F.max(F.when(of_whole, share)).alias("value_share"),
        _weighted("category").alias("hhi"),
        _weighted("country").alias("hhi_country"),
        F.max(of_product & (F.col("sources") == 1)).alias("is_single_source"),
    )
    return found.fillna(0.0, ["hhi"])


def _weighted(kind: str) -> Column:
    """The mean index of the supplier's groups of a kind, by value; unweighted where nothing is worth anything."""
    index = F.when(F.col("kind") == kind, F.col("index"))
    value = F.when(F.col("kind") == kind, F.col("value"))
    weighted = F.try_divide(exact_sum(index * value, scale=_MONEY), exact_sum(value, scale=_MONEY))
    mean = F.coalesce(weighted, exact_mean(index, scale=_SHARE))
    return F.when(mean > 1, F.lit(1.0)).otherwise(mean)
