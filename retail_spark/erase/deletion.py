"""Deletes people's rows. The delete starts a new epoch of its table: a later append is not taken for a repeated one.

The ids never stand in a statement: Delta keeps the condition of a DELETE in the table's log, and Spark keeps plans in
its event log. They are a frame of one row that the table is merged with.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.commit import marked
from retail_spark.lake.conflicts import retried
from retail_spark.lake.contract import Contract
from retail_spark.lake.lake import Lake
from retail_spark.lake.table_name import TableName

# How the id with the number k stands in a subject column: as the value; somewhere in the text of a quarantined row.
_IS_ONE = "s.ids[k] = t.{column}"
_STANDS_IN = "regexp_like(t.{column}, s.patterns[k])"
_TEXTS = ("raw", "detail")
_BEFORE, _AFTER = r"(?<![\p{L}\p{N}_@-])(?<![\p{L}\p{N}]\.)", r"(?![\p{L}\p{N}_@-]|\.[\p{L}\p{N}])"
_VIEW = "__leaving"


@dataclass(frozen=True)
class Erased:
    """What an erasure took from one table."""

    table: str
    rows: int
    met: frozenset[str] = frozenset()
    """The ids that stood in those rows."""


def erase_from(lake: Lake, contract: Contract, ids: Sequence[str], *, run_id: str) -> Erased | None:
    """Deletes the rows of which a subject column names one of the ids; None when the table is not there.

    Rows in quarantine are found by their raw text, in which the id stands between signs that are no part of a word: in
    lines that could not be parsed and in nested JSON as well. An id that a mapping makes of several raw columns is not
    found there.
    """
    if not contract.subjects or not lake.exists(contract.table):
        return None
    there = lake.read(contract.table).columns
    tests = [
        (_STANDS_IN if name in _TEXTS else _IS_ONE).format(column=TableName.of(name).quoted)
        for name in contract.subjects
        if name in there
    ]
    if not tests:
        return Erased(contract.name, 0)
    is_one = " OR ".join(f"coalesce({test}, false)" for test in tests)
    leaving(lake, ids).createOrReplaceTempView(_VIEW)
    try:
        rows, met = _met(lake, contract, is_one)
        if rows:
            with marked(lake, run_id):
                delete = (
                    f"MERGE INTO {lake.ref(contract.table)} t USING {_VIEW} s "
                    f"ON exists(s.numbers, k -> {is_one}) WHEN MATCHED THEN DELETE"
                )
                retried(lambda: lake.spark.sql(delete).collect(), table=contract.name)
    finally:
        lake.spark.catalog.dropTempView(_VIEW)
    return Erased(contract.name, rows, frozenset(ids[k] for k in met))


def _met(lake: Lake, contract: Contract, is_one: str) -> tuple[int, set[int]]:
    """How many rows name one of the ids, and the numbers of the ids that they name."""
    numbers = f"filter(s.numbers, k -> {is_one})"
    found = lake.spark.sql(f"SELECT {numbers} AS ks FROM {lake.ref(contract.table)} t CROSS JOIN {_VIEW} s")
    row = (
        found.where("size(ks) > 0")
        .agg(F.count(F.lit(1)), F.array_distinct(F.flatten(F.collect_set("ks"))))
        .collect()[0]
    )
    return int(row[0]), set(row[1] or ())


def leaving(lake: Lake, ids: Sequence[str]) -> DataFrame:
    """One row: the ids, what finds each of them in a text, and their numbers from 0."""
    row = (list(ids), [pattern_of(i) for i in ids], list(range(len(ids))))
    return frame_of_rows(lake.spark, [row], "ids array<string>, patterns array<string>, numbers array<int>")


def pattern_of(person: str) -> str:
    """A regular expression of Java's that finds the id in raw text: as it is, in JSON, in JSON in JSON, in CSV."""
    forms: set[str] = set()
    for text in (person, person.replace('"', '""')):
        for ascii_only in (False, True):
            once = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
            forms |= {text, once, json.dumps(once, ensure_ascii=ascii_only)[1:-1]}
    any_form = "|".join(re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form)))
    return f"{_BEFORE}(?:{any_form}){_AFTER}"


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
