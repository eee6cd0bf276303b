"""Deletes people's rows. A DELETE starts a new epoch of its table: a later append is not taken for a repeated one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retail_spark.lake.commits import marked
from retail_spark.lake.contracts import Contract
from retail_spark.lake.names import TableName
from retail_spark.lake.store import Lake, text_literal

# How an id stands in a subject column: as the value; in the JSON of a raw row; behind column= in a rule's detail.
_FINDS = {
    "raw": "exists({told}, t -> contains({column}, t))",
    "detail": "exists({ids}, i -> contains(concat({column}, ','), concat('=', i, ',')))",
}
_IS_ONE = "array_contains({ids}, {column})"


@dataclass(frozen=True)
class Erased:
    """What an erasure took from one table."""

    table: str
    rows: int


def erase_from(lake: Lake, contract: Contract, ids: Sequence[str], *, run_id: str) -> Erased | None:
    """Deletes the rows of which a subject column names one of the ids; None when the table is not there.

    Rows in quarantine are found by the raw value: an id that a mapping makes of several raw columns is not.
    """
    if not contract.subjects or not lake.exists(contract.table):
        return None
    there = lake.read(contract.table).columns
    told = [json.dumps(i, ensure_ascii=False) for i in ids]
    tests = [
        _FINDS.get(name, _IS_ONE).format(column=TableName.of(name).quoted, ids=_texts(ids), told=_texts(told))
        for name in contract.subjects
        if name in there
    ]
    where = " OR ".join(f"coalesce({test}, false)" for test in tests) or "false"
    counted = lake.spark.sql(f"SELECT count(*) AS n FROM {lake.ref(contract.table)} WHERE {where}")
    rows = int(counted.collect()[0]["n"])
    if rows:
        with marked(lake, run_id):
            lake.spark.sql(f"DELETE FROM {lake.ref(contract.table)} WHERE {where}").collect()
    return Erased(contract.name, rows)


def erase_stages(lake: Lake, *, but: str) -> int:
    """Removes what other runs have staged: runs that were killed leave copies of rows there. Returns how many runs.

    A run that is at work meanwhile fails, and is to be started again.
    """
    if lake.catalog:
        schema = TableName.of(lake.catalog, "staging").quoted
        if not lake.spark.catalog.databaseExists(schema):
            return 0
        found = [row["tableName"] for row in lake.spark.sql(f"SHOW TABLES IN {schema}").collect()]
        others = [name for name in found if not name.startswith(f"{but}_".lower())]
        for name in others:
            lake.spark.sql(f"DROP TABLE IF EXISTS {TableName.of(lake.catalog, 'staging', name).quoted}")
        return len(others)
    folder = Path(lake.root) / "_staging"
    stages = [stage for stage in folder.iterdir() if stage.name != but] if lake.is_local and folder.is_dir() else []
    for stage in stages:
        shutil.rmtree(stage, ignore_errors=True)
    return len(stages)


def _texts(values: Sequence[str]) -> str:
    """A SQL array of literals: Delta's DELETE takes no subquery."""
    return f"array({', '.join(text_literal(value) for value in values)})"
