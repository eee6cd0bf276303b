"""Journals: the small tables of ops, added to at the end of every run and read at its beginning.

On a local lake they are appended and read as the Delta tables they are, by the library `deltalake`, in milliseconds and
without Spark; Spark reads them as any other table. On a catalog, in object storage, and for a table that asks for more
than the library writes (clustering, CHECK constraints), Spark does both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.errors import ContractError
from retail_spark.frames.local_rows import arrow_table, frame_of_rows
from retail_spark.lake.commit import carry_out, epoch
from retail_spark.lake.conflicts import retried
from retail_spark.lake.contract import DOUBLE, Contract
from retail_spark.lake.delta_log import opened
from retail_spark.lake.lake import Lake
from retail_spark.lake.without_spark import queried
from retail_spark.lake.write import append_once

if TYPE_CHECKING:
    from deltalake import DeltaTable

Rows = Sequence[Mapping[str, Any]]
_WRITABLE = {"appendOnly", "invariants"}


def append_rows(lake: Lake, contract: Contract, rows: Rows, *, run_id: str) -> None:
    """Adds the rows exactly once a `run_id`, which nobody else may use at the same time. Creates the table.

    Raises ContractError for a NULL, a NaN or an infinity where the contract has none.
    """
    _check(contract, rows)
    retried(lambda: _append_once(lake, contract, rows, run_id=run_id), table=contract.name)


def _append_once(lake: Lake, contract: Contract, rows: Rows, *, run_id: str) -> None:
    table = _writable(lake, contract) if lake.has_local_logs else None
    if table is None:
        frame = frame_of_rows(lake.spark, rows, contract.schema).coalesce(1)
        carry_out(lake, append_once(contract, frame, journal=True), run_id=run_id)
        return
    from deltalake import CommitProperties, write_deltalake

    since = epoch(lake, contract.table)
    if any(commit.run_id == run_id and commit.version > since for commit in lake.commits(contract.table)):
        return
    write_deltalake(
        table,
        arrow_table(rows, contract.schema),
        mode="append",
        schema_mode="merge",  # a column that the contract gained
        commit_properties=CommitProperties(custom_metadata={"userMetadata": run_id}),
    )


def read_rows(
    lake: Lake, contract: Contract, *, where: Mapping[str, str], newest_by: str, most: int | None = None
) -> list[dict[str, Any]]:
    """The rows with these texts in these columns, the newest by `newest_by` first; none where there is no table."""
    if not lake.exists(contract.table):
        return []
    table = opened(lake.path(contract.table)) if lake.has_local_logs else None
    if table is not None and not table.protocol().reader_features:
        return _read_local(table, contract, where=where, newest_by=newest_by, most=most)
    frame = lake.read(contract.table)
    for name, text in where.items():
        frame = frame.where(F.col(name) == text)
    frame = frame.orderBy(F.desc(newest_by))
    return [row.asDict(recursive=True) for row in (frame if most is None else frame.limit(most)).collect()]


def _read_local(
    table: DeltaTable, contract: Contract, *, where: Mapping[str, str], newest_by: str, most: int | None
) -> list[dict[str, Any]]:
    texts = {name: text.replace("'", "''") for name, text in where.items()}
    condition = " AND ".join(
        [f"\"{contract.column(name).name}\" = '{text}'" for name, text in texts.items()] or ["true"]
    )
    order = f'ORDER BY "{contract.column(newest_by).name}" DESC' + ("" if most is None else f" LIMIT {int(most)}")
    found = queried(f"SELECT * FROM journal WHERE {condition} {order}", {"journal": table})
    return [{name: _plain(row.get(name), contract.column(name).type) for name in contract.names} for row in found]


def _plain(value: Any, kind: T.DataType) -> Any:
    """A value as a row of Spark has it: Arrow gives maps as pairs."""
    if value is None:
        return None
    if isinstance(kind, T.MapType):
        return dict(value)
    if isinstance(kind, T.ArrayType):
        return [_plain(item, kind.elementType) for item in value]
    if isinstance(kind, T.StructType):
        return {field.name: _plain(value[field.name], field.dataType) for field in kind}
    return value


def _check(contract: Contract, rows: Rows) -> None:
    for column in contract.columns:
        for row in rows:
            value = row[column.name]
            if value is None and not column.nullable:
                raise ContractError(f"{contract.name}.{column.name} may not be NULL.", fix="give it a value")
            if column.type == DOUBLE and value is not None and not math.isfinite(value):
                named = ", ".join(f"{key}={row[key]}" for key in contract.key)
                raise ContractError(f"{contract.name}.{column.name} is {value} ({named}).", fix="give a finite number")


def _writable(lake: Lake, contract: Contract) -> DeltaTable | None:
    """The table, made where it is not there yet; None where it asks for more of a writer than the library does."""
    path = lake.path(contract.table)
    if not lake.exists(contract.table):
        return _created(path, contract)
    table = opened(path)
    if table is None or not set(table.protocol().writer_features or ()) <= _WRITABLE:
        return None
    is_constrained = any(key.startswith("delta.constraints.") for key in table.metadata().configuration)
    return None if is_constrained else table


def _created(path: str, contract: Contract) -> DeltaTable:
    from deltalake import DeltaTable
    from deltalake.schema import Schema

    columns = Schema.from_json(contract.schema.json())
    stats = {"delta.dataSkippingStatsColumns": ",".join(contract.skipping_columns)}
    return DeltaTable.create(path, columns, mode="ignore", description=contract.grain, configuration=stats)
