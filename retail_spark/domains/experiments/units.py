"""Assignments to units: each once, with its own time of assignment."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.experiments.settings import Plan


def to_units(assignments: DataFrame, *, plans: Mapping[str, Plan]) -> DataFrame:
    """One row per experiment and unit: variant, assigned_at (its first), cluster_id, stratum, n_variants.

    A unit in two variants keeps the first by name; n_variants tells of it.
    """
    named = assignments.withColumn("variant", _renamed(plans))
    return named.groupBy("experiment_id", "unit_id").agg(
        F.min("variant").alias("variant"),
        F.min("assigned_at").alias("assigned_at"),
        F.min("cluster_id").alias("cluster_id"),
        F.min("stratum").alias("stratum"),
        F.count_distinct("variant").alias("n_variants"),
    )


def to_groups(units: DataFrame) -> DataFrame:
    """One row per experiment and variant: units, crossed units (in two variants), clusters, and if there are strata."""
    is_single = F.col("n_variants") == 1
    return units.groupBy("experiment_id", "variant").agg(
        F.count_if(is_single).alias("units"),
        F.count_if(~is_single).alias("crossed"),
        F.count("cluster_id").alias("in_clusters"),
        F.count("stratum").alias("in_strata"),
    )


def to_split_clusters(units: DataFrame) -> DataFrame:
    """One row per experiment with clusters that lie in two variants: how many."""
    by_cluster = units.where(F.col("cluster_id").isNotNull()).groupBy("experiment_id", "cluster_id")
    split = by_cluster.agg(F.count_distinct("variant").alias("variants")).where(F.col("variants") > 1)
    return split.groupBy("experiment_id").agg(F.count(F.lit(1)).alias("split"))


def _renamed(plans: Mapping[str, Plan]) -> Column:
    found = F.col("variant")
    for experiment, plan in sorted(plans.items()):
        for old, new in sorted(plan.renamed.items()):
            is_old = (F.col("experiment_id") == F.lit(experiment)) & (F.col("variant") == F.lit(old))
            found = F.when(is_old, F.lit(new)).otherwise(found)
    return found
