"""Values to exact sums by group: the one pass over all units. What leaves Spark does not grow with them."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.experiments.models.cells import Cell
from retail_spark.stats.delta_method import VARIABLES
from retail_spark.stats.moments import ExactSums, pairs

_PAIRS = pairs(len(VARIABLES))
_DECIMAL = "decimal(38,12)"


def to_clusters(values: DataFrame) -> DataFrame:
    """One row per experiment, metric, variant and cluster (the unit itself where it has none): sums over its units."""
    cluster = F.coalesce("cluster_id", "unit_id").alias("unit_id")
    grouped = values.where(~F.col("is_pending")).groupBy("experiment_id", "metric", "variant", cluster)
    waiting = values.where("is_pending").withColumn("stratum", F.lit(None).cast("string"))
    sums = grouped.agg(
        *[F.sum(F.col(name).cast(_DECIMAL)).cast("double").alias(name) for name in VARIABLES],
        F.max("entered_on").alias("entered_on"),
        F.lit(False).alias("is_pending"),
        F.bool_or("has_outcome").alias("has_outcome"),
        F.bool_or("has_early").alias("has_early"),
        F.bool_or("is_huge").alias("is_huge"),
        F.lit(None).cast("string").alias("stratum"),
    )
    return sums.unionByName(waiting.select(*sums.columns))


def to_sums(values: DataFrame) -> DataFrame:
    """One row per experiment, metric, variant, stratum and day of entry: exact sums and counts."""
    is_in = ~F.col("is_pending")

    def exact(value: Any) -> Any:
        return F.sum(F.when(is_in, value).cast(_DECIMAL))

    columns = [F.col(name) for name in VARIABLES]
    return values.groupBy("experiment_id", "metric", "variant", "stratum", "entered_on").agg(
        F.count_if(is_in).alias("units"),
        *[exact(column).alias(f"s{n}") for n, column in enumerate(columns)],
        *[exact(columns[a] * columns[b]).alias(f"p{n}") for n, (a, b) in enumerate(_PAIRS)],
        F.count_if("is_pending").alias("pending"),
        F.count_if(is_in & ~F.col("has_outcome")).alias("without_outcome"),
        F.count_if(is_in & F.col("has_early")).alias("with_early"),
        F.count_if("is_huge").alias("huge"),
    )


def cells_of(rows: Iterable[Any]) -> list[Cell]:
    """The collected sums (a row for each day, not for each unit)."""
    return [
        Cell(
            row["experiment_id"], row["metric"], row["variant"], row["stratum"], row["entered_on"],
            ExactSums(
                row["units"],
                tuple(Fraction(row[f"s{n}"] or 0) for n in range(len(VARIABLES))),
                tuple(Fraction(row[f"p{n}"] or 0) for n in range(len(_PAIRS))),
            ),
            row["pending"], row["without_outcome"], row["with_early"], row["huge"],
        )
        for row in rows
    ]  # fmt: skip
