"""Why a supplier stands where it stands, in words. DataFrame to DataFrame."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.frames.sums import exact_mean
from retail_spark.tables.values import CONTRIBUTION_BASE as BASE

_LEAST_WEIGHT = 0.05
"""Log odds below which a contribution is not worth a word."""


def to_open_lines(scored: DataFrame, *, most: int) -> DataFrame:
    """One row per supplier_id with an open line: open_deliveries, overdue_deliveries, p_open (mean P(late)), told.

    What is overdue is late for certain and belongs into the mean: who delivers nothing must not look good. `told`
    are the `most` groups of columns whose contributions raise the log odds most, on the mean of the lines ahead.
    """
    ahead = scored.where(~F.col("is_overdue"))
    counted = scored.groupBy("supplier_id").agg(
        F.count(F.lit(1)).alias("open_deliveries"),
        F.count_if("is_overdue").alias("overdue_deliveries"),
        exact_mean(F.col("p_late"), scale=15).alias("p_open"),
    )
    parts = ahead.select("supplier_id", F.explode("contributions").alias("name", "part")).where(F.col("name") != BASE)
    means = parts.groupBy("supplier_id", "name").agg(exact_mean(F.col("part"), scale=6).alias("part"))
    by_supplier = W.partitionBy("supplier_id").orderBy(F.desc("part"), "name")
    ranked = means.where(F.col("part") >= _LEAST_WEIGHT).withColumn("rank", F.row_number().over(by_supplier))
    kept = ranked.where(F.col("rank") <= most)
    told = kept.groupBy("supplier_id").agg(
        F.sort_array(F.collect_list(F.struct("rank", _raises().alias("text")))).alias("told")
    )
    texts = told.select("supplier_id", F.transform("told", lambda t: t.text).alias("told"))
    return counted.join(texts, "supplier_id", how="left")


def _raises() -> Column:
    percent = F.round((F.exp("part") - 1) * 100).cast("int")
    return F.format_string("%s raises the odds of being late by %d %%", _in_words(F.col("name")), percent)


def _in_words(name: Column) -> Column:
    plain = F.regexp_replace(name, "_", " ")
    history = F.regexp_replace(
        F.regexp_replace(plain, "^history of all$", "recent lateness of all suppliers"),
        "^history of ",
        "past lateness by ",
    )
    return F.regexp_replace(F.regexp_replace(history, " x ", " and "), " id\\b", "")


def with_reasons(suppliers: DataFrame) -> DataFrame:
    """Adds reasons: overdue lines, a change, what the model says, single source, and always the rate itself."""
    overdue = F.format_string("%d open lines are past the day promised", "overdue_deliveries")
    words = F.when(F.col("changed_what") == "late_up", "late more often").when(
        F.col("changed_what") == "late_down", "late less often"
    )
    words = words.when(F.col("changed_what") == "slower", "slower").otherwise("faster")
    changed = F.format_string("%s since about %s", words, F.col("changed_on").cast("string"))
    percent = F.round(F.col("late_rate") * 100, 1)
    overall = F.round(F.col("late_rate_all") * 100, 1)
    shipments = F.col("deliveries") + F.col("overdue")
    rate = F.format_string("%.1f %% of %d shipments late (all suppliers: %.1f %%)", percent, shipments, overall)
    single = F.lit("the only source of something it supplies")
    flags = F.array(
        F.when(F.col("overdue_deliveries") > 0, overdue),
        F.when(F.col("changed_on").isNotNull(), changed),
    )
    wrong = F.format_string("%d lines were ordered after they came: no lead time of theirs", "contradictory_lines")
    odd = F.when(F.col("contradictory_lines") > 0, wrong)
    rest = F.array(F.when(F.col("is_single_source"), single), odd, rate)
    told = F.coalesce("told", F.array().cast("array<string>"))
    return suppliers.withColumn("reasons", F.filter(F.concat(flags, told, rest), lambda text: text.isNotNull()))
