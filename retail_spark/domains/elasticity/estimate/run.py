"""From the inputs to the panel, from the panel to estimates, and from both to every store-product's elasticity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import Window as W
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
from retail_spark.domains.elasticity.panel import cells as tf
from retail_spark.domains.elasticity.panel.cells import SHARES, UNIT
from retail_spark.domains.elasticity.panel.identification import (
    RIVAL,
    not_identified,
    to_left,
    warnings_of,
    without_rounding,
)
from retail_spark.domains.elasticity.panel.lines import to_sold_units, with_line_flags
from retail_spark.domains.elasticity.settings import JobSettings

Stage = Callable[[str, DataFrame], DataFrame]
_YEAR_DAYS = 365


@dataclass(frozen=True)
class Inputs:
    """What the panel is made of; only sales are needed."""

    sales: DataFrame
    products: DataFrame | None = None
    stores: DataFrame | None = None
    planned: DataFrame | None = None
    inventory: DataFrame | None = None


@dataclass(frozen=True)
class Panel:
    """The panel, staged: `rows` as they are, `net` with columns net of store-product and period effects."""

    sold: DataFrame
    """One row per store and product with any line."""
    rows: DataFrame
    net: DataFrame
    sparsity: pd.DataFrame
    """One row a category: median_units, zero_share, is_sparse."""
    left: pd.DataFrame
    """One row a category: products, stores, and what the effects leave of each column (identified.py)."""
    first_period: int
    last_period: int


def to_lines(inputs: Inputs, settings: JobSettings) -> DataFrame:
    """The sales lines with what sets some of them aside."""
    return with_line_flags(
        inputs.sales, max_price_ratio=settings.max_price_ratio, max_foreign_share=settings.max_foreign_share
    )


def to_rows(inputs: Inputs, settings: JobSettings, *, last_period: int, stage: Stage) -> DataFrame:
    """The panel's rows before categories are judged: listed, in stock, priced where it can be."""
    days = settings.period_days
    first = last_period - settings.history_periods + 1
    lines = to_lines(inputs, settings)
    cells = tf.to_cells(lines, days=days, time_zone=settings.time_zone).where(F.col("period") >= first)
    cells = stage("cells", cells)
    planned = None if inputs.planned is None else tf.to_planned(inputs.planned, days=days)
    listed = tf.to_listed(cells, planned)
    if inputs.inventory is not None:
        empty = tf.to_stockouts(inputs.inventory, days=days)
        flagged = listed.join(empty.withColumn("is_out", F.lit(True)), on=list(tf.CELL), how="left")
        # a period in which it ran out tells less than the demand of it, sold or not
        listed = flagged.where(F.col("is_out").isNull()).drop("is_out")
    listed = listed.transform(tf.with_shares).transform(tf.with_chain_price)
    return stage("listed", tf.with_categories(listed, inputs.products, inputs.stores))


def to_panel(inputs: Inputs, settings: JobSettings, *, last_period: int, stage: Stage) -> Panel | None:
    """The panel; None where no line is valid."""
    listed = to_rows(inputs, settings, last_period=last_period, stage=stage)
    sparsity = tf.to_sparsity(listed, units=settings.sparse_units, zero_share=settings.sparse_zero_share)
    told = sparsity.orderBy("category").toPandas()  # one row a category
    if told.empty:
        return None
    judged = listed.join(F.broadcast(sparsity.select("category", "is_sparse")), on="category", how="inner")
    priced = judged.transform(tf.with_price_columns, base_periods=settings.base_periods)
    waved = priced.transform(tf.with_season, harmonics=settings.season_harmonics, days=settings.period_days)
    rows = stage("rows", waved)
    span = rows.agg(F.min("period").alias("first"), F.max("period").alias("last")).collect()[0]
    has_years = (span["last"] - span["first"] + 1) * settings.period_days >= 1.5 * _YEAR_DAYS
    waves = [name for name in unit_columns(settings) if name.startswith("season_")]
    if not has_years:
        rows = rows.withColumns({name: F.lit(0.0) for name in waves})
    unit = W.partitionBy(*UNIT)
    own = {f"own_{name}": F.col(name) - F.avg(name).over(unit) for name in ("y", PRICE)}
    own |= {f"own_{name}": F.col(name) for name in waves}
    columns = (*COLUMNS, RIVAL, *waves)
    net = stage("net", rows.withColumns(own).transform(to_within, columns=columns, effects=settings.effects))
    judged_columns = (*[name for name in COLUMNS if name != "y"], RIVAL)
    left = to_left(rows, net, columns=judged_columns)
    net = net.transform(without_rounding, left, columns=judged_columns, share=settings.collinear_share)
    sold = stage("sold", to_sold_units(to_lines(inputs, settings)))
    return Panel(sold, rows, net, told, left, int(span["first"]), int(span["last"]))


def to_estimates(panel: Panel, settings: JobSettings, *, seed: int, stage: Stage) -> pd.DataFrame:
    """The pooled rows of gold.elasticity_estimates, a few for each category: they fit the driver.

    The default of a sparse category is Poisson, else the instruments' where prices react to demand, else least squares.
    """
    rules = Rules.of(settings)
    cells = to_cell_moments(panel.net, columns=COLUMNS)
    found = to_pooled(cells, columns=COLUMNS, rules=rules)
    lagged = ("y", PRICE, *[f"price_lag_{k}" for k in range(1, settings.lags + 1)], *SHARES)
    past = panel.rows.transform(tf.with_lags, lags=settings.lags).dropna(subset=list(lagged))
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


def to_facts(panel: Panel) -> DataFrame:
    """One row per unit of the panel: n_obs, price_points, price_spread, and what promotions and effects leave."""
    explained = [F.try_divide(F.covar_pop(PRICE, name) ** 2, F.var_pop(PRICE) * F.var_pop(name)) for name in SHARES]
    most = F.greatest(*[F.coalesce(share, F.lit(0.0)) for share in explained])
    facts = panel.rows.groupBy(*UNIT).agg(
        F.first("category").alias("category"),
        F.first("is_sparse").alias("is_sparse"),
        F.count(F.lit(1)).alias("n_obs"),
        F.size(F.collect_set(F.round(PRICE, 4))).cast("bigint").alias("price_points"),
        F.coalesce(F.stddev_pop(PRICE), F.lit(0.0)).alias("price_spread"),
        (F.lit(1.0) - most).alias("left_by_shares"),
    )
    left = panel.net.groupBy(*UNIT).agg(
        F.coalesce(F.try_divide(F.sum(F.col(PRICE) ** 2), F.sum(F.col("own_price") ** 2)), F.lit(0.0)).alias(
            "left_by_effects"
        )
    )
    return facts.join(left, on=list(UNIT), how="left")
