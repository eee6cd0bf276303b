"""The levels above store and product: sums of the forecasts, and intervals from what the sums erred before."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.forecast.settling import SHARES
from retail_spark.frames.sums import exact_sum
from retail_spark.tables.values import QUANTILES


def with_members(rows: DataFrame, *, levels: Sequence[str]) -> DataFrame:
    """One row per row and level: adds level and member."""
    each = [F.struct(F.lit(level).alias("level"), member_of(level).alias("member")) for level in levels]
    return rows.withColumn("_m", F.explode(F.array(*each))).select("*", "_m.level", "_m.member").drop("_m")


def member_of(level: str) -> Column:
    """Who a series belongs to at a level."""
    whole = {"total": F.lit("*"), "store_product": F.concat_ws(" | ", _escaped("store_id"), _escaped("product_id"))}
    ids = {"product": "product_id", "store": "store_id", "category": "category", "region": "region"}
    return whole[level] if level in whole else F.col(ids[level])


def _escaped(name: str) -> Column:
    """An id in which no bar stands by itself, so that two pairs of ids are never one text."""
    return F.replace(F.replace(F.col(name), F.lit("\\"), F.lit("\\\\")), F.lit("|"), F.lit("\\|"))


def to_levels(forecasts: DataFrame, chosen: DataFrame, *, levels: Sequence[str], model: str) -> DataFrame:
    """One row per level, member and period ahead: mean is the sum of the forecasts below it."""
    sums = forecasts.transform(with_members, levels=levels).groupBy("level", "member", "date", "step")
    means = sums.agg(fine_sum("mean").alias("mean"))
    spread = to_spread(chosen, levels=levels)
    joined = means.join(F.broadcast(spread), "level", how="left")  # many to one: a row a level
    no_error = F.array(*(F.lit(0.0) for _ in SHARES))
    error = F.coalesce("q", no_error)
    columns = {name: F.greatest(F.col("mean") * (1 + error[k]), F.lit(0.0)) for k, name in enumerate(QUANTILES)}
    rows = joined.withColumns(columns).transform(_with_mean_inside).withColumn("model", F.lit(model))
    return rows.withColumns({"status": F.lit("ok"), "error": F.lit(None).cast("string")}).drop("q")


def _with_mean_inside(rows: DataFrame) -> DataFrame:
    """Intervals that hold their mean."""
    ends = {n: F.least(n, "mean") if s < 0.5 else F.greatest(n, "mean") for n, s in QUANTILES.items() if s != 0.5}
    return rows.withColumns(ends)


def fine_sum(name: str) -> Column:
    """A sum that no order of its parts changes, fine enough for levels to add up to 1e-6."""
    return exact_sum(F.col(name), scale=14)


def to_level_errors(chosen: DataFrame, *, levels: Sequence[str]) -> DataFrame:
    """One row per level: wape of its members' sums in the held-out window, of all that is known there."""
    sums = _sums(chosen, "actual", "mean_early", levels=levels)
    error = F.abs(F.col("actual") - F.col("foretold"))
    return sums.groupBy("level").agg((exact_sum(error, scale=10) / exact_sum(F.col("actual"), scale=10)).alias("wape"))


def to_spread(chosen: DataFrame, *, levels: Sequence[str]) -> DataFrame:
    """One row per level: quantiles of what its members' sums erred in the backtest, as shares of what was foretold."""
    sums = _sums(chosen, "history", "backtest", levels=levels)
    error = (F.col("actual") - F.col("foretold")) / F.col("foretold")
    told = sums.where(F.col("foretold") > 0).select("level", error.alias("error"))
    return told.groupBy("level").agg(F.percentile("error", F.array(*map(F.lit, SHARES))).alias("q"))


def _sums(chosen: DataFrame, actual: str, foretold: str, *, levels: Sequence[str]) -> DataFrame:
    """One row per level, member and place in the arrays: actual and foretold, where the actual is known."""
    pair = F.transform(F.arrays_zip(actual, foretold), lambda p: F.struct(p[actual].alias("a"), p[foretold].alias("f")))
    long = chosen.select("store_id", "product_id", "category", "region", F.posexplode(pair))
    is_known = ~F.isnan("col.a") & F.col("col.a").isNotNull()
    members = long.where(is_known).transform(with_members, levels=levels)
    sums = members.groupBy("level", "member", "pos")
    return sums.agg(fine_sum("col.a").alias("actual"), fine_sum("col.f").alias("foretold"))
