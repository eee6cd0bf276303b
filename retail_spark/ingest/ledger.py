"""Which files a source has taken, by content: a file that comes again, under whatever name, is no new rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_spark.engine.job import Run
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.ingest.files import SourceFile, pin_of
from retail_spark.lake.contract import LONG, STRING, Column, Contract
from retail_spark.lake.journal import read_rows
from retail_spark.lake.lake import Lake
from retail_spark.lake.write import Write, replace_slice, upsert

INGESTED_FILES = Contract(
    "ops.ingested_files",
    grain="One row per file that a source has taken, of incremental sources and of those that keep identical rows.",
    key=("source", "file_name", "digest"),
    columns=(
        Column("source", STRING, "Name of the source mapping."),
        Column("file_name", STRING, "Name of the file, relative to the input's base."),
        Column("digest", STRING, "Hash of the file's content."),
        Column("size", LONG, "Bytes.", check="size >= 0"),
        Column("changed", STRING, "Time of change when it was taken, as the file system tells it.", nullable=True),
        Column("run_id", STRING, "Run that took the file; see ops.job_runs."),
    ),
)
_SHOWN = 3


def content_of(spark: SparkSession, files: Sequence[SourceFile]) -> dict[str, str]:
    """Name of each file -> hash of its content, read by Spark where a file is not on this machine."""
    found = {file.name: pin_of(file).digest for file in files if file.local is not None}
    far = {file.uri: file for file in files if file.local is None}
    if far:
        rows = spark.read.format("binaryFile").load([file.address for file in far.values()])
        hashed = rows.select("path", F.md5("content").alias("digest")).collect()  # one row a file
        found |= {far[row["path"]].name: row["digest"] for row in hashed}
    return found


def delivered_again(digests: Mapping[str, str], taken: Iterable[str]) -> frozenset[str]:
    """Names of files whose content was taken before, or stands in a file with an earlier name.

    >>> sorted(delivered_again({"a": "1", "b": "1", "c": "2"}, taken=["2"]))
    ['b', 'c']
    """
    known, again = set(taken), set()
    for name in sorted(digests):
        if digests[name] in known:
            again.add(name)
        known.add(digests[name])
    return frozenset(again)


def taken_digests(run: Run, source: str) -> list[str]:
    """Hashes of all files that the source had taken when the run began."""
    rows = run.previous(INGESTED_FILES).where(F.col("source") == source)
    return [row["digest"] for row in rows.select("digest").distinct().collect()]  # one row a file


def ledger_of(run: Run, source: str, taken: Mapping[tuple[str, str], SourceFile], *, is_batch: bool) -> Write:
    """What remembers files by (name, hash of content); in batch mode they are all that the source has taken."""
    rows = [(source, name, digest, f.size, f.stamp or None, run.id) for (name, digest), f in sorted(taken.items())]
    frame = frame_of_rows(run.spark, rows, INGESTED_FILES.schema)
    return replace_slice(INGESTED_FILES, frame, source=source) if is_batch else upsert(INGESTED_FILES, frame)


def changed_since_taken(lake: Lake, source: str, files: Sequence[SourceFile]) -> list[str]:
    """Names of files that were taken and are not any more what they were."""
    if not lake.exists(INGESTED_FILES.table):
        return []
    rows = read_rows(lake, INGESTED_FILES, where={"source": source}, newest_by="file_name")
    taken: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        taken.setdefault(row["file_name"], []).append(row)
    return [file.name for file in files if file.name in taken and not _is_known(file, taken[file.name])]


def told(names: Sequence[str]) -> str:
    """The files that changed, in words."""
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return (
        f"{shown}: changed since it was taken, and not taken again; deliver new rows in a file of their own, "
        "or use ingest.mode=batch"
    )


def _is_known(file: SourceFile, rows: Sequence[Mapping[str, Any]]) -> bool:
    same = [row for row in rows if row["size"] == file.size]
    if not same or any(row["changed"] == file.stamp for row in same):
        return bool(same)
    return file.local is None or pin_of(file).digest in {row["digest"] for row in same}
