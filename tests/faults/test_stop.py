"""Ctrl-C and SIGTERM at any time: 130, one sentence, the JSON line, the lease freed, no process left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from retail_spark.spark.stopping import descendants, is_alive

START = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from retail_spark.cli.main import main; sys.exit(main(sys.argv[1:]))"
)


def java_is_there(process: subprocess.Popen[str], root: Path) -> bool:
    return bool(descendants(process.pid))


def rows_are_computed(process: subprocess.Popen[str], root: Path) -> bool:
    return any((root / "_staging").glob("*/*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "when"),
    [(signal.SIGINT, java_is_there), (signal.SIGINT, rows_are_computed), (signal.SIGTERM, rows_are_computed)],
)
def test_a_signal_ends_a_run_cleanly(
    tmp_path: Path, number: signal.Signals, when: Callable[[subprocess.Popen[str], Path], bool]
) -> None:
    command = [sys.executable, "-c", START, "run", "synthetic", "--set", f"lake.root={tmp_path}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 240
    while not when(process, tmp_path):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.1)
    children = descendants(process.pid)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    last = json.loads(out.splitlines()[-1])
    assert last == {"status": "stopped", "exit_code": 130, "error": f"stopped by {number.name}"}
    assert err.count("stopped by") == 1
    assert "Traceback" not in err
    assert not list((tmp_path / "_leases").glob("*.json"))
    assert [pid for pid in children if is_alive(pid)] == []
    assert not any((tmp_path / "_staging").glob("*/*"))


def test_descendants_are_children_of_children() -> None:
    inner = "import time; print('up', flush=True); time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    process = subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        found = descendants(os.getpid())
        assert process.pid in found
        assert len(found & descendants(process.pid)) == 1
    finally:
        for pid in descendants(process.pid) | {process.pid}:
            os.kill(pid, signal.SIGKILL)
        process.communicate()
