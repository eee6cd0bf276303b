"""What store-products and products of log-log categories say of their elasticities, from moments by groupBy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.elasticity.estimate.estimate_rows import reason_of
from retail_spark.domains.elasticity.models.hierarchical import design_effect, precisions_of
from retail_spark.domains.elasticity.models.least_squares import Array, solve_small
from retail_spark.domains.elasticity.models.ppml import by_group
from retail_spark.domains.elasticity.panel.cells import UNIT
from retail_spark.domains.elasticity.panel.moments import matrices, stacked, to_moments, within
from retail_spark.frames.batches import names_of, repeated

UNIT_SCHEMA = "category string, store_id string, product_id string, squares array<double>, products array<double>"
PRODUCT_SCHEMA = (
    "category string, product_id string, rows bigint, means array<double>, precisions array<double>, error string"
)


_NOTHING = 1e12
"""Residual variance of a product whose fit is exact: its store-products tell nothing."""


def to_linear(rows: DataFrame, *, columns: Sequence[str]) -> tuple[DataFrame, DataFrame]:
    """Units and products of log-log categories, from rows net of store-product and period effects."""
    both = ("y", *columns)
    size = len(both)
    by_unit = to_moments(rows, keys=("category", *UNIT), columns=both)
    by_week = to_moments(rows, keys=("category", "product_id", "period"), columns=both)
    counts = by_unit.groupBy("category", "product_id").agg(F.count(F.lit(1)).alias("units"))

    def products_of(weeks: pd.DataFrame) -> pd.DataFrame:
        try:
            return products_from(weeks, size)
        except Exception as error:
            return untold_products(weeks, size, reason_of(error))

    weeks = by_week.join(counts, on=["category", "product_id"], how="inner")
    fitted = weeks.groupBy("category").applyInPandas(products_of, f"{PRODUCT_SCHEMA}, variance double")
    serial = _serial(rows, fitted, columns=columns)
    told = fitted.select("category", "product_id", "variance").join(serial, on=["category", "product_id"], how="left")

    def units_of(moments: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for some in moments:
            yield units_from(some, size)

    units = by_unit.join(told, on=["category", "product_id"], how="inner").mapInPandas(units_of, UNIT_SCHEMA)
    return units, fitted.drop("variance")


def products_from(weeks: pd.DataFrame, size: int) -> pd.DataFrame:
    """Pooled slopes of every product of a category, and their precision from scores clustered by period."""
    weeks = weeks.sort_values(["product_id", "period"])
    places, names = pd.factorize(weeks["product_id"], sort=True)
    codes = places.astype(np.int64)
    moments = matrices(stacked(weeks["crossed"]), size)
    total = by_group(moments, codes, len(names))
    rows = np.bincount(codes, weeks["rows"].to_numpy())
    small = solve_small(total[:, 1:, 1:], total[:, 1:, 0], share=0.0)
    slopes = np.nan_to_num(small.values)
    residual = np.concatenate([np.ones((len(names), 1)), -slopes], axis=1)
    squares = np.einsum("jk,jkl,jl->j", residual, total, residual)
    units = weeks.groupby("product_id")["units"].first().to_numpy()
    variance = np.maximum(squares / np.maximum(rows - units - size, 1), 1e-12)
    diagonal = np.einsum("jkk->jk", total[:, 1:, 1:])
    live = (diagonal > 1e-12 * np.maximum(diagonal.max(axis=1, keepdims=True), 1e-300)).sum(axis=1)
    is_exact = (rows <= units + live) | (squares <= 1e-9 * total[:, 0, 0])  # no row is left that could tell an error
    variance = np.where(is_exact, _NOTHING, variance)
    scores = np.einsum("gkl,gl->gk", moments[:, 1:, :], residual[codes])
    told = precisions_of(total[:, 1:, 1:], variance, scores, group=codes, period=np.arange(len(codes)))
    told = np.where(is_exact[:, None, None], 0.0, told)
    return pd.DataFrame(
        {
            "category": weeks["category"].iloc[0],
            "product_id": names,
            "rows": rows,
            "means": list(slopes),
            "precisions": [precision.ravel() for precision in told],
            "error": "",
            "variance": variance,
        }
    )


def untold_products(weeks: pd.DataFrame, size: int, reason: str) -> pd.DataFrame:
    """The products of a category that raised: nothing is told of them, and why."""
    names, known = sorted(weeks["product_id"].unique()), size - 1
    return pd.DataFrame(
        {
            "category": weeks["category"].iloc[0], "product_id": names, "rows": 0,
            "means": repeated(np.zeros(known), len(names)), "precisions": repeated(np.zeros(known**2), len(names)),
            "error": reason, "variance": 1.0,
        }
    )  # fmt: skip


def _serial(rows: DataFrame, products: DataFrame, *, columns: Sequence[str]) -> DataFrame:
    """One row per (category, product_id): correlation of the residual with that of the period before."""
    slopes = products.select("category", "product_id", "means")
    explained = sum((F.col(name) * F.col("means")[at] for at, name in enumerate(columns)), F.lit(0.0))
    joined = rows.join(F.broadcast(slopes), on=["category", "product_id"], how="inner")
    residual = joined.select("category", *UNIT, "period", (F.col("y") - explained).alias("e"))
    before = F.max("e").over(W.partitionBy(*UNIT).orderBy("period").rangeBetween(-1, -1))
    pairs = residual.withColumn("before", before)
    return pairs.groupBy("category", "product_id").agg(
        F.try_divide(F.avg(F.col("e") * F.col("before")), F.avg(F.col("e") * F.col("e"))).alias("serial")
    )


def units_from(some: pd.DataFrame, size: int) -> pd.DataFrame:
    """Moments around the unit's own means, over the residual variance of its product and the design effect."""
    counts = some["rows"].to_numpy(dtype=np.float64)
    if some.empty:
        return pd.DataFrame(columns=names_of(UNIT_SCHEMA))
    moments = within(matrices(stacked(some["crossed"]), size), stacked(some["sums"]), counts)
    effect: Array = design_effect(some["serial"].to_numpy(dtype=np.float64))
    by = some["variance"].to_numpy(dtype=np.float64) * effect
    squares = moments[:, 1:, 1:] / by[:, None, None]
    heard = moments[:, 1:, 0] / by[:, None]
    return some[["category", *UNIT]].assign(squares=[m.ravel() for m in squares], products=list(heard))
