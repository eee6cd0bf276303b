"""Queries over local Delta tables without Spark, for small answers: in milliseconds where a JVM takes seconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deltalake import DeltaTable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def queried(sql: str, tables: Mapping[str, DeltaTable]) -> list[dict[str, Any]]:
    """The rows of a query in DataFusion's SQL; times are UTC."""
    import pyarrow as pa
    from deltalake import QueryBuilder

    engine = QueryBuilder()
    for name, table in tables.items():
        engine.register(name, table)
    # pyarrow's own table() and its times load pandas, which costs more than the query
    found = pa.RecordBatchReader.from_stream(engine.execute(sql)).read_all()
    columns: dict[str, list[Any]] = {}
    for field in found.schema:
        values = found.column(field.name)
        if pa.types.is_timestamp(field.type):
            numbers = values.cast(pa.timestamp("us", field.type.tz)).cast(pa.int64()).to_pylist()
            columns[field.name] = [None if n is None else _EPOCH + timedelta(microseconds=n) for n in numbers]
        else:
            columns[field.name] = values.to_pylist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
