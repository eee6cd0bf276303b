"""From the inputs to the panel, from the panel to estimates, and from both to every store-product's elasticity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.elasticity.estimate.by_promotion import to_by_promotion
from retail_spark.domains.elasticity.estimate.category import (
    COLUMNS,
    Rules,
    to_cell_moments,
    to_lagged,
    to_pooled,
    to_within,
)
from retail_spark.domains.elasticity.estimate.double_ml import to_double_ml
from retail_spark.domains.elasticity.estimate.estimate_rows import said_not_identified
from retail_spark.domains.elasticity.estimate.posterior import to_shrunk, unit_columns, with_control
from retail_spark.domains.elasticity.estimate.store_product_loglog import to_linear
from retail_spark.domains.elasticity.estimate.store_product_poisson import to_sparse, to_sparse_pooled
from retail_spark.domains.elasticity.models.least_squares import PRICE
from retail_spark.domains.elasticity.panel.build import Panel, Stage
from retail_spark.domains.elasticity.panel.cells import SHARES
from retail_spark.domains.elasticity.panel.identification import (
    not_identified,
    warnings_of,
)
from retail_spark.domains.elasticity.panel.prices import with_lags
from retail_spark.domains.elasticity.settings import JobSettings


def to_estimates(panel: Panel, settings: JobSettings, *, seed: int, stage: Stage) -> pd.DataFrame:
    """The pooled rows of gold.elasticity_estimates, a few for each category: they fit the driver.

    The default of a sparse category is Poisson, else the instruments' where prices react to demand, else least squares.
    """
    rules = Rules.of(settings)
    cells = to_cell_moments(panel.net, columns=COLUMNS)
    found = to_pooled(cells, columns=COLUMNS, rules=rules)
    lagged = ("y", PRICE, *[f"price_lag_{k}" for k in range(1, settings.lags + 1)], *SHARES)
    past = panel.rows.transform(with_lags, lags=settings.lags).dropna(subset=list(lagged))
    past = past.transform(to_within, columns=lagged, effects=settings.effects)
    gone = not_identified(panel.left, share=settings.collinear_share)
    if gone:
        past = past.withColumn(PRICE, F.when(F.col("category").isin(*gone), F.lit(0.0)).otherwise(F.col(PRICE)))
    found = found.unionByName(to_lagged(to_cell_moments(past, columns=lagged), columns=lagged, rules=rules))
    if settings.double_ml:
        controls = ("rival_price", *SHARES)
        found = found.unionByName(to_double_ml(panel.net, controls=controls, settings=settings, seed=seed))
    if settings.effects == "none":
        found = found.unionByName(to_by_promotion(panel.rows))
    pooled = stage("estimates", found).toPandas()
    sparse = panel.sparsity.loc[panel.sparsity["is_sparse"], "category"]
    if len(sparse):
        rows = _bucketed(panel, settings).transform(with_control, first_stages(pooled))
        columns = [name for name in unit_columns(settings) if not name.startswith("season_")]
        poisson = stage("poisson", to_sparse_pooled(rows, columns=columns, settings=settings)).toPandas()
        is_sparse = (pooled["level"] == "category") & pooled["member"].isin(sparse)
        pooled = pd.concat([pooled.assign(is_default=pooled["is_default"] & ~is_sparse), poisson])
    warnings = warnings_of(panel.left, least=settings.min_price_left)
    shares = panel.left.set_index("category")[PRICE].to_dict()
    pooled = with_warnings(said_not_identified(pooled, gone), shares=shares, warnings=warnings)
    order = ["level", "member", "estimator", "term"]
    return pooled.sort_values(order, kind="stable").reset_index(drop=True)


def with_warnings(estimates: pd.DataFrame, *, shares: Mapping[Any, Any], warnings: Mapping[str, str]) -> pd.DataFrame:
    """Adds price_left and warning to the rows of categories."""
    category = estimates["member"].where(estimates["level"] == "category")
    return estimates.assign(price_left=category.map(shares), warning=category.map(warnings))


def first_stages(estimates: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Category -> coefficients of the first stage, where the test says that prices react to demand."""
    is_category = estimates["level"] == "category"
    endogenous = estimates[is_category & (estimates["estimator"] == "iv") & estimates["is_default"]]["member"].unique()
    found: dict[str, dict[str, float]] = {}
    for row in estimates[is_category & (estimates["estimator"] == "first_stage")].to_dict("records"):
        if row["member"] in endogenous:
            found.setdefault(row["member"], {})[row["term"]] = float(row["estimate"])
    return found


def _bucketed(panel: Panel, settings: JobSettings) -> DataFrame:
    """Sparse rows net of effects, with the bucket of products that one task fits."""
    sparse = panel.net.where("is_sparse")
    per = sparse.groupBy("category").agg(F.ceil(F.count(F.lit(1)) / settings.poisson_rows).alias("_buckets"))
    joined = sparse.join(F.broadcast(per), on="category", how="inner")
    return joined.withColumn("bucket", F.pmod(F.xxhash64("product_id"), F.col("_buckets"))).drop("_buckets")


def to_elasticities(
    panel: Panel, settings: JobSettings, *, stages: Mapping[str, Mapping[str, float]], before: int | None = None
) -> DataFrame:
    """Posterior of units, products and categories, from all periods or those before one."""
    columns = unit_columns(settings)
    linear, sparse = panel.net.where("NOT is_sparse"), _bucketed(panel, settings)
    if before is not None:
        linear, sparse = linear.where(F.col("period") < before), sparse.where(F.col("period") < before)
    kinds = set(panel.sparsity["is_sparse"])
    parts = []
    if False in kinds:
        parts.append(to_linear(linear.transform(with_control, stages), columns=columns))
    if True in kinds:
        rows = sparse.transform(with_control, stages)
        parts.append(to_sparse(rows, columns=columns, settings=settings))
    units, products = parts[0]
    for more_units, more_products in parts[1:]:
        units, products = units.unionByName(more_units), products.unionByName(more_products)
    return to_shrunk(units, products, size=len(columns), settings=settings)
