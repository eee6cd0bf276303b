"""Kills the driver in the middle of each writer, swept over ten delays: python -m tests.benchmarks.kill_sweep

Prints, per writer, where the kills fell (before or after the commit) and whether every rerun ended with the content
of uninterrupted runs. The same checks as tests/faults/test_kill.py, which sweeps three.
"""

from __future__ import annotations

import tempfile

from retail_spark.spark.session import get_session
from tests.faults.kills import Sweep
from tests.toy import MODES, toy_settings

DELAYS = (0.02, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        spark = get_session(toy_settings(home))
        found = Sweep(spark, home).kill(DELAYS)
        for mode in MODES:
            committed = [is_in for own, _, is_in in found if own == mode]
            print(
                f"{mode}: {len(committed)} kills, {committed.count(False)} at version n, {committed.count(True)} at "
                f"version n+1; every rerun ended like an uninterrupted run"
            )
        spark.stop()


if __name__ == "__main__":
    main()
