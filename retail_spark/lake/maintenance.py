"""OPTIMIZE, VACUUM and ANALYZE, one table at a time. None of them changes a row."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from retail_spark.errors import InputError
from retail_spark.lake.conflicts import retried
from retail_spark.lake.lake import Lake
from retail_spark.lake.table_name import TableName
from retail_spark.lake.whole import SAFE_HOURS, newest_whole_version

_FILE_SIZE = "spark.databricks.delta.optimize.maxFileSize"


@dataclass(frozen=True)
class Compacted:
    """Files of a table before and after."""

    files_removed: int
    files_added: int


def optimize(lake: Lake, table: TableName, *, file_mib: int) -> Compacted:
    """Compacts small files into ones of about `file_mib` MiB, laid out by the clustering columns if there are any."""
    lake.spark.conf.set(_FILE_SIZE, str(file_mib * 1024 * 1024))
    try:
        compact = f"OPTIMIZE {lake.ref(table)}"
        metrics = retried(lambda: lake.spark.sql(compact).select("metrics.*").collect()[0], table=str(table))
    finally:
        lake.spark.conf.unset(_FILE_SIZE)
    return Compacted(int(metrics["numFilesRemoved"]), int(metrics["numFilesAdded"]))


def vacuum(lake: Lake, table: TableName, *, retain_hours: int) -> None:
    """Deletes files that no version of the last `retain_hours` needs. Raises ValueError below SAFE_HOURS."""
    if retain_hours < SAFE_HOURS:
        raise ValueError(f"vacuum keeps at least {SAFE_HOURS} hours, not {retain_hours}")
    if lake.has_local_logs and not _has_older(Path(lake.path(table)), hours=retain_hours):
        return
    lake.spark.sql(f"VACUUM {lake.ref(table)} RETAIN {int(retain_hours)} HOURS").collect()


def restore(lake: Lake, table: TableName) -> int:
    """Takes a table of which data files are gone back to its newest whole version, and returns it.

    Raises InputError when no version that the log keeps is whole.
    """
    version = newest_whole_version(lake, table)
    if version is None:
        raise InputError(
            f"no version of {table} is whole any more.", fix=f"remove {lake.path(table)} and run its job again"
        )
    statement = f"RESTORE TABLE {lake.ref(table)} TO VERSION AS OF {version}"
    retried(lambda: lake.spark.sql(statement).collect(), table=str(table))
    return version


def _has_older(folder: Path, *, hours: int) -> bool:
    """True when a file of the table is old enough to be deleted: a look that costs far less than Delta's own."""
    limit = time.time() - hours * 3600
    return any(file.stat().st_mtime < limit for file in folder.rglob("*.parquet"))


def analyze(lake: Lake, table: TableName) -> bool:
    """Computes table statistics for the planner. False for a path lake, whose tables no catalog remembers."""
    if not lake.catalog:
        return False
    lake.spark.sql(f"ANALYZE TABLE {lake.ref(table)} COMPUTE STATISTICS").collect()
    return True


def drop_old_stages(lake: Lake, *, older_than_hours: int) -> int:
    """Removes stages that runs killed long ago left behind; returns how many."""
    stages = Path(lake.root) / "_staging"
    if not lake.is_local or not stages.is_dir():
        return 0
    limit = time.time() - older_than_hours * 3600
    old = [folder for folder in stages.iterdir() if folder.stat().st_mtime < limit]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return len(old)
