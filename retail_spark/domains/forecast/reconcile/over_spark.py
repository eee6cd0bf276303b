"""Reconciliation over Spark: the levels above are foretold by themselves, then every date is drawn together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.domains.forecast.recipe import Recipe
from retail_spark.domains.forecast.reconcile.levels import member_of, with_members
from retail_spark.domains.forecast.reconcile.mint import reconciled_rows
from retail_spark.domains.forecast.series.aggregate import exact_sum, to_packed, to_periods
from retail_spark.domains.forecast.series.panel import ENORMOUS, KEYS
from retail_spark.domains.forecast.settling import Frame
from retail_spark.tables.values import QUANTILES

_NOT_ABOVE = ("store_product",)
_BY_PRODUCT = "svd_seasonal"


def above(levels: Sequence[str]) -> list[str]:
    """The levels that are sums of several series."""
    return [level for level in levels if level not in _NOT_ABOVE]


def recipe_above(recipe: Recipe) -> Recipe:
    """The local models alone: a sum over products has no price."""
    models = tuple(name for name in recipe.models if not name.startswith(_BY_PRODUCT))
    return replace(recipe, models=models, global_model=False)


def to_packed_above(packed: DataFrame, *, levels: Sequence[str], frame: Frame) -> DataFrame:
    """One packed row per level (as store_id) and member (as product_id): the sums of their series that are sound."""
    is_sound = ~F.exists("quantity", lambda q: ~F.isnan(q) & (F.abs(q) > ENORMOUS))
    known = packed.where(is_sound).select(
        *KEYS, "category", "region", F.explode(F.arrays_zip("period", "quantity")).alias("_row")
    ).select(*KEYS, "category", "region", "_row.*")  # fmt: skip
    is_past = (F.col("period") <= frame.end) & ~F.isnan("quantity")
    members = known.where(is_past).transform(with_members, levels=above(levels))
    sums = members.groupBy(F.col("level").alias("store_id"), F.col("member").alias("product_id"), "period").agg(
        exact_sum(F.col("quantity")).alias("quantity")
    )
    return to_packed(
        to_periods(sums), products=None, stores=None, clock=frame.recipe.clock, end=frame.end, history=frame.periods,
        future=frame.recipe.reach, closed_periods=frame.periods, buckets=frame.buckets,
    )  # fmt: skip


def to_reconciled(
    forecasts: DataFrame, *, chosen: DataFrame, chosen_above: DataFrame, levels: Sequence[str], frame: Frame
) -> DataFrame:
    """The forecasts with means that fit what the levels above say; quantiles move along. One group a date.

    A series that sells nothing any more does not move, nor does one that failed: it is in no sum above. A member
    above that failed has no say.
    """
    names = above(levels)
    bottom = _by_step(chosen, frame=frame).select(
        F.lit("").alias("level"), F.lit("").alias("member"), *KEYS, "step", "mean", "variance", "status",
        *(member_of(level).alias(f"in_{level}") for level in names),
    )  # fmt: skip
    blank = F.lit(None).cast("string")
    upper = _by_step(chosen_above.where("status != 'failed'"), frame=frame).select(
        F.col("store_id").alias("level"), F.col("product_id").alias("member"), *(blank.alias(key) for key in KEYS),
        "step", "mean", "variance", "status", *(blank.alias(f"in_{level}") for level in names),
    )  # fmt: skip
    schema = T.StructType(
        [*(T.StructField(key, T.StringType()) for key in KEYS), T.StructField("step", T.IntegerType()),
         T.StructField("reconciled", T.DoubleType())]
    )  # fmt: skip

    def draw(rows: pd.DataFrame) -> pd.DataFrame:
        return reconciled_rows(rows, levels=names)[schema.names]

    moved = bottom.unionByName(upper).groupBy("step").applyInPandas(draw, schema)
    joined = forecasts.join(moved, [*KEYS, "step"], how="inner")  # one to one: both have a row a series and step
    shift = F.col("reconciled") - F.col("mean")
    quantiles = {name: F.greatest(F.col(name) + shift, F.lit(0.0)) for name in QUANTILES}
    return joined.withColumns({**quantiles, "mean": F.col("reconciled")}).drop("reconciled")


def _by_step(chosen: DataFrame, *, frame: Frame) -> DataFrame:
    """One row per series and step: mean, and variance of what was erred in the backtest."""
    first = frame.recipe.leads[0]
    rows = chosen.withColumn("variance", F.when(F.col("model_all") == "zero", F.lit(0.0)).otherwise(_variance()))
    kept = [*KEYS, "category", "region", "variance", "status"]
    exploded = rows.select(*kept, F.posexplode("mean_all").alias("_at", "mean"))
    return exploded.withColumn("step", (F.col("_at") + first).cast("int"))


def _variance() -> Column:
    errors = F.filter("errors_all", lambda e: e.isNotNull() & ~F.isnan(e))
    squares = F.aggregate(errors, F.lit(0.0), lambda total, e: total + e * e)
    count = F.size(errors)
    return F.when(count > 0, squares / count).otherwise(F.lit(1.0)) * F.col("scale_all") * F.col("scale_all")
