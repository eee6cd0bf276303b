"""The truth behind the retailer, as tables to measure recovery by."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.synthetic.calendar import date_of
from retail_spark.synthetic.chance import label
from retail_spark.synthetic.settings import World


def to_true_products(products: DataFrame) -> DataFrame:
    """One row per product_id."""
    return products.withColumn("supplier_id", label("SUP", F.col("supplier_no"), 5))


def to_true_customers(customers: DataFrame) -> DataFrame:
    """One row per customer_id."""
    return customers.withColumn("home_store_id", label("S", F.col("store_no"), 4))


def to_true_stores(stores: DataFrame, *, world: World) -> DataFrame:
    """One row per store_id."""
    closed = F.when(F.col("closed_day") < world.days, date_of(F.col("closed_day"), world=world))
    opened = date_of(F.col("opened_day"), world=world)
    return stores.withColumns({"opened_on": opened, "closed_on": closed})
