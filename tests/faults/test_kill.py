from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.faults.kills import Sweep
from tests.toy import MODES

DELAYS = (0.05, 0.6, 1.5)
"""Seconds after the write began; the benchmark sweeps ten."""


@pytest.mark.slow
def test_a_kill_in_the_middle_of_a_write_leaves_the_old_or_the_new_version(spark: SparkSession, tmp_path: Path) -> None:
    found = Sweep(spark, tmp_path).kill(DELAYS)

    assert {(mode, delay) for mode, delay, _ in found} == {(mode, delay) for mode in MODES for delay in DELAYS}
