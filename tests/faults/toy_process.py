"""Three toy runs at once in a process of their own, one a writer, to be killed.

Says `write` on stdout when all three begin to write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

from pyspark.sql import SparkSession

from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.spark.session import get_session
from tests.faults.kills import lake_of, settings_of
from tests.toy import MODES, Mode, toy_job


class Waiting(Progress):
    """Lets nobody write before everybody may."""

    def __init__(self, everybody: Barrier) -> None:
        super().__init__("toy", quiet=True)
        self._everybody = everybody

    @contextmanager
    def step(self, part: str, doing: str = "") -> Iterator[None]:
        if part == "write":
            self._everybody.wait()
        with super().step(part, doing):
            yield


def main(root: str, factor: str) -> None:
    spark = get_session(settings_of(root, factor=float(factor)), fast_start=True)
    everybody = Barrier(len(MODES), action=lambda: print("write", flush=True))

    def run(mode: Mode, session: SparkSession) -> None:
        settings = settings_of(lake_of(root, mode), factor=float(factor))
        run_job(toy_job(mode), settings, spark=session, progress=Waiting(everybody))

    with ThreadPoolExecutor(len(MODES)) as pool:  # a commit's mark is kept by the session: each run has one of its own
        list(pool.map(run, MODES, [spark.newSession() for _ in MODES]))


if __name__ == "__main__":
    main(*sys.argv[1:])
