"""Cohorts of first purchase and curves of waiting: many small sums, and numpy on what is left of them."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.frames.sums import exact_sum
from retail_spark.stats.survival import kaplan_meier
from retail_spark.tables.values import EVERYTHING

CURVE_COLUMNS = ("curve", "member", "week", "at_risk", "events", "survival", "survival_low", "survival_high")
_MOST_MEMBERS = 50


def to_cohorts(days: DataFrame, histories: DataFrame, *, as_of: date) -> DataFrame:
    """Rows of gold.cohort_retention: every month of every cohort, also those in which nobody came."""
    first = histories.select("customer_id", F.trunc("first_day", "month").alias("cohort"))
    sizes = first.groupBy("cohort").agg(F.count(F.lit(1)).alias("customers"))
    seen = days.where(F.col("day") <= F.lit(as_of)).join(first, on="customer_id", how="inner")
    month = F.trunc("day", "month").alias("month")
    sums = seen.where(F.col("day") >= F.col("cohort")).groupBy("cohort", month).agg(
        F.count_distinct(F.when(F.col("has_bought"), F.col("customer_id"))).alias("active_customers"),
        exact_sum(F.col("spend"), scale=6).alias("revenue"),
    )  # fmt: skip
    months = F.sequence(F.col("cohort"), F.lit(as_of), F.expr("INTERVAL 1 MONTH"))
    grid = sizes.withColumn("month", F.explode(months))
    rows = grid.join(sums, on=["cohort", "month"], how="left").fillna({"active_customers": 0, "revenue": 0.0})
    so_far = W.partitionBy("cohort").orderBy("month").rowsBetween(W.unboundedPreceding, 0)
    spent = exact_sum(F.col("revenue"), scale=6, over=so_far)
    return rows.withColumns({
        "months_since": F.months_between("month", "cohort").cast("int"),
        "retention": F.col("active_customers") / F.col("customers"),
        "revenue_per_customer": F.col("revenue") / F.col("customers"),
        "cumulative_revenue_per_customer": spent / F.col("customers"),
        "is_complete": F.last_day("month") <= F.lit(as_of),
    })  # fmt: skip


def second_purchases(days: DataFrame, histories: DataFrame, *, as_of: date) -> pd.DataFrame:
    """Weeks until customers came again, or have waited so far: counts by store of the first purchase and for all."""
    own = histories.select("customer_id", "first_day", "store_id")
    later = days.where(F.col("has_bought")).join(own.drop("store_id"), on="customer_id", how="inner")
    second = later.where(F.col("day") > F.col("first_day")).groupBy("customer_id").agg(F.min("day").alias("_second"))
    waited = F.datediff(F.coalesce("_second", F.lit(as_of)), "first_day")
    rows = own.join(second, on="customer_id", how="left").select(
        F.col("store_id").alias("member"),
        F.floor(waited / 7).cast("int").alias("week"),
        F.col("_second").isNotNull().alias("is_event"),
    )
    return _counted(rows)


def subscription_ends(subscriptions: DataFrame, *, as_of: date) -> pd.DataFrame:
    """Weeks until subscriptions ended, or have run so far: counts by plan and for all."""
    has_ended = F.coalesce(F.col("ended_on") <= F.lit(as_of), F.lit(False))
    ran = F.datediff(F.when(has_ended, F.col("ended_on")).otherwise(F.lit(as_of)), "started_on")
    return _counted(
        subscriptions.select(
            F.coalesce("plan", F.lit("unknown")).alias("member"),
            F.floor(ran / 7).cast("int").alias("week"),
            has_ended.alias("is_event"),
        )
    )


def _counted(rows: DataFrame) -> pd.DataFrame:
    counts = rows.groupBy("member", "week", "is_event").agg(F.count(F.lit(1)).alias("n")).toPandas()
    counts["member"] = counts["member"].fillna("unknown")
    counts = counts.sort_values(["member", "week", "is_event"], ignore_index=True)
    largest = counts.groupby("member")["n"].sum().sort_values(ascending=False, kind="stable").index[:_MOST_MEMBERS]
    everybody = counts.assign(member=EVERYTHING)
    return pd.concat([everybody, counts[counts["member"].isin(largest)]], ignore_index=True)


def to_curves(counts: pd.DataFrame, *, curve: str) -> pd.DataFrame:
    """Rows of gold.survival_curves, from counts by member, week and whether the event came."""
    found = []
    for member, rows in counts.groupby("member", sort=True):
        one = kaplan_meier(*(rows[name].to_numpy(dtype=np.float64) for name in ("week", "is_event", "n")))
        found.append(pd.DataFrame({
            "curve": curve, "member": member, "week": one.duration.astype(np.int32),
            "at_risk": one.at_risk.round().astype(np.int64), "events": one.events.round().astype(np.int64),
            "survival": one.survival, "survival_low": one.low, "survival_high": one.high,
        }))  # fmt: skip
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(CURVE_COLUMNS))
