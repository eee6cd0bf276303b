"""From sales to lines that carry what every figure is made of."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.frames.periods import day_of
from retail_spark.tables.values import UNKNOWN


def to_lines(sales: DataFrame, *, products: DataFrame, stores: DataFrame, time_zone: str) -> DataFrame:
    """One row per sales line: its day and dimensions, its units and money, sold or returned, and who bought.

    `first_day` is the first day on which the customer bought anything. `cost` and `is_promoted` are NULL where they
    are not known.
    """
    quantity, is_sold = F.col("quantity"), F.col("quantity") > 0
    unit_cost = F.coalesce(F.col("unit_cost"), F.col("_product_cost"))
    shares = [F.col(name) for name in ("on_promotion", "on_display", "on_deal")]
    known = F.coalesce(*shares).isNotNull()
    lines = sales.transform(with_dimensions, products=products, stores=stores).select(
        day_of("sold_at", time_zone=time_zone).alias("day"),
        "store_id",
        "channel",
        "category",
        F.coalesce(F.upper("currency"), F.lit(UNKNOWN)).alias("currency"),
        F.when(is_sold, F.struct("store_id", F.coalesce("order_id", "sale_id"))).alias("order"),
        F.col("order_id").isNotNull().alias("has_order"),
        "customer_id",
        F.when(is_sold, F.col("customer_id")).alias("buyer"),
        F.when(is_sold, quantity).otherwise(0.0).alias("sold"),
        F.when(is_sold, 0.0).otherwise(-quantity).alias("returned"),
        "unit_price",
        unit_cost.alias("unit_cost"),
        F.when(known, F.greatest(*shares) > 0).alias("is_promoted"),
    )
    first = lines.where(F.col("buyer").isNotNull()).groupBy("customer_id").agg(F.min("day").alias("first_day"))
    return lines.join(first, on="customer_id", how="left")


def with_dimensions(rows: DataFrame, *, products: DataFrame, stores: DataFrame) -> DataFrame:
    """Adds category and channel (`unknown` where there is none) and the product's cost. Same grain."""
    of_product = products.select("product_id", "category", F.col("unit_cost").alias("_product_cost"))
    of_store = stores.select("store_id", F.col("format").alias("channel"))
    joined = rows.join(of_product, on="product_id", how="left").join(F.broadcast(of_store), on="store_id", how="left")
    missing = {name: F.coalesce(F.col(name), F.lit(UNKNOWN)) for name in ("category", "channel")}
    return joined.withColumns(missing)
