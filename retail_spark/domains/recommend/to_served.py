"""What was learned, taken out of Spark up to stated limits and put into the files of the registered model."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.recommend.als import Factors
from retail_spark.domains.recommend.models.blend import PRODUCT_FEATURES
from retail_spark.domains.recommend.purchases import to_market
from retail_spark.domains.recommend.served import ServedModel
from retail_spark.domains.recommend.settings import JobSettings
from retail_spark.domains.recommend.train import Learned


def to_served(
    learned: Learned,
    factors: Factors,
    *,
    settings: JobSettings,
    allowed: DataFrame | None = None,
    order_weight: float = 1.0,
) -> ServedModel:
    """The model of the best-sold products and the most active customers, up to served_products and served_customers.

    Products that are not `allowed` in a list come last: they are there for what they say about who bought them.
    `order_weight` is what an order counts that the model is told of when it is asked.
    """
    marked = learned.products.withColumn("is_shown", F.lit(True))
    if allowed is not None:
        flags = allowed.select("product_id", F.lit(True).alias("_flag"))
        marked = learned.products.join(flags, "product_id", how="left").withColumn(
            "is_shown", F.coalesce("_flag", F.lit(False))
        )
    best_sold = marked.orderBy(F.desc("is_shown"), F.desc("buyers"), "product_id").limit(settings.served_products)
    product_factors = factors.products.select(F.col("id").alias("product_no"), F.col("features").alias("factors"))
    products = best_sold.join(product_factors, "product_no", how="inner").toPandas().sort_values("product_id")
    by_customer = learned.history.groupBy("customer_no", "customer_id").agg(
        F.sum("orders").alias("orders"),
        F.sort_array(F.collect_list(F.struct("product_no", "orders", "decayed"))).alias("bought"),
    )
    active = by_customer.orderBy(F.desc("orders"), "customer_id").limit(settings.served_customers)
    customer_factors = factors.customers.select(F.col("id").alias("customer_no"), F.col("features").alias("factors"))
    customers = _flat(active.join(customer_factors, "customer_no", how="inner")).toPandas().sort_values("customer_id")

    numbers = products["product_no"].to_numpy()
    arrays = {
        "product_factors": _matrix(products["factors"], learned.recipe.rank),
        "product_features": products[list(PRODUCT_FEATURES)].to_numpy(dtype=np.float32),
        "customer_factors": _matrix(customers["factors"], learned.recipe.rank),
        "is_shown": products["is_shown"].to_numpy(dtype=np.bool_),
        "categories": pd.factorize(products["category"], use_na_sentinel=False)[0].astype(np.int64),
        **_histories(customers["bought"], customers["orders"], customers["decayed"], numbers=numbers),
    }
    market = {key: float(value) for key, value in to_market(learned.history).collect()[0].asDict().items()}
    market["order_weight"] = order_weight
    people, goods = customers["customer_id"].tolist(), products["product_id"].tolist()
    return ServedModel(
        learned.recipe, settings.k, people, goods, arrays, market, quota=settings.max_per_category
    )  # fmt: skip


def _flat(customers: DataFrame) -> DataFrame:
    return customers.select(
        "customer_id",
        "factors",
        F.transform("bought", lambda e: e.product_no).alias("bought"),
        F.transform("bought", lambda e: e.orders.cast("float")).alias("orders"),
        F.transform("bought", lambda e: e.decayed.cast("float")).alias("decayed"),
    )


def _matrix(rows: object, width: int) -> np.ndarray:
    listed = [np.asarray(row, dtype=np.float32) for row in rows]  # type: ignore[attr-defined]
    return np.stack(listed) if listed else np.zeros((0, width), dtype=np.float32)


def _histories(bought: object, orders: object, decayed: object, *, numbers: np.ndarray) -> dict[str, np.ndarray]:
    """Flat histories over the places of the products; what lies beyond served_products is left out."""
    place_of = {int(number): place for place, number in enumerate(numbers)}
    starts, places, kept_orders, kept_decayed = [0], [], [], []
    for own, times, weights in zip(bought, orders, decayed, strict=True):  # type: ignore[call-overload]
        for number, count, weight in zip(own, times, weights, strict=True):
            if (place := place_of.get(int(number))) is not None:
                places.append(place)
                kept_orders.append(count)
                kept_decayed.append(weight)
        starts.append(len(places))
    return {
        "starts": np.asarray(starts, dtype=np.int64),
        "places": np.asarray(places, dtype=np.int32),
        "orders": np.asarray(kept_orders, dtype=np.float32),
        "decayed": np.asarray(kept_decayed, dtype=np.float32),
    }
