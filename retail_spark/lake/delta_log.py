"""A table's commits, newest first. Delta's log of a local path table is read as the files it is.

The file names and the `commitInfo` and `metaData` actions are part of Delta's published protocol. Asking Spark
(DESCRIBE HISTORY, DESCRIBE DETAIL) gives the same answers, and is what all other tables do, at half a second each.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import types as T

if TYPE_CHECKING:
    from deltalake import DeltaTable

_COMMIT_FILE = re.compile(r"(\d{20})\.json")
_LOG_FILE = re.compile(r"\d{20}\.(?:json|checkpoint\b)")


# Commits of these operations leave every row as it was.
_KEEPS_DATA = (
    "OPTIMIZE", "VACUUM START", "VACUUM END", "ANALYZE", "SET TBLPROPERTIES", "UNSET TBLPROPERTIES", "ADD COLUMNS",
    "CHANGE COLUMN", "ADD CONSTRAINT", "DROP CONSTRAINT", "CLUSTER BY", "UPGRADE PROTOCOL", "SET TABLE COMMENT",
    "COMPUTE STATS", "REORG",
)  # fmt: skip


@dataclass(frozen=True)
class TableFacts:
    """A table as its log tells it."""

    version: int
    rows: int | None
    """None where the log does not say: a file without statistics, or with a deletion vector."""
    grain: str


@dataclass(frozen=True)
class CommitInfo:
    """One commit: `run_id` is what the writers leave as user metadata."""

    version: int
    operation: str
    run_id: str | None

    @property
    def changes_data(self) -> bool:
        """False for commits such as OPTIMIZE, after which every row is what it was."""
        return self.operation not in _KEEPS_DATA


def has_log(table: str) -> bool:
    """True where that folder holds a table: a log without any commit is what a crash left of a table not yet made."""
    try:
        with os.scandir(f"{table}/_delta_log") as files:
            return any(_LOG_FILE.match(file.name) for file in files)
    except OSError:
        return False


def local_commits(table: str) -> Iterator[CommitInfo]:
    """The commits of the table in that folder, newest first; those that Delta's clean-up removed are not told."""
    files = sorted((f for f in (Path(table) / "_delta_log").iterdir() if _COMMIT_FILE.fullmatch(f.name)), reverse=True)
    for file in files:
        info = _action(file, "commitInfo") or {}
        yield CommitInfo(int(file.stem), str(info.get("operation", "UNKNOWN")), info.get("userMetadata"))


def local_table_id(table: str) -> str | None:
    """The identity that the first commit gave the table; None when clean-up removed that commit."""
    first = Path(table) / "_delta_log" / f"{0:020d}.json"
    metadata = _action(first, "metaData") if first.exists() else None
    return str(metadata["id"]) if metadata else None


def opened(table: str, *, version: int | None = None) -> DeltaTable | None:
    """The table in that folder without Spark, at a version or as it is.

    None where its log asks for more than the library knows, or tells no more of that version.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        return DeltaTable(table, version=version)
    except DeltaError:
        return None


def local_facts(table: str) -> TableFacts | None:
    """Version, rows and grain of the table in that folder; None where it cannot be opened without Spark."""
    found = opened(table)
    if found is None:
        return None
    files = found.get_add_actions(flatten=True)
    has_vectors = "deletionVectors" in (found.protocol().reader_features or ()) and bool(found.deletion_vectors())
    told = [int(count) for count in files["num_records"].to_pylist() if count is not None] if files.num_rows else []
    is_told = not has_vectors and len(told) == files.num_rows
    return TableFacts(found.version(), sum(told) if is_told else None, found.metadata().description or "")


def local_last_date(table: str, columns: Sequence[str], *, version: int) -> date | None:
    """The latest date in these columns of a version of the table, from the statistics of its files.

    None where they do not tell: a file without statistics of every column, deletion vectors, no rows.
    """
    found = opened(table, version=version)
    if found is None or "deletionVectors" in (found.protocol().reader_features or ()):
        return None
    files = found.get_add_actions(flatten=True)
    known = set(files.schema.names)
    if not files.num_rows or not {f"max.{name}" for name in columns} <= known or "num_records" not in known:
        return None
    rows = files["num_records"].to_pylist()
    dates: list[date] = []
    for name in columns:
        latest, empty = files[f"max.{name}"].to_pylist(), files[f"null_count.{name}"].to_pylist()
        for value, nulls, count in zip(latest, empty, rows, strict=True):
            if value is None and (count is None or nulls != count):
                return None
            if value is not None:
                dates.append(value.date() if isinstance(value, datetime) else value)
    return max(dates, default=None)


def local_schema(table: str) -> T.StructType | None:
    """Columns and types of the table in that folder; None where it cannot be opened without Spark."""
    found = opened(table)
    return T.StructType.fromJson(json.loads(found.schema().to_json())) if found is not None else None


def _action(file: Path, kind: str) -> dict[str, Any] | None:
    """The first action of a kind in a commit; commitInfo is on the first line or close to it."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(f'{{"{kind}"'):
                found: dict[str, Any] = json.loads(line)[kind]
                return found
    return None
