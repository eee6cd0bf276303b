"""Kills the driver of a run in the middle of a write, at a chosen moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.toy import Mode

REPOSITORY = Path(__file__).parents[2]


def killed_run(root: str, mode: Mode, *, factor: float, delay_seconds: float) -> None:
    """Starts a toy run, and kills its whole process group `delay_seconds` after it began to write."""
    command = [sys.executable, "-m", "tests.faults.toy_process", root, mode, str(factor)]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert said == "write\n", f"the run ended before it wrote: {said!r}"
        time.sleep(delay_seconds)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
