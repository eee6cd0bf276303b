"""What a table holds, as one number: equal tables have equal hashes, whatever the order and layout of rows."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.lake.contract import LINEAGE

LEFT_OUT = tuple(column.name for column in LINEAGE)


def content_hash(frame: DataFrame, *, leave_out: Sequence[str] = LEFT_OUT) -> str:
    """Count and summed 128-bit row hash of the frame, without the columns of lineage."""
    halves = [half.cast("decimal(38,0)") for half in row_hashes(frame.schema, leave_out=leave_out)]
    row = frame.select(*[half.alias(f"h{i}") for i, half in enumerate(halves)])
    total = row.agg(F.count("*").alias("n"), F.sum("h0").alias("h0"), F.sum("h1").alias("h1")).collect()[0]
    high, low = (int(total[half] or 0) % 2**64 for half in ("h0", "h1"))
    return f"{total['n']}:{high:016x}{low:016x}"


def row_hashes(schema: T.StructType, *, leave_out: Sequence[str] = LEFT_OUT) -> tuple[Column, Column]:
    """Two 64-bit hashes of a row's content, independent of each other."""
    fields = sorted((f for f in schema if f.name not in leave_out), key=lambda f: f.name)
    columns = [_hashable(field) for field in fields]
    # xxhash64 passes over NULL: without this, (1, NULL) and (NULL, 1) would be equal.
    nulls = F.concat(*[F.col(f.name).isNull().cast("int").cast("string") for f in fields])
    return F.xxhash64(F.lit(1), nulls, *columns), F.xxhash64(F.lit(2), nulls, *columns)


def _hashable(field: T.StructField) -> Column:
    """Maps have no hash in Spark; their sorted entries have."""
    column = F.col(field.name)
    return F.array_sort(F.map_entries(column)) if isinstance(field.dataType, T.MapType) else column
