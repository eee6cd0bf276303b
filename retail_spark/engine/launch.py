"""From settings to a running job: what can be loaded while the JVM starts, is."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import date
from functools import cache

from pyspark.sql import SparkSession

from retail_spark.config.section import Settings
from retail_spark.engine.job import Job, Result
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.errors import UsageError
from retail_spark.lake.lake import Lake
from retail_spark.quality.engine import warm as warm_quality
from retail_spark.registry.registry import Registry
from retail_spark.spark.session import get_session

Session = Callable[[], SparkSession]


def launch(
    job: Job, settings: Settings, *, as_of: date | None = None, force: bool = False, progress: Progress | None = None
) -> Result:
    """Runs the job; a session is started or taken by the first question that only Spark answers."""
    progress = progress or Progress(job.name)
    session = starter(settings, learns=job.learns, progress=progress)
    return run_job(job, settings, spark=session, as_of=as_of, force=force, progress=progress)


def starter(settings: Settings, *, learns: bool, progress: Progress) -> Session:
    """What gives the session, with all that a run imports loaded while the JVM starts. Asked again, the same one."""

    @cache
    def start() -> SparkSession:
        with progress.step("start", "starting Spark"):
            warming = threading.Thread(target=warm_quality, daemon=True)
            warming.start()
            if learns:
                Registry.open(settings).warm()
            spark = get_session(settings)
            warming.join()
        return spark

    return start


def open_lake_for_query(settings: Settings) -> Lake:
    """The lake; its session is tuned for a quick first answer, and started by the first question that needs one.

    Raises UsageError for a root that is not there: a question makes no folder.
    """
    lake = Lake.open(lambda: get_session(settings, fast_start=True), settings.lake)
    if lake.has_local_logs and not os.path.isdir(lake.root):
        raise UsageError(f"there is no lake at {lake.root}.", fix="correct lake.root, or ingest a source first")
    return lake
