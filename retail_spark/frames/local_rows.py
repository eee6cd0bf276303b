"""Rows of Python as a small DataFrame, through Arrow.

`createDataFrame` of a list pickles it: every query on it then starts Python workers, half a second and more for ten
rows. An Arrow table becomes part of the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema

Row = Mapping[str, Any] | Sequence[Any]


def frame_of_rows(spark: SparkSession, rows: Iterable[Row], schema: T.StructType | str) -> DataFrame:
    """One row per tuple (in the order of the schema) or mapping (a missing key is NULL). Naive times are UTC."""
    fields = schema_of(schema)
    return spark.createDataFrame(arrow_table(rows, fields), fields)


def schema_of(schema: T.StructType | str) -> T.StructType:
    """The schema that a DDL text such as `id string, value double` names."""
    return cast(T.StructType, T.StructType.fromDDL(schema)) if isinstance(schema, str) else schema


def arrow_table(rows: Iterable[Row], schema: T.StructType) -> Any:
    """The rows as an Arrow table with the columns and types of the schema."""
    import pyarrow as pa

    return pa.Table.from_pylist([_by_name(row, schema) for row in rows], to_arrow_schema(schema))


def _by_name(row: Any, kind: T.StructType) -> dict[str, Any]:
    if isinstance(row, Mapping):
        return {field.name: _to_arrow(row.get(field.name), field.dataType) for field in kind}
    return {field.name: _to_arrow(value, field.dataType) for field, value in zip(kind, row, strict=True)}


def _to_arrow(value: Any, kind: T.DataType) -> Any:
    """A value as Arrow takes it: maps as pairs, structs as mappings."""
    if value is None:
        return None
    if isinstance(kind, T.MapType):
        return [(key, _to_arrow(item, kind.valueType)) for key, item in dict(value).items()]
    if isinstance(kind, T.ArrayType):
        return [_to_arrow(item, kind.elementType) for item in value]
    if isinstance(kind, T.StructType):
        return _by_name(value, kind)
    if isinstance(kind, T.DoubleType | T.FloatType):
        return float(value)
    return value
