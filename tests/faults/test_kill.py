from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from retail_spark.lake.commits import carry_out
from retail_spark.lake.content import content_hash
from retail_spark.lake.store import Lake
from retail_spark.lake.writers import replace_slice
from retail_spark.lifecycle import run_job
from retail_spark.ops import JOB_RUNS
from retail_spark.progress import Progress
from retail_spark.run import Result
from tests.faults.kills import killed_run
from tests.toy import INPUT, MODES, OUTPUT, Mode, many_inputs, toy_job, toy_settings

DELAYS = (0.05, 0.6, 1.5)
"""Seconds after the write began; the benchmark sweeps ten."""


def run(lake: Lake, mode: Mode, factor: float) -> Result:
    settings = toy_settings(lake.root, factor=factor, repeat=20)
    return run_job(toy_job(mode), settings, spark=lake.spark, progress=Progress("toy", quiet=True))


def hash_at(lake: Lake, mode: Mode, version: int | None = None) -> str:
    return content_hash(lake.read(OUTPUT[mode].table, version=version))


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_kill_in_the_middle_of_a_write_leaves_the_old_or_the_new_version(lake: Lake, mode: Mode) -> None:
    carry_out(lake, replace_slice(INPUT, many_inputs(lake.spark, 5_000)), run_id="input")
    run(lake, mode, factor=1.0)
    for i, delay in enumerate(DELAYS):
        factor = 2.0 + i
        before = lake.pin(OUTPUT[mode].table).read_version
        assert before is not None
        old = hash_at(lake, mode)
        killed_run(lake.root, mode, factor=factor, delay_seconds=delay)
        after = lake.pin(OUTPUT[mode].table).read_version
        assert after in (before, before + 1)
        taken_over = run(lake, mode, factor=factor)
        assert taken_over.status in ("done", "unchanged")
        new = hash_at(lake, mode)
        if after == before + 1:
            assert hash_at(lake, mode, after) == new, "what the killed run committed was already whole"
        assert new != old
        assert new == uninterrupted(lake, mode, factor)
        finished = lake.read(JOB_RUNS.table).where(F.col("run_id") == taken_over.run_id)
        assert finished.where(F.col("status") == "done").count() == 1


def uninterrupted(lake: Lake, mode: Mode, factor: float) -> str:
    """The content that runs without any kill leave: for the log, of every factor so far."""
    one = lake.read(INPUT.table).withColumn("copy", F.explode(F.sequence(F.lit(1), F.lit(20))))
    factors = [factor] if mode != "append_once" else [1.0, *(2.0 + i for i in range(int(factor) - 1))]
    rows = one.withColumn("factor", F.explode(F.array(*map(F.lit, factors)))).select(
        F.concat_ws("-", "id", "copy").alias("id"), (F.col("value") * F.col("factor")).alias("value")
    )
    if mode == "replace_slice":
        rows = rows.withColumn("as_of", F.lit("2024-01-01").cast("date"))
    return content_hash(rows)
