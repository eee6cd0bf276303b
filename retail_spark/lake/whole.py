"""Whether the files that a table's log names are there: those of a version, and those that tell what changed.

Delta looks at a file when a query needs it, so that a loss shows late and as a Java trace. On a local lake the log is
read as the files it is; elsewhere the history says what a VACUUM may have taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

from pyspark.sql import functions as F

from retail_spark.errors import InputError
from retail_spark.lake.contract import Contract
from retail_spark.lake.delta_log import opened
from retail_spark.lake.lake import Lake, local_path
from retail_spark.lake.table_name import TableName

SAFE_HOURS = 168
"""Readers pinned to a version, and time travel, need files for a week; vacuum never goes below."""
_VERSIONS_TRIED = 100


def check_files(lake: Lake, tables: Iterable[TableName]) -> None:
    """Raises InputError that names the tables of which a data file is gone, and the command that heals each."""
    broken = {table: gone for table in tables if (gone := missing_files(lake, table))}
    if not broken:
        return
    said = "; ".join(
        f"{table} lacks {len(gone)} of its data files, such as {gone[0]}" for table, gone in broken.items()
    )
    names = ",".join(map(str, broken))
    raise InputError(
        f"{said}.",
        fix=f"bring the files back, or take the tables back to their newest whole version with `retail-spark run "
        f"maintain --set maintain.restore=[{names}]` and then run the jobs that write them again",
    )


@contextmanager
def kept_whole(lake: Lake, *, reads: Iterable[Contract], writes: Iterable[Contract], asked: bool) -> Iterator[None]:
    """Where it is asked for, checks what is read before and what is written after: a lost file is no `done`."""
    if asked:
        check_files(lake, [contract.table for contract in reads])
    yield
    if asked:
        check_files(lake, [contract.table for contract in writes])


def missing_files(lake: Lake, table: TableName, *, version: int | None = None) -> list[str]:
    """Data files of the table's version (None: the newest) that are not there; none where no local log tells."""
    if not lake.has_local_logs or not lake.exists(table):
        return []
    found = opened(lake.path(table), version=version)
    if found is None:
        return []
    paths = (uri if uri.startswith("/") else local_path(uri) for uri in found.file_uris())
    return sorted(unquote(path) for path in paths if not any(Path(p).exists() for p in (path, unquote(path))))


def newest_whole_version(lake: Lake, table: TableName) -> int | None:
    """The newest version of which every data file is there; None when no kept version is whole."""
    for commit, _ in zip(lake.commits(table), range(_VERSIONS_TRIED), strict=False):
        if not missing_files(lake, table, version=commit.version):
            return commit.version
    return None


def feed_is_there(lake: Lake, table: TableName, *, after: int, until: int) -> bool:
    """True while all that came or went after one version, up to another, can still be read."""
    if after >= until:
        return True
    if not lake.has_local_logs:
        return _feed_is_kept(lake, table, after=after, until=until)
    folder = Path(lake.path(table))
    for version in range(after + 1, until + 1):
        commit = folder / "_delta_log" / f"{version:020d}.json"
        if not commit.exists() or not all((folder / name).exists() for name in _feed_files(commit)):
            return False
    return True


def _feed_files(commit: Path) -> Iterator[str]:
    """Files that a commit's changes are read from: those written for the feed, or else what was added and removed."""
    actions = [json.loads(line) for line in commit.read_text(encoding="utf-8").splitlines() if line.strip()]
    written = [action["cdc"] for action in actions if "cdc" in action]
    changed = [action[kind] for action in actions for kind in ("add", "remove") if kind in action]
    for file in written or [file for file in changed if file.get("dataChange")]:
        yield unquote(file["path"])


def _feed_is_kept(lake: Lake, table: TableName, *, after: int, until: int) -> bool:
    """By the history: every commit is told, and no VACUUM came a week after the first of them."""
    later = lake.history(table).where(F.col("version") > after).select("version", "timestamp", "operation").collect()
    asked = [row for row in later if row["version"] <= until]
    if len(asked) < until - after:
        return False
    oldest = min(row["timestamp"] for row in asked)
    vacuums = [row["timestamp"] for row in later if row["operation"].startswith("VACUUM")]
    return not vacuums or max(vacuums) - oldest < timedelta(hours=SAFE_HOURS)
