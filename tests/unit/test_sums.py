"""Sums that do not depend on how rows lie in partitions."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.frames.sums import exact_mean, exact_sum

VALUES = [0.1, 1e9 + 0.3, -1e9, 0.7, 1e-3, None, 123.456] * 40


def test_the_order_of_rows_changes_nothing_where_it_changes_a_plain_sum(spark: SparkSession) -> None:
    plain, exact = set(), set()
    for values in (VALUES, VALUES[::-1], sorted(VALUES, key=lambda v: v or 0.0)):
        rows = frame_of_rows(spark, [(v,) for v in values], "v double").coalesce(1)
        total = rows.agg(F.sum("v").alias("plain"), exact_sum(F.col("v"), scale=9).alias("exact")).collect()[0]
        plain.add(total["plain"])
        exact.add(total["exact"])
    assert len(plain) > 1, "these values tell the two apart"
    assert len(exact) == 1
    assert exact.pop() == pytest.approx(40 * (0.1 + 0.3 + 0.7 + 1e-3 + 123.456), abs=1e-6)


def test_means_windows_and_nothing_at_all(spark: SparkSession) -> None:
    rows = frame_of_rows(spark, [("a", 1.0), ("a", 2.0), ("b", None)], "k string, v double")
    found = rows.groupBy("k").agg(exact_mean(F.col("v"), scale=6).alias("m"), exact_sum(F.col("v"), scale=6).alias("s"))
    assert {row["k"]: (row["m"], row["s"]) for row in found.collect()} == {"a": (1.5, 3.0), "b": (None, None)}
    over = rows.select("k", exact_sum(F.col("v"), scale=6, over=W.partitionBy("k")).alias("s")).collect()
    assert sorted((row["k"], row["s"] or 0.0) for row in over) == [("a", 3.0), ("a", 3.0), ("b", 0.0)]
