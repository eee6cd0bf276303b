"""From settings to a running job: what can be loaded while the JVM starts, is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date

from retail_spark.lake.store import Lake
from retail_spark.lifecycle import run_job
from retail_spark.progress import Progress
from retail_spark.run import Job, Result
from retail_spark.session import get_session
from retail_spark.settings import Settings


def launch(
    job: Job, settings: Settings, *, as_of: date | None = None, force: bool = False, progress: Progress | None = None
) -> Result:
    """Starts or takes the session and runs the job in it."""
    progress = progress or Progress(job.name)
    with progress.step("start", "starting Spark"):
        warming = [_in_background(load) for load in _loads(job)]
        spark = get_session(settings)
        for thread in warming:
            thread.join()
    return run_job(job, settings, spark=spark, as_of=as_of, force=force, progress=progress)


def open_lake_for_query(settings: Settings) -> Lake:
    """The lake in a session that is tuned for a quick first answer."""
    return Lake.open(get_session(settings, fast_start=True), settings.lake)


def _loads(job: Job) -> list[Callable[[], None]]:
    from retail_spark.quality.suite import warm as warm_quality

    loads = [warm_quality]
    if job.learns:
        from retail_spark.registry.tracking import warm as warm_registry

        loads.append(warm_registry)
    return loads


def _in_background(load: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    return thread
