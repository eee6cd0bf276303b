"""What grows for ever and is no table of data: rows of ops tables, log, traces, checkpoints, model versions."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyspark.sql import functions as F

from retail_spark.engine.history import FINISHED, JOB_RUNS, METRICS
from retail_spark.engine.job import Run
from retail_spark.errors import ServiceMissingError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.commit import marked
from retail_spark.lake.conflicts import retried
from retail_spark.lake.lake import Lake
from retail_spark.lake.sql import tables
from retail_spark.lake.table_name import TableName
from retail_spark.maintain.settings import JobSettings
from retail_spark.quality.report import EXPECTATIONS
from retail_spark.registry.connection import Connection
from retail_spark.registry.pruning import prune_versions
from retail_spark.registry.registry import Registry
from retail_spark.spark.failures import TRACE_PREFIX, TRACE_SUFFIX

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VIEW = "__pruned"
_NEWEST_RUNS = 20
"""Finished runs of every job that stay whatever their age: the last one is what the next one follows."""
_MIB = 1024 * 1024


def prune(run: Run, settings: JobSettings) -> dict[str, float]:
    """Removes what is old by the settings, each of which 0 turns off; returns how much of each kind, and notes it."""
    removed: dict[str, float] = {}
    named_runs, named_versions = _named(run.lake)
    if settings.ops_days:
        removed["ops_rows_pruned"] = prune_ops(run.lake, days=settings.ops_days, named=named_runs, run_id=run.id)
    if settings.model_days:
        removed["model_versions_pruned"] = _prune_models(run, settings.model_days, named_runs, named_versions)
    if settings.log_mib and run.lake.is_local:
        log = Path(run.settings.spark.log_file or f"{run.lake.root}/_logs/spark.log")
        removed["log_bytes_pruned"] = cut_log(log, mib=settings.log_mib)
    if settings.trace_days:
        removed["traces_pruned"] = prune_traces(days=settings.trace_days)
    if run.lake.is_local:
        removed["checkpoints_pruned"] = prune_checkpoints(Path(run.lake.root), hours=settings.retain_hours)
    for kind, number in removed.items():
        if number:
            run.progress.note(f"removed {number:,.0f} {kind.removesuffix('_pruned').replace('_', ' ')}")
    return removed


def _named(lake: Lake) -> tuple[set[str], set[str]]:
    """Run ids and model versions that rows of any table outside ops name."""
    runs, versions = set[str](), set[str]()
    for table in tables(lake):
        if table.parts[0] in ("ops", "staging"):
            continue
        frame = lake.read(table)
        for column, into in (("run_id", runs), ("model_version", versions)):
            if column in frame.columns:
                rows = frame.select(F.col(column).cast("string").alias("v")).distinct().where("v IS NOT NULL").collect()
                into |= {row["v"] for row in rows}
    return runs, versions


def prune_ops(lake: Lake, *, days: int, named: Iterable[str], run_id: str) -> int:
    """Deletes rows of runs that ended long ago from the ops tables. Kept are runs that rows name, and the newest."""
    if not lake.exists(JOB_RUNS.table):
        return 0
    limit = datetime.now(UTC) - timedelta(days=days)
    history = lake.read(JOB_RUNS.table).select("run_id", "job", "status", "finished_at").collect()
    kept = set(named)
    for job in {row["job"] for row in history}:
        ended = sorted(
            (row["finished_at"], row["run_id"]) for row in history if row["job"] == job and row["status"] in FINISHED
        )
        kept |= {one for _, one in ended[-_NEWEST_RUNS:]}
    last = {row["run_id"]: max(r["finished_at"] for r in history if r["run_id"] == row["run_id"]) for row in history}
    old = [one for one, ended_at in last.items() if _utc(ended_at) < limit and one not in kept]
    return sum(_delete_runs(lake, contract.table, old, run_id) for contract in (METRICS, EXPECTATIONS, JOB_RUNS))


def _utc(moment: datetime) -> datetime:
    """A time of the session, which is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _delete_runs(lake: Lake, table: TableName, run_ids: list[str], run_id: str) -> int:
    if not run_ids or not lake.exists(table):
        return 0
    frame_of_rows(lake.spark, [(one,) for one in run_ids], "run_id string").createOrReplaceTempView(_VIEW)
    rows = lake.read(table).join(lake.spark.table(_VIEW), on="run_id", how="left_semi").count()
    statement = f"MERGE INTO {lake.ref(table)} t USING {_VIEW} s ON t.run_id = s.run_id WHEN MATCHED THEN DELETE"
    try:
        if rows:
            with marked(lake, run_id):
                retried(lambda: lake.spark.sql(statement).collect(), table=str(table))
    finally:
        lake.spark.catalog.dropTempView(_VIEW)
    return rows


def _prune_models(run: Run, days: int, named_runs: set[str], named_versions: set[str]) -> int:
    """No server and no database: nothing to prune. One that does not answer is told; the tables are maintained."""
    if run.settings.mlflow.tracking_uri is None and not (Path(run.lake.root) / "_mlflow" / "mlflow.db").exists():
        return 0
    registry = Registry(Connection.of(run.settings), run.settings.mlflow.experiment, run.settings.mlflow.model_prefix)
    try:
        registry.ping()
        return prune_versions(registry, older_than_days=days, named_runs=named_runs, named_versions=named_versions)
    except ServiceMissingError as error:
        run.progress.note(f"no model version was pruned: {error.what}")
        return 0


def cut_log(log: Path, *, mib: int) -> int:
    """Keeps the end of a log that has grown beyond `mib`; returns the bytes cut off.

    The file stays the same one: the JVM goes on writing at its end.
    """
    size = log.stat().st_size if log.is_file() else 0
    if size <= mib * _MIB:
        return 0
    with log.open("r+b") as file:
        file.seek(size - mib * _MIB // 2)
        file.readline()
        end = file.read()
        file.seek(0)
        file.write(end)
        file.truncate()
    return size - len(end)


def prune_traces(*, days: int) -> int:
    """Removes this user's old traces from the temporary folder; returns how many."""
    limit, removed = time.time() - days * 86_400, 0
    for trace in Path(tempfile.gettempdir()).glob(f"{TRACE_PREFIX}*{TRACE_SUFFIX}"):
        try:
            found = trace.lstat()
            if found.st_mtime < limit and found.st_uid == os.getuid():
                trace.unlink()
                removed += 1
        except OSError:  # gone by now
            continue
    return removed


def prune_checkpoints(root: Path, *, hours: int) -> int:
    """Removes checkpoints that sessions have left behind; returns how many. A stream's own place is none of these."""
    folder, limit = root / "_checkpoints", time.time() - hours * 3600
    found = [one for one in folder.iterdir() if _UUID.fullmatch(one.name)] if folder.is_dir() else []
    old = [one for one in found if one.stat().st_mtime < limit]
    for one in old:
        shutil.rmtree(one, ignore_errors=True)
    return len(old)
