"""How much hangs on a supplier: share of spend, Herfindahl indices, single sources. DataFrame to DataFrame."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F


def with_spend_country(lines: DataFrame, *, suppliers: DataFrame | None) -> DataFrame:
    """Adds spend_country: where the line is sent from, or else the supplier's country. Same grain."""
    if suppliers is None:
        return lines.withColumn("spend_country", F.col("origin_country"))
    homes = suppliers.groupBy("supplier_id").agg(F.min("country").alias("_home"))  # one row a supplier
    joined = lines.join(homes, "supplier_id", how="left")
    return joined.withColumn("spend_country", F.coalesce("origin_country", "_home")).drop("_home")


def herfindahl(value: Column) -> Column:
    """Aggregate of one row a supplier: the sum of squared shares of the value; NULL where nothing is worth anything."""
    return F.try_divide(F.sum(value * value), F.sum(value) * F.sum(value))


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
    spent = each.groupBy("kind", "group", "supplier_id").agg(F.sum("value").alias("value"))
    among, share = W.partitionBy("kind", "group"), F.coalesce(F.col("share"), F.lit(0.0))
    shared = spent.withColumn("share", F.try_divide("value", F.sum("value").over(among)))
    indexed = shared.withColumns({"index": F.sum(share * share).over(among), "sources": F.count(F.lit(1)).over(among)})
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
    mean = F.coalesce(F.try_divide(F.sum(index * value), F.sum(value)), F.avg(index))
    return F.when(mean > 1, F.lit(1.0)).otherwise(mean)
