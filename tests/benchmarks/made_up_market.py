"""The made-up market as canonical tables, and its truth in the shape of the published scorer."""

from __future__ import annotations

from datetime import date

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.canonical import PRODUCTS, SALES, STORES
from retail_spark.lake.contracts import Contract

START = date(2022, 1, 3)
"""A Monday."""


def sales(cells: DataFrame) -> DataFrame:
    """One row per cell with a sale, as silver.sales."""
    sold = cells.where("units > 0")
    return _shaped(
        sold,
        SALES,
        sale_id=F.concat_ws("-", "store_id", "product_id", "week"),
        sold_at=F.date_add(F.lit(START), F.col("week") * 7).cast("timestamp"),
        quantity=F.col("units"),
        unit_price=F.col("price"),
        currency=F.lit("EUR"),
    )


def products(cells: DataFrame) -> DataFrame:
    """silver.products."""
    return _shaped(cells.select("product_id", "category").distinct(), PRODUCTS)


def stores(cells: DataFrame) -> DataFrame:
    """silver.stores."""
    return _shaped(cells.select("store_id", "region").distinct(), STORES)


def _shaped(frame: DataFrame, contract: Contract, **given: object) -> DataFrame:
    """The contract's columns: given, else those of the frame, else NULL."""
    known = {"source": F.lit("market"), "row_hash": F.lit("0"), **given}
    return frame.select(
        *[
            (known[c.name] if c.name in known else F.col(c.name) if c.name in frame.columns else F.lit(None))
            .cast(c.type)  # type: ignore[attr-defined]
            .alias(c.name)
            for c in contract.columns
        ]
    )


def answer_key(cells: pd.DataFrame) -> pd.DataFrame:
    """Counterfactual ground truth: a scenario a product, its price ten percent up in every store and week."""
    return pd.DataFrame({
        "intervention_id": cells["product_id"], "product_id": cells["product_id"], "store_id": cells["store_id"],
        "week": cells["week"], "q": cells["mean_units"], "q_cf": cells["units_up"], "scope": "product",
        "direction": "up",
    })  # fmt: skip


def matrix(pairs: pd.DataFrame) -> pd.DataFrame:
    """Elasticities as a square: rows respond, columns are priced; pairs of different categories are missing."""
    return pairs.pivot(index="product_id", columns="other_product_id", values="elasticity").sort_index(axis=1)
