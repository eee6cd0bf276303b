"""The elasticity of every store-product: what its rows say, drawn to what its product and its category say.

Log-log categories (linear_units) and sparse ones (sparse_units) end as the same two frames: what a unit says (X'X and
X'y over the residual variance), and what a product says (means and their precision).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.elasticity.estimate.category import CONTROL
from retail_spark.domains.elasticity.estimate.estimate_rows import reason_of
from retail_spark.domains.elasticity.models.hierarchical import Shrunk, shrink
from retail_spark.domains.elasticity.models.least_squares import PRICE, Array, solve_small
from retail_spark.domains.elasticity.panel.cells import SHARES, UNIT
from retail_spark.domains.elasticity.panel.moments import stacked
from retail_spark.domains.elasticity.settings import JobSettings
from retail_spark.frames.batches import fitted_to, names_of, repeated

SHRUNK_SCHEMA = (
    "level string, category string, store_id string, product_id string, elasticity double, std_error double, "
    "raw_elasticity double, raw_std_error double, shrink_weight double, left double, slopes array<double>, error string"
)
_SHRUNK = names_of(SHRUNK_SCHEMA)


def unit_columns(settings: JobSettings) -> tuple[str, ...]:
    """Regressors of a store-product, price first."""
    waves = [f"season_{n}_{k}" for k in range(1, settings.season_harmonics + 1) for n in ("cos", "sin")]
    return (PRICE, "rival_price", *SHARES, *waves, CONTROL)


def with_control(rows: DataFrame, first_stages: Mapping[str, Mapping[str, float]]) -> DataFrame:
    """Adds price_residual: what the instruments do not explain of the price, 0 in categories without them.

    `first_stages` holds, by category, the first stage's coefficients by column. With it as a control the price's
    coefficient is that of two-stage least squares (Wooldridge 2015, control functions).
    """
    residual: Column = F.lit(0.0)
    for category, coefficients in sorted(first_stages.items()):
        explained = sum((F.col(name) * F.lit(value) for name, value in coefficients.items()), F.lit(0.0))
        residual = F.when(F.col("category") == category, F.col(PRICE) - explained).otherwise(residual)
    return rows.withColumn(CONTROL, residual)


def to_shrunk(units: DataFrame, products: DataFrame, *, size: int, settings: JobSettings) -> DataFrame:
    """Units, products and categories with their posterior; price first among `slopes`."""

    def finish(units: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
        try:
            return shrunk_rows(units, products, size=size, rounds=settings.em_rounds)
        except Exception as error:
            return untold_rows(units, products, size=size, reason=reason_of(error))

    # both come out of the same rows: with columns of its own, Spark can tell one side from the other
    apart = products.select(*[F.col(name).alias(name) for name in products.columns])
    return units.groupBy("category").cogroup(apart.groupBy("category")).applyInPandas(finish, SHRUNK_SCHEMA)


def shrunk_rows(units: pd.DataFrame, products: pd.DataFrame, *, size: int, rounds: int) -> pd.DataFrame:
    """The posterior of one category, one row a unit, a product, and the category itself."""
    units, products = units.sort_values(list(UNIT)), products.sort_values("product_id")
    if units.empty:
        return pd.DataFrame(columns=_SHRUNK)
    reasons = [text for text in products["error"] if isinstance(text, str) and text] if "error" in products else []
    if reasons:
        return untold_rows(units, products, size=size, reason=reasons[0])
    place = pd.Index(products["product_id"]).get_indexer(pd.Index(units["product_id"])).astype(np.int64)
    squares = stacked(units["squares"]).reshape(-1, size, size)
    heard = stacked(units["products"])
    means = stacked(products["means"])
    precisions = stacked(products["precisions"]).reshape(-1, size, size)
    found = shrink(squares, heard, place, means, precisions, rounds=rounds)
    raw = solve_small(squares, heard, share=0.0)
    noise = raw.price_variance
    weight = found.between_units[0, 0] / (found.between_units[0, 0] + noise)
    category = units["category"].iloc[0]
    own = units[list(UNIT)].assign(
        level="unit", elasticity=found.units[:, 0], std_error=np.sqrt(found.unit_covariance[:, 0, 0]),
        raw_elasticity=raw.values[:, 0], raw_std_error=np.sqrt(noise), shrink_weight=np.nan_to_num(weight),
        left=raw.left, slopes=list(found.units),
    )  # fmt: skip
    whole = pd.concat([own, *_upper(found, products, means, precisions)]).assign(category=category)
    return fitted_to(whole, SHRUNK_SCHEMA)


def untold_rows(units: pd.DataFrame, products: pd.DataFrame, *, size: int, reason: str) -> pd.DataFrame:
    """A category that raised: its units, products and itself without a number, and why. Its slopes are 0."""
    some = [
        units[["category", *UNIT]].assign(level="unit"),
        products[["category", "product_id"]].assign(level="product"),
        units[["category"]].head(1).assign(level="category"),
    ]
    whole = pd.concat(some, ignore_index=True).assign(error=reason, left=1.0)
    return fitted_to(whole.assign(slopes=repeated(np.zeros(size), len(whole))), SHRUNK_SCHEMA)


def _upper(found: Shrunk, products: pd.DataFrame, means: Array, precisions: Array) -> list[pd.DataFrame]:
    variance = np.array([np.linalg.pinv(p, hermitian=True)[0, 0] if p[0, 0] > 0 else np.nan for p in precisions])
    by_product = pd.DataFrame({
        "level": "product", "store_id": None, "product_id": products["product_id"].to_numpy(),
        "elasticity": found.products[:, 0], "std_error": np.sqrt(found.product_covariance[:, 0, 0]),
        "raw_elasticity": np.where(np.isnan(variance), np.nan, means[:, 0]), "raw_std_error": np.sqrt(variance),
        "shrink_weight": np.nan_to_num(found.between_products[0, 0] / (found.between_products[0, 0] + variance)),
        "left": 1.0, "slopes": list(found.products),
    })  # fmt: skip
    centre = pd.DataFrame({
        "level": ["category"], "store_id": None, "product_id": None, "elasticity": found.centre[0],
        "std_error": np.sqrt(found.centre_covariance[0, 0]), "raw_elasticity": np.nan, "raw_std_error": np.nan,
        "shrink_weight": 0.0, "left": 1.0, "slopes": [found.centre],
    })  # fmt: skip
    return [by_product, centre]
