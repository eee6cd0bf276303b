"""How the three writers commit. Every commit carries the run id, so that a rerun recognises its own work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from threading import Lock

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.errors import ContractError
from retail_spark.lake.conflicts import retried
from retail_spark.lake.contract import LINEAGE, Contract
from retail_spark.lake.lake import Lake
from retail_spark.lake.table_name import TableName
from retail_spark.lake.write import SliceValue, Write

_USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
_DELETE = "__delete"
_FILES, _LEAST_ROWS, _MOST_ROWS = 64, 100_000, 2_000_000
"""Of a table laid out in order: so many files, of so many rows. A MERGE that touches one row writes its file again."""
# A table taken back or cut by hand needs the append again: these operations start a new epoch. A table that is added
# to is merged by nothing but an erasure.
_RAISES_EPOCH = ("RESTORE", "DELETE", "MERGE", "TRUNCATE", "CREATE OR REPLACE TABLE", "REPLACE TABLE", "CLONE")


@dataclass(frozen=True)
class Commit:
    """What a write left behind: the table's version after it."""

    table: str
    version: int


def carry_out(lake: Lake, write: Write, *, run_id: str) -> Commit:
    """Commits a staged write, again where another writer of the table was faster.

    Raises ContractError for a repeated key or a row outside the slice, LeaseHeldError when others are always faster.
    """
    writer = {"upsert": _upsert, "replace_slice": _replace_slice, "append_once": _append_once}[write.mode]

    def commit() -> None:
        lake.ensure(write.contract)
        writer(lake, write, run_id)

    retried(commit, table=write.contract.name)
    # Delta makes no commit where nothing changes, such as an empty slice that stays empty
    newest = next(lake.commits(write.contract.table)).version
    ours = (c.version for c in lake.commits(write.contract.table) if c.run_id == run_id)
    return Commit(write.contract.name, next(ours, newest))


def slice_condition(slice_: Mapping[str, SliceValue]) -> SparkColumn:
    """True for the rows of a slice."""
    condition = F.lit(True)
    for name, value in sorted(slice_.items()):
        condition = condition & (F.col(name) == F.lit(value))
    return condition


def check_unique(frame: DataFrame, *, key: tuple[str, ...], table: str) -> None:
    """Raises ContractError with up to three keys that the frame repeats."""
    repeated = frame.groupBy(*key).count().where(F.col("count") > 1).orderBy(*key).limit(3).collect()
    if repeated:
        examples = "; ".join(", ".join(f"{k}={row[k]}" for k in key) + f" ({row['count']} times)" for row in repeated)
        raise ContractError(f"{table}: rows share a key: {examples}.", fix="make the key unique before writing")


def _upsert(lake: Lake, write: Write, run_id: str) -> None:
    contract = write.contract
    names = contract.names
    source = contract.select(write.frame).withColumn(_DELETE, F.lit(False))
    if not write.is_checked:
        check_unique(source, key=contract.key, table=contract.name)
    if _is_new(lake, contract.table):
        # nothing to match and nothing to delete yet: a MERGE would cost several times as much
        _fill(lake, contract.table, source.drop(_DELETE), run_id)
        return
    deletes = write.delete is not None and (
        lake.staged_rows(write.delete) > 0 if write.is_checked else not write.delete.isEmpty()
    )
    if write.delete is not None and deletes:
        keys = write.delete.select(*contract.key).distinct().join(source, list(contract.key), how="left_anti")
        source = source.unionByName(keys.withColumn(_DELETE, F.lit(True)), allowMissingColumns=True)
    if not deletes and (source.isEmpty() if write.rows is None else not write.rows):
        return
    view = f"__upsert_{contract.table.parts[-1]}_{run_id}"
    source.createOrReplaceTempView(view)
    lineage = {column.name for column in LINEAGE}
    on = " AND ".join([*(f"t.{_q(k)} <=> s.{_q(k)}" for k in contract.key), *_bounds(write)])
    values = [n for n in names if n not in contract.key and n not in lineage]
    changed = " OR ".join(f"NOT ({_comparable(contract, 't', n)} <=> {_comparable(contract, 's', n)})" for n in values)
    update = ", ".join(f"t.{_q(n)} = s.{_q(n)}" for n in names if n not in contract.key)
    columns = ", ".join(_q(n) for n in names)
    try:
        with marked(lake, run_id):
            lake.spark.sql(
                f"MERGE INTO {lake.ref(contract.table)} t USING {_q(view)} s ON {on} "
                f"WHEN MATCHED AND s.{_q(_DELETE)} THEN DELETE "
                + (f"WHEN MATCHED AND ({changed}) THEN UPDATE SET {update} " if values else "")
                + f"WHEN NOT MATCHED AND NOT s.{_q(_DELETE)} THEN INSERT ({columns}) "
                f"VALUES ({', '.join(f's.{_q(n)}' for n in names)})"
            ).collect()
    finally:
        lake.spark.catalog.dropTempView(view)


def _deletes(lake: Lake, write: Write) -> bool:
    """Whether the write takes any key away. What a run has checked it has staged: the stage knows its rows."""
    if write.delete is None:
        return False
    return lake.staged_rows(write.delete) > 0 if write.is_checked else not write.delete.isEmpty()


def _bounds(write: Write) -> list[str]:
    """Conditions on the table's rows by `within`. Delta's MERGE takes no parameters: literals of datetimes, no text."""

    def literal(moment: datetime) -> str:
        return f"TIMESTAMP '{moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ')}+00:00'"

    ends = [(name, *map(literal, bounds)) for name, bounds in sorted(write.within.items())]
    return [f"t.{_q(name)} BETWEEN {low} AND {high}" for name, low, high in ends]


def _replace_slice(lake: Lake, write: Write, run_id: str) -> None:
    frame, condition = _laid_out(write), slice_condition(write.slice)
    if _is_new(lake, write.contract.table):
        # nothing to replace yet: Delta's search for rows to delete would cost more than the write
        refused = F.raise_error(F.lit(f"{write.contract.name}: a row is outside the slice {dict(write.slice)}"))
        _fill(lake, write.contract.table, frame.where(F.when(condition, True).otherwise(refused)), run_id)
        return
    old = _beyond_kept(lake, write)
    if old is not None:
        condition = condition | (F.col("as_of") <= F.lit(old))
    frame.writeTo(lake.ref(write.contract.table)).option("userMetadata", run_id).overwrite(condition)


def _laid_out(write: Write) -> DataFrame:
    """The frame; where order is asked for and worth a shuffle, sorted by the first clustering column."""
    frame, rows = write.contract.select(write.frame), write.rows or 0
    files = -(-rows // min(max(rows // _FILES, _LEAST_ROWS), _MOST_ROWS))
    if not write.in_order or files < 2:
        return frame
    first = write.contract.cluster_by[0]
    return frame.repartitionByRange(files, first).sortWithinPartitions(first)


def _is_new(lake: Lake, table: TableName) -> bool:
    """True for a table that was created and never written."""
    newest = next(lake.commits(table))
    return newest.version == 0 and newest.operation == "CREATE TABLE"


def _beyond_kept(lake: Lake, write: Write) -> date | None:
    """The newest as_of that a snapshot table no longer keeps, once this run's own is in; None when all are kept."""
    own = write.slice.get("as_of")
    if not write.contract.snapshot or not isinstance(own, date):
        return None
    if next(lake.commits(write.contract.table)).version < lake.keep_as_of:
        return None  # a commit brings one date at most
    dates = lake.read(write.contract.table).select("as_of").distinct().orderBy(F.desc("as_of"))
    kept = sorted({own, *(row["as_of"] for row in dates.limit(lake.keep_as_of + 1).collect())}, reverse=True)
    gone = [day for day in kept[lake.keep_as_of :] if day != own]
    return gone[0] if gone else None


def _append_once(lake: Lake, write: Write, run_id: str) -> None:
    table, since = write.contract.table, epoch(lake, write.contract.table)
    once = {"txnAppId": f"{run_id}:{write.contract.name}:{since}", "txnVersion": "1"}
    if write.journal and lake.has_local_logs:
        if any(c.run_id == run_id and c.version > since for c in lake.commits(table)):
            return
        once = {}
    _append(lake, table, write.contract.select(write.frame), run_id, once)


def _fill(lake: Lake, table: TableName, frame: DataFrame, run_id: str) -> None:
    """The first rows of a table. An overwrite: of two at once Delta refuses one, where it would take two appends."""
    frame.writeTo(lake.ref(table)).option("userMetadata", run_id).overwrite(F.lit(True))


def _append(lake: Lake, table: TableName, frame: DataFrame, run_id: str, options: Mapping[str, str]) -> None:
    writer = frame.write.format("delta").mode("append").option("userMetadata", run_id).options(**options)
    if lake.catalog:
        writer.saveAsTable(lake.ref(table))
    else:
        writer.save(lake.path(table))


def epoch(lake: Lake, table: TableName) -> int:
    """The version of the last commit after which an append that is known to Delta may have to be made again."""
    return next((c.version for c in lake.commits(table) if c.operation in _RAISES_EPOCH), 0)


@contextmanager
def marked(lake: Lake, run_id: str) -> Iterator[None]:
    """Commits of SQL statements inside carry the run id, in every thread; the last one out sets back what was before.

    The mark is a setting of the session. Two runs that share one at the same time would sign each other's commits:
    RuntimeError.
    """
    with _marking:
        mark = _marks.setdefault(id(lake.spark), _Mark(run_id, lake.spark.conf.get(_USER_METADATA, None)))
        if mark.run_id != run_id:
            raise RuntimeError(f"the session already signs commits of run {mark.run_id}, not of {run_id}")
        mark.holders += 1
        lake.spark.conf.set(_USER_METADATA, run_id)
    try:
        yield
    finally:
        with _marking:
            mark.holders -= 1
            if not mark.holders:
                del _marks[id(lake.spark)]
                if mark.before is None:
                    lake.spark.conf.unset(_USER_METADATA)
                else:
                    lake.spark.conf.set(_USER_METADATA, mark.before)


@dataclass
class _Mark:
    run_id: str
    before: str | None
    holders: int = 0


_marking = Lock()
_marks: dict[int, _Mark] = {}


def _q(name: str) -> str:
    return TableName.of(name).quoted


def _comparable(contract: Contract, side: str, name: str) -> str:
    """Maps cannot be compared in SQL; their sorted entries can."""
    column = f"{side}.{_q(name)}"
    is_map = isinstance(contract.column(name).type, T.MapType)
    return f"array_sort(map_entries({column}))" if is_map else column
