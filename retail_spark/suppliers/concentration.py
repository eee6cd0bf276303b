"""How much hangs on a supplier: share of spend, Herfindahl indices, single sources. DataFrame to DataFrame."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F


def with_spend_country(lines: DataFrame, *, suppliers: DataFrame | None) -> DataFrame:
    """Adds spend_country: where the line is sent from, or else the supplier's country. Same grain."""
    if suppliers is None:
        return lines.withColumn("spend_country", F.col("origin_country"))
    homes = suppliers.groupBy("supplier_id").agg(F.min("country").alias("_home"))  # one row a supplier
    joined = lines.join(homes, "supplier_id", how="left")
    return joined.withColumn("spend_country", F.coalesce("origin_country", "_home")).drop("_home")


def herfindahl(lines: DataFrame, *, within: Sequence[str]) -> DataFrame:
    """One row per (within, supplier_id): its value there, and hhi, the sum of squared shares of all suppliers there."""
    spent = lines.groupBy(*within, "supplier_id").agg(F.sum("value").alias("value"))
    group = W.partitionBy(*within) if within else W.partitionBy(F.lit(0))
    total = F.sum("value").over(group)
    shares = spent.withColumn("share", F.coalesce(F.try_divide("value", total), F.lit(0.0)))
    return shares.withColumn("hhi", F.least(F.sum(F.col("share") * F.col("share")).over(group), F.lit(1.0)))


def to_concentration(lines: DataFrame) -> DataFrame:
    """One row per supplier_id: value, value_share, hhi (of its categories), hhi_country, is_single_source.

    An index is the mean of those of the supplier's categories (countries), weighted by what it sells there. It is a
    single source when some product (the category, where products are not told) came from it alone.
    """
    whole = herfindahl(lines, within=()).select("supplier_id", "value", F.col("share").alias("value_share"))
    product = F.coalesce("product_id", "category")
    by_product = W.partitionBy("product")
    sources = lines.select("supplier_id", product.alias("product")).distinct()
    alone = sources.withColumn("is_alone", F.count(F.lit(1)).over(by_product) == 1)
    single = alone.groupBy("supplier_id").agg(F.max("is_alone").alias("is_single_source"))
    told = lines.where(F.col("spend_country").isNotNull())
    found = whole.join(_weighted(herfindahl(lines, within=("category",)), name="hhi"), "supplier_id", how="left")
    found = found.join(
        _weighted(herfindahl(told, within=("spend_country",)), name="hhi_country"), "supplier_id", how="left"
    )
    return found.join(single, "supplier_id", how="left").fillna(0.0, ["hhi"]).fillna(False, ["is_single_source"])


def _weighted(indices: DataFrame, *, name: str) -> DataFrame:
    mean = F.try_divide(F.sum(F.col("hhi") * F.col("value")), F.sum("value"))
    return indices.groupBy("supplier_id").agg(F.least(F.coalesce(mean, F.avg("hhi")), F.lit(1.0)).alias(name))
