"""From the inputs to the panel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.elasticity.estimate.category import (
    COLUMNS,
    to_within,
)
from retail_spark.domains.elasticity.estimate.posterior import unit_columns
from retail_spark.domains.elasticity.models.least_squares import PRICE
from retail_spark.domains.elasticity.panel import cells as tf
from retail_spark.domains.elasticity.panel.cells import SHARES, UNIT
from retail_spark.domains.elasticity.panel.identification import (
    RIVAL,
    to_left,
    without_rounding,
)
from retail_spark.domains.elasticity.panel.lines import to_sold_units, with_line_flags
from retail_spark.domains.elasticity.panel.prices import with_chain_price, with_price_columns, with_season
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
    listed = listed.transform(tf.with_shares).transform(with_chain_price)
    return stage("listed", tf.with_categories(listed, inputs.products, inputs.stores))


def to_panel(inputs: Inputs, settings: JobSettings, *, last_period: int, stage: Stage) -> Panel | None:
    """The panel; None where no line is valid."""
    listed = to_rows(inputs, settings, last_period=last_period, stage=stage)
    sparsity = tf.to_sparsity(listed, units=settings.sparse_units, zero_share=settings.sparse_zero_share)
    told = sparsity.orderBy("category").toPandas()  # one row a category
    if told.empty:
        return None
    judged = listed.join(F.broadcast(sparsity.select("category", "is_sparse")), on="category", how="inner")
    priced = judged.transform(with_price_columns, base_periods=settings.base_periods)
    waved = priced.transform(with_season, harmonics=settings.season_harmonics, days=settings.period_days)
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
