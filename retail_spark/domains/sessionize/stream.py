"""The stream: micro-batches of silver.events, each cut by the same job function as a batch.

A micro-batch says that something came; what came is read from the change feed since the last finished run. So whatever
a kill leaves behind, the next attempt cuts what is not yet cut: once.
"""

from __future__ import annotations

from dataclasses import dataclass
from queue import Queue

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import Settings, section
from retail_spark.domains.sessionize.settings import JobSettings
from retail_spark.engine.job import Attempt, Result
from retail_spark.errors import InputError, ServiceMissingError, UsageError
from retail_spark.lake.lake import Lake
from retail_spark.spark.session import is_classic
from retail_spark.spark.streaming import wait_for
from retail_spark.tables.sessionize import STREAMS
from retail_spark.tables.silver import EVENTS


@dataclass(frozen=True)
class MicroBatch:
    """One micro-batch of a stream."""

    id: int
    application_id: str
    checkpoint_id: str


def drive(lake: Lake, settings: Settings, attempt: Attempt) -> Result | None:
    """Batch: one attempt. Stream: one attempt a micro-batch, until all that is there has been taken."""
    own = section(settings, "sessionize", JobSettings)
    if own.source == "batch":
        return attempt(sources=(), batch=None)
    if not is_classic(lake.spark):
        raise ServiceMissingError(
            "the stream of sessionize needs a classic Spark session, this is Spark Connect.",
            fix="submit the job to the cluster, or use sessionize.source=batch",
        )
    if not lake.exists(EVENTS.table):
        raise InputError(f"{EVENTS.name} does not exist in {lake.where}.", fix="ingest a source of events first")
    return _take_all(lake.spark, lake, own, attempt)


def check_checkpoint(lake: Lake, *, application_id: str, checkpoint_id: str) -> None:
    """Raises UsageError when the application has remembered its place in another checkpoint before."""
    if not lake.exists(STREAMS.table):
        return
    rows = lake.read(STREAMS.table).where(F.col("application_id") == application_id).collect()
    if rows and rows[0]["checkpoint_id"] != checkpoint_id:
        raise UsageError(
            f"the stream {application_id!r} remembers its place in checkpoint {rows[0]['checkpoint_id']}, not in "
            f"{checkpoint_id}. Nothing was written.",
            fix="give the old sessionize.checkpoint_dir, or a new sessionize.application_id with a new checkpoint",
        )


def _take_all(spark: SparkSession, lake: Lake, own: JobSettings, attempt: Attempt) -> Result | None:
    results: list[Result] = []
    errors: list[BaseException] = []
    told: Queue[str] = Queue()
    """The id that the checkpoint has given the query."""

    def take(_: DataFrame, batch_id: int) -> None:
        try:
            checkpoint_id = told.get()
            told.put(checkpoint_id)
            check_checkpoint(lake, application_id=own.application_id, checkpoint_id=checkpoint_id)
            results.append(attempt(sources=(), batch=MicroBatch(batch_id, own.application_id, checkpoint_id)))
        except BaseException as error:
            errors.append(error)  # the stream would wrap it and lose its kind
            raise

    # the change feed tells of rows that went, too
    events = spark.readStream.format("delta").option("readChangeFeed", "true")
    stream = events.table(lake.ref(EVENTS.table)) if lake.catalog else events.load(lake.path(EVENTS.table))
    checkpoint = own.checkpoint_dir or f"{lake.root}/_checkpoints/{own.application_id}"
    writer = stream.select("event_id").writeStream.foreachBatch(take).option("checkpointLocation", checkpoint)
    query = writer.trigger(availableNow=True).start()
    told.put(str(query.id))
    wait_for(query, errors=errors)
    return results[-1] if results else None
