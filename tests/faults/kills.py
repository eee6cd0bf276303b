"""Kills the driver of three runs, one a writer, in the middle of their writes, at a chosen moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import Settings
from retail_spark.engine.history import JOB_RUNS
from retail_spark.engine.job import Result
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.lake.commit import carry_out
from retail_spark.lake.content_hash import content_hash
from retail_spark.lake.lake import Lake
from retail_spark.lake.write import replace_slice
from tests.toy import INPUT, MODES, OUTPUT, Mode, many_inputs, toy_job, toy_settings

REPOSITORY = Path(__file__).parents[2]
COPIES = 20


def lake_of(root: str, mode: Mode) -> str:
    return f"{root}/{mode}"


def settings_of(root: str, *, factor: float) -> Settings:
    return toy_settings(root, factor=factor, repeat=COPIES)


def killed_runs(root: str, *, factor: float, delay_seconds: float) -> None:
    """Starts the runs, and kills their whole process group `delay_seconds` after they began to write."""
    command = [sys.executable, "-m", "tests.faults.toy_process", root, str(factor)]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert said == "write\n", f"the runs ended before they wrote: {said!r}"
        time.sleep(delay_seconds)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


class Sweep:
    """A lake for each writer, on which runs are killed later and later."""

    def __init__(self, spark: SparkSession, root: Path | str) -> None:
        self.root = str(root)
        self.lakes = {mode: Lake.open(spark, settings_of(lake_of(self.root, mode), factor=1.0).lake) for mode in MODES}
        for mode, lake in self.lakes.items():
            carry_out(lake, replace_slice(INPUT, many_inputs(spark, 5_000)), run_id="input")
            self.run(mode, factor=1.0)

    def run(self, mode: Mode, *, factor: float) -> Result:
        lake = self.lakes[mode]
        settings = settings_of(lake.root, factor=factor)
        return run_job(toy_job(mode), settings, spark=lake.spark, progress=Progress("toy", quiet=True))

    def kill(self, delays: Sequence[float]) -> list[tuple[Mode, float, bool]]:
        """(mode, delay, whether the killed run had committed), each held to what a kill may leave."""
        found = []
        for i, delay in enumerate(delays):
            factor = 2.0 + i
            before = {mode: self._newest(mode) for mode in MODES}
            killed_runs(self.root, factor=factor, delay_seconds=delay)
            found += [(mode, delay, self._mended(mode, before[mode], factor=factor)) for mode in MODES]
        return found

    def _mended(self, mode: Mode, before: int, *, factor: float) -> bool:
        """Runs again, and checks that nothing is half written, lost, or there twice."""
        lake, after = self.lakes[mode], self._newest(mode)
        assert after in (before, before + 1), (mode, before, after)
        taken_over = self.run(mode, factor=factor)
        assert taken_over.status in ("done", "unchanged")
        new, whole = self._hash(mode), uninterrupted(lake, mode, factor)
        assert new == whole, (mode, factor)
        if after == before + 1:
            assert self._hash(mode, after) == new, f"what the killed run of {mode} committed was already whole"
        else:
            assert self._hash(mode, before) != new
        finished = lake.read(JOB_RUNS.table).where(F.col("run_id") == taken_over.run_id)
        assert finished.where(F.col("status") == "done").count() == 1
        return after == before + 1

    def _newest(self, mode: Mode) -> int:
        newest = self.lakes[mode].pin(OUTPUT[mode].table).read_version
        assert newest is not None
        return newest

    def _hash(self, mode: Mode, version: int | None = None) -> str:
        return content_hash(self.lakes[mode].read(OUTPUT[mode].table, version=version))


def uninterrupted(lake: Lake, mode: Mode, factor: float) -> str:
    """The content that runs without any kill leave: for the log, of every factor so far."""
    one = lake.read(INPUT.table).withColumn("copy", F.explode(F.sequence(F.lit(1), F.lit(COPIES))))
    factors = [factor] if mode != "append_once" else [1.0, *(2.0 + i for i in range(int(factor) - 1))]
    rows = one.withColumn("factor", F.explode(F.array(*map(F.lit, factors)))).select(
        F.concat_ws("-", "id", "copy").alias("id"), (F.col("value") * F.col("factor")).alias("value")
    )
    if mode == "replace_slice":
        rows = rows.withColumn("as_of", F.lit("2024-01-01").cast("date"))
    return content_hash(rows)
