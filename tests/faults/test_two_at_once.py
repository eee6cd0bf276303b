from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HOLDER = """
import sys, time
from retail_spark.lake.lease import hold
from retail_spark.lake.lake import Lake
with hold(Lake(None, sys.argv[1], None), "maintain"):
    print("held", flush=True)
    time.sleep(300)
"""


def maintain(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "retail_spark.cli", "run", "maintain", "--set", f"lake.root={root}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_second_of_two_runs_exits_5_and_a_dead_run_is_taken_over(tmp_path: Path) -> None:
    first = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    try:
        assert first.stdout.readline() == "held\n"
        second = maintain(tmp_path)
        assert second.returncode == 5
        assert json.loads(second.stdout.splitlines()[-1])["exit_code"] == 5
        assert f"process {first.pid}" in second.stderr
        assert not (tmp_path / "ops").exists(), "a refused run writes nothing"
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
        first.stdout.close()
    taken_over = maintain(tmp_path)
    assert taken_over.returncode == 0, taken_over.stderr
    assert json.loads(taken_over.stdout.splitlines()[-1])["status"] == "done"
