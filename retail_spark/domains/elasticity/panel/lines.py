"""Which lines say something about price: in the store's currency, sold at a price, and at none that is a slip."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

UNIT = ("store_id", "product_id")
_FEWEST = 5
"""Lines of a product below which no price of it is called an outlier; of a store-product, its own are not asked."""


def is_priced_line() -> Column:
    """A sale with units and price above zero. Returns and gifts are none."""
    return (F.col("quantity") > 0) & (F.col("unit_price") > 0)


def with_line_flags(sales: DataFrame, *, max_price_ratio: float, max_foreign_share: float) -> DataFrame:
    """Adds is_mixed, is_foreign, is_outlier and is_valid. Same grain.

    A store's currency is that of most of its lines. A few lines in another one are foreign and set aside; where they
    are more than `max_foreign_share`, the store is mixed: no currency is its own.
    """
    marked = sales.transform(_with_currency, max_foreign_share=max_foreign_share)
    marked = marked.transform(_with_medians).withColumn("_log", F.when(_is_judged(), F.ln("unit_price")))
    reach = F.ln(F.lit(max_price_ratio))
    is_far = (F.abs(F.col("_log") - F.col("_chain")) > reach) & (F.col("_chain_lines") >= _FEWEST)
    is_far_here = (F.abs(F.col("_log") - F.col("_own")) > reach) | (F.col("_own_lines") < _FEWEST)
    is_outlier = F.coalesce(is_far & is_far_here, F.lit(False))
    flagged = marked.withColumn("is_outlier", is_outlier)
    valid = F.coalesce(_is_judged(), F.lit(False)) & ~F.col("is_outlier") & ~F.col("is_mixed")
    return flagged.withColumn("is_valid", valid).drop("_log", "_chain", "_chain_lines", "_own", "_own_lines")


def _is_judged() -> Column:
    return is_priced_line() & ~F.col("is_foreign")


def _with_currency(sales: DataFrame, *, max_foreign_share: float) -> DataFrame:
    counts = sales.where(F.col("currency").isNotNull()).groupBy("store_id", "currency").agg(
        F.count(F.lit(1)).alias("_lines")
    )  # fmt: skip
    per = counts.groupBy("store_id").agg(
        F.max_by("currency", F.struct("_lines", "currency")).alias("_currency"),
        (1 - F.max("_lines") / F.sum("_lines")).alias("_share"),
    )
    joined = sales.join(F.broadcast(per), on="store_id", how="left")
    is_mixed = F.coalesce(F.col("_share") > max_foreign_share, F.lit(False))
    is_foreign = F.coalesce(F.col("currency") != F.col("_currency"), F.lit(False)) & ~is_mixed
    return joined.withColumns({"is_mixed": is_mixed, "is_foreign": is_foreign}).drop("_currency", "_share")


def _with_medians(sales: DataFrame) -> DataFrame:
    """Adds the medians of the log price by product (of one currency) and by store-product, with their lines."""
    judged = sales.where(_is_judged()).withColumn("_currency", F.coalesce("currency", F.lit("")))
    by_unit = judged.groupBy(*UNIT).agg(
        F.median(F.ln("unit_price")).alias("_own"), F.count(F.lit(1)).alias("_own_lines")
    )
    chain = judged.groupBy("product_id", "_currency").agg(
        F.median(F.ln("unit_price")).alias("_chain"), F.count(F.lit(1)).alias("_chain_lines")
    )
    here = sales.withColumn("_currency", F.coalesce("currency", F.lit("")))
    joined = here.join(by_unit, on=list(UNIT), how="left").join(chain, on=["product_id", "_currency"], how="left")
    return joined.drop("_currency")


def to_sold_units(flagged: DataFrame) -> DataFrame:
    """One row per (store_id, product_id) with any line: valid, outlier and foreign lines, and whether it is mixed."""
    return flagged.groupBy(*UNIT).agg(
        F.count_if("is_valid").alias("valid_lines"),
        F.count_if("is_outlier").alias("outlier_lines"),
        F.count_if("is_foreign").alias("foreign_lines"),
        F.bool_or("is_mixed").alias("is_mixed"),
    )
