"""Incremental ingest: a stream that takes every file once. It carries names of files, never their rows.

Spark's file stream reads CSV by position and by one schema; here it only decides which files are new, and remembers
them in its checkpoint. The rows of a micro-batch are then read as in batch mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import Settings, section
from retail_spark.engine.job import Attempt, Result
from retail_spark.engine.progress import Progress
from retail_spark.errors import ServiceMissingError, UsageError
from retail_spark.ingest.files import (
    BINARY,
    NothingThereError,
    Place,
    SourceFile,
    find_files,
    local_file,
    pins_of,
    place_of,
)
from retail_spark.ingest.ledger import changed_since_taken, told
from retail_spark.ingest.mapping import SourceMapping, mapping_of
from retail_spark.ingest.settings import JobSettings
from retail_spark.lake.lake import Lake
from retail_spark.spark.session import is_classic
from retail_spark.spark.streaming import wait_for

_FOR_EVER = "36500d"
"""A file is new however old it is: Spark's own limit passes over what is a week older than the newest."""


@dataclass(frozen=True)
class MicroBatch:
    """The files that came since the last micro-batch."""

    id: int
    input: str
    files: tuple[SourceFile, ...]


def driving_input(mapping: SourceMapping) -> str:
    """The one file input that all tables are made from. Raises UsageError when there are several."""
    names = {table.from_ for table in mapping.tables.values()}
    if len(names) != 1:
        raise UsageError(
            f"incremental ingest follows one input, but tables come from {', '.join(sorted(names))}.",
            fix="split the mapping in one for each input, or use ingest.mode=batch",
        )
    name = names.pop()
    if not mapping.inputs[name].is_files:
        raise UsageError(f"incremental ingest follows files, but inputs.{name} is none.", fix="use ingest.mode=batch")
    return name


def take_once(lake: Lake, settings: Settings, attempt: Attempt) -> Result | None:
    """Runs the attempt over the files that are new; None when there are none. A failed attempt leaves them untaken.

    Raises what the attempt raised.
    """
    if not is_classic(lake.spark):
        raise ServiceMissingError(
            "incremental ingest needs a classic Spark session, this is Spark Connect.",
            fix="submit the job to the cluster, or use ingest.mode=batch",
        )
    mapping = mapping_of(settings)
    name = driving_input(mapping)
    place = place_of(mapping.inputs[name], settings.data_root)
    _look_at_files(lake, settings, mapping, name)
    results: list[Result] = []
    errors: list[BaseException] = []

    def take(frame: DataFrame, batch_id: int) -> None:
        try:
            files = tuple(_file(row["path"], row["length"], row["changed"], place.base) for row in _listed(frame))
            if files:
                batch = MicroBatch(batch_id, name, tuple(sorted(files, key=lambda file: file.name)))
                results.append(attempt(sources=_pins(lake, mapping, settings, batch), batch=batch))
        except BaseException as error:
            errors.append(error)  # the stream would wrap it and lose its kind
            raise

    _run_stream(lake.spark, place, _checkpoint(lake, settings, mapping), take, errors)
    return results[-1] if results else None


def _look_at_files(lake: Lake, settings: Settings, mapping: SourceMapping, name: str) -> None:
    """Refuses names that the stream would stumble over, and tells of files that changed after they were taken."""
    try:
        files = find_files(lambda: lake.spark, mapping.inputs[name], name=name, data_root=settings.data_root)
    except NothingThereError:
        return
    changed = changed_since_taken(lake, mapping.source, files)
    if changed:
        Progress("ingest").note(told(changed))


def _run_stream(spark: SparkSession, place: Place, checkpoint: str, take: object, errors: list[BaseException]) -> None:
    stream = (
        spark.readStream.format("binaryFile")
        .schema(BINARY)
        .option("recursiveFileLookup", "true")
        .option("ignoreMissingFiles", "true")
        .option("maxFileAge", _FOR_EVER)
        .load(place.folder if "://" in place.folder else place.for_hadoop)
        .select("path", "length", F.col("modificationTime").cast("string").alias("changed"))
    )
    query = (
        stream.writeStream.foreachBatch(take)  # type: ignore[arg-type]
        .option("checkpointLocation", checkpoint)
        .trigger(availableNow=True)
        .start()
    )
    wait_for(query, errors=errors)


def _listed(frame: DataFrame) -> list[dict[str, object]]:
    """The files of the micro-batch: a listing, not data."""
    return [row.asDict() for row in frame.collect()]


def _file(path: object, length: object, changed: object, base: str) -> SourceFile:
    uri = str(path)
    if uri.startswith("file:"):
        return local_file(Path("/" + uri.removeprefix("file:").lstrip("/")), base)
    return SourceFile(uri, uri.removeprefix(base).lstrip("/"), int(str(length)), str(changed))


def _pins(lake: Lake, mapping: SourceMapping, settings: Settings, batch: MicroBatch) -> tuple:  # type: ignore[type-arg]
    joined = {name for table in mapping.tables.values() for name in table.join} | {batch.input}
    joined |= {str(mapping.inputs[n].from_) for n in joined if mapping.inputs[n].from_}
    return tuple(
        pin
        for name in sorted(joined)
        for pin in pins_of(
            lake,
            name,
            mapping.inputs[name],
            data_root=settings.data_root,
            files=batch.files if name == batch.input else None,
        )
    )


def _checkpoint(lake: Lake, settings: Settings, mapping: SourceMapping) -> str:
    own = section(settings, "ingest", JobSettings)
    return own.checkpoint_dir or f"{lake.root}/_checkpoints/ingest_{mapping.source}"
