"""From settings to a running job: what can be loaded while the JVM starts, is."""

from __future__ import annotations

import threading
from datetime import date

from pyspark.sql import SparkSession

from retail_spark.lake.store import Lake
from retail_spark.lifecycle import run_job
from retail_spark.progress import Progress
from retail_spark.quality.engine import warm as warm_quality
from retail_spark.registry.tracking import Registry
from retail_spark.run import Job, Result
from retail_spark.session import get_session
from retail_spark.settings import Settings


def launch(
    job: Job, settings: Settings, *, as_of: date | None = None, force: bool = False, progress: Progress | None = None
) -> Result:
    """Starts or takes the session and runs the job in it."""
    progress = progress or Progress(job.name)
    if job.check is not None:
        job.check(settings)
    spark = start(job, settings, progress=progress)
    return run_job(job, settings, spark=spark, as_of=as_of, force=force, progress=progress)


def start(job: Job, settings: Settings, *, progress: Progress) -> SparkSession:
    """The session, with all that the job's run imports loaded meanwhile."""
    with progress.step("start", "starting Spark"):
        warming = threading.Thread(target=warm_quality, daemon=True)
        warming.start()
        if job.learns:
            Registry.open(settings).warm()
        spark = get_session(settings)
        warming.join()
    return spark


def open_lake_for_query(settings: Settings) -> Lake:
    """The lake; its session is tuned for a quick first answer, and started by the first question that needs one."""
    return Lake.open(lambda: get_session(settings, fast_start=True), settings.lake)
