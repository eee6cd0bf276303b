"""From outcomes and sales to one value per unit and metric, counted from each unit's own assignment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.experiments.settings import Metric
from retail_spark.frames.sums import exact_sum

LARGEST = 1e9
"""Larger values are no measurements: their squares could not be summed exactly."""
_DECIMALS = 6
_DAY = 86_400


def to_facts(outcomes: DataFrame, sales: DataFrame | None) -> DataFrame:
    """One row per measurement: experiment_id (NULL for sales: any), unit_id, source, measure, value, at."""
    measured = outcomes.select(
        "experiment_id", "unit_id", F.lit("outcomes").alias("source"), F.col("metric").alias("measure"), "value",
        F.col("measured_at").alias("at"),
    )  # fmt: skip
    if sales is None:
        return measured
    bought = sales.where(F.col("customer_id").isNotNull())
    receipt = F.coalesce("order_id", "sale_id")
    orders = bought.where(F.col("quantity") > 0).groupBy("customer_id", "store_id", receipt.alias("receipt"))
    parts = [
        bought.select(*_of_sales("revenue", F.col("quantity") * F.col("unit_price"), F.col("sold_at"))),
        bought.select(*_of_sales("units", F.col("quantity"), F.col("sold_at"))),
        orders.agg(F.min("sold_at").alias("sold_at")).select(*_of_sales("orders", F.lit(1.0), F.col("sold_at"))),
    ]
    for part in parts:
        measured = measured.unionByName(part)
    return measured


def _of_sales(measure: str, value: Column, at: Column) -> list[Column]:
    return [
        F.lit(None).cast("string").alias("experiment_id"), F.col("customer_id").alias("unit_id"),
        F.lit("sales").alias("source"), F.lit(measure).alias("measure"), value.cast("double").alias("value"),
        at.alias("at"),
    ]  # fmt: skip


def to_values(
    facts: DataFrame, units: DataFrame, *, metrics: Mapping[str, Metric], as_of: date, wanted: Column
) -> DataFrame:
    """One row per experiment, unit and metric, with the four variables of the delta method.

    Further columns: entered_on (the day on which its window was over), is_pending, has_outcome, has_early, is_huge,
    and the unit's variant, cluster and stratum. `wanted` says of a pair of experiment and metric that it is looked at.
    """
    of_outcomes = facts.where(F.col("experiment_id").isNotNull())
    joined = units.join(of_outcomes, on=["experiment_id", "unit_id"], how="left")
    if any(metric.source == "sales" for metric in metrics.values()):
        of_sales = facts.where(F.col("experiment_id").isNull()).drop("experiment_id")
        joined = joined.unionByName(units.join(of_sales, on="unit_id", how="inner"))
    since = (F.col("at").cast("double") - F.col("assigned_at").cast("double")) / _DAY
    keys = ["experiment_id", "unit_id", "variant", "assigned_at", "cluster_id", "stratum"]
    sums = [column for name, metric in metrics.items() for column in _sums(name, metric, since)]
    wide = joined.groupBy(*keys).agg(*sums)
    structs = F.explode(F.array(*[_struct(name, metric, as_of=as_of) for name, metric in metrics.items()]))
    long = wide.select("experiment_id", "unit_id", "variant", "cluster_id", "stratum", structs.alias("s"))
    return long.select("*", "s.*").drop("s").where(wanted)


def _sums(name: str, metric: Metric, since: Column) -> list[Column]:
    until = F.lit(True) if metric.until_days is None else since <= F.lit(metric.until_days)
    is_inside = (since >= F.lit(metric.from_days)) & until
    is_before = (since < 0) & (since >= F.lit(-metric.covariate_days))
    is_source = F.col("source") == F.lit(metric.source)

    def total(measure: str | None, when: Column, alias: str) -> Column:
        is_counted = is_source & (F.col("measure") == F.lit(measure)) & when & (F.abs("value") <= F.lit(LARGEST))
        return F.coalesce(exact_sum(F.when(is_counted, F.col("value")), scale=_DECIMALS), F.lit(0.0)).alias(alias)

    is_value = is_source & (F.col("measure") == F.lit(metric.value))
    return [
        total(metric.value, is_inside, f"{name}.value"),
        total(metric.denominator, is_inside, f"{name}.denominator"),
        total(metric.value, is_before, f"{name}.covariate"),
        total(metric.denominator, is_before, f"{name}.covariate_denominator"),
        F.coalesce(F.bool_or(is_value & is_inside), F.lit(False)).alias(f"{name}.has_outcome"),
        F.coalesce(F.bool_or(is_value & (since < 0)), F.lit(False)).alias(f"{name}.has_early"),
        F.coalesce(F.bool_or(is_value & (F.abs("value") > F.lit(LARGEST))), F.lit(False)).alias(f"{name}.is_huge"),
    ]


def _struct(name: str, metric: Metric, *, as_of: date) -> Column:
    def of(part: str) -> Column:
        return F.col(f"`{name}.{part}`")

    value, covariate = of("value"), of("covariate")
    if metric.kind == "proportion":
        value, covariate = ((column > 0).cast("double") for column in (value, covariate))
    is_ratio = metric.kind == "ratio"
    one = F.lit(1.0)
    over = F.col("assigned_at").cast("double") + F.lit((metric.until_days or 0.0) * _DAY)
    end = datetime.combine(as_of + timedelta(days=1), time(), tzinfo=UTC)
    return F.struct(
        F.lit(name).alias("metric"),
        value.alias("value"),
        (of("denominator") if is_ratio else one).alias("denominator"),
        covariate.alias("covariate"),
        (of("covariate_denominator") if is_ratio and metric.covariate_days else one).alias("covariate_denominator"),
        F.to_date(over.cast("timestamp")).alias("entered_on"),
        (over >= F.unix_timestamp(F.lit(end)).cast("double")).alias("is_pending"),
        *[of(part).alias(part) for part in ("has_outcome", "has_early", "is_huge")],
    )


def with_winsorised(values: DataFrame, *, metrics: Mapping[str, Metric]) -> DataFrame:
    """The values of metrics that say so, cut at the quantile of all variants of an experiment together."""
    shares = {name: metric.winsorised_above for name, metric in metrics.items() if metric.winsorised_above < 1}
    if not shares:
        return values
    caps = [
        values.where((F.col("metric") == F.lit(name)) & ~F.col("is_pending"))
        .groupBy("experiment_id", "metric")
        .agg(F.percentile("value", share).alias("_cap"))
        for name, share in shares.items()
    ]
    all_caps = caps[0]
    for cap in caps[1:]:
        all_caps = all_caps.unionByName(cap)
    joined = values.join(F.broadcast(all_caps), on=["experiment_id", "metric"], how="left")
    return joined.withColumn("value", F.least("value", "_cap")).drop("_cap")
