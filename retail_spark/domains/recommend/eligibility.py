"""Which products a list may show: in range, in stock, of an allowed category, with enough margin."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F


def only_in_range(catalogue: DataFrame, *, on: date) -> DataFrame:
    """Products that are launched and not discontinued on a day; an unknown date forbids nothing."""
    is_launched = F.coalesce(F.col("introduced_on") <= F.lit(on), F.lit(True))
    is_kept = F.coalesce(F.col("discontinued_on") >= F.lit(on), F.lit(True))
    return catalogue.where(is_launched & is_kept)


def only_allowed(catalogue: DataFrame, *, excluded: tuple[str, ...]) -> DataFrame:
    """Products of no excluded category; a product without a category stays."""
    if not excluded:
        return catalogue
    return catalogue.where(F.col("category").isNull() | ~F.col("category").isin(list(excluded)))


def to_stocked(inventory: DataFrame) -> DataFrame:
    """One row per product_id that at least one store has, by each store's last count."""
    last = W.partitionBy("store_id", "product_id").orderBy(F.desc("date"))
    newest = inventory.withColumn("_place", F.row_number().over(last)).where("_place = 1")
    return newest.where(F.col("on_hand") > 0).select("product_id").distinct()


def to_margins(sales: DataFrame, catalogue: DataFrame) -> DataFrame:
    """One row per product_id with a known cost: margin, (price - unit cost) / price, at the last price paid.

    The cost is the product's, else that of its last sale.
    """
    last = W.partitionBy("product_id").orderBy(F.desc("sold_at"), "sale_id")
    paid = sales.where((F.col("quantity") > 0) & (F.col("unit_price") > 0))
    newest = paid.withColumn("_place", F.row_number().over(last)).where("_place = 1")
    costs = catalogue.select("product_id", F.col("unit_cost").alias("_listed_cost"))
    joined = newest.select("product_id", "unit_price", "unit_cost").join(costs, "product_id", how="left")
    cost = F.coalesce("_listed_cost", "unit_cost")
    margin = ((F.col("unit_price") - cost) / F.col("unit_price")).alias("margin")
    return joined.where(cost.isNotNull()).select("product_id", margin)
