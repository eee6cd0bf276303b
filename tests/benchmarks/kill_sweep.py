"""Kills the driver in the middle of each writer, swept over ten delays: python -m tests.benchmarks.kill_sweep

Prints, per writer, where the kills fell (before or after the commit) and whether every rerun ended with the content
of uninterrupted runs. The same checks as tests/faults/test_kill.py, which sweeps three.
"""

from __future__ import annotations

import tempfile
from collections import Counter

from retail_spark.lake.commits import carry_out
from retail_spark.lake.store import Lake
from retail_spark.lake.writers import replace_slice
from retail_spark.session import get_session
from tests.faults.kills import killed_run
from tests.faults.test_kill import hash_at, run, uninterrupted
from tests.toy import INPUT, MODES, OUTPUT, many_inputs, toy_settings

DELAYS = (0.02, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        spark = get_session(toy_settings(home))
        for mode in MODES:
            lake = Lake.open(spark, toy_settings(f"{home}/{mode}").lake)
            carry_out(lake, replace_slice(INPUT, many_inputs(spark, 5_000)), run_id="input")
            run(lake, mode, factor=1.0)
            fell: Counter[str] = Counter()
            for i, delay in enumerate(DELAYS):
                before = lake.pin(OUTPUT[mode].table).read_version
                killed_run(lake.root, mode, factor=2.0 + i, delay_seconds=delay)
                after = lake.pin(OUTPUT[mode].table).read_version
                assert after in (before, before + 1), (before, after)
                run(lake, mode, factor=2.0 + i)
                assert hash_at(lake, mode) == uninterrupted(lake, mode, 2.0 + i), (mode, delay)
                fell["version n" if after == before else "version n+1"] += 1
            print(f"{mode}: {len(DELAYS)} kills, {dict(fell)}, every rerun ended like an uninterrupted run", flush=True)
        spark.stop()


if __name__ == "__main__":
    main()
