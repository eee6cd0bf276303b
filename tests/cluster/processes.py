"""Servers on loopback for the tests: started as processes of their own, stopped by their own pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyspark

from retail_spark.spark.java import java_home

REPO = Path(__file__).parents[2]
SPARK_HOME = Path(pyspark.__file__).parent
START_SECONDS = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without what a parent Spark or an activated environment left in it; loopback only."""
    foreign = ("SPARK_", "PYSPARK_", "PYTHONPATH", "RETAIL_SPARK__", "COV_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    fixed = {
        "SPARK_HOME": SPARK_HOME,
        "SPARK_CONF_DIR": Path(__file__).parent / "conf",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "JAVA_HOME": java_home(),
        "PYSPARK_PYTHON": sys.executable,
        # a process of minutes: what C2 would win later, its compiling costs now
        "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m",
    }
    return kept | {key: str(value) for key, value in fixed.items()} | more


@contextmanager
def server(
    command: Sequence[str | Path], *, log: Path, says: str, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ready once its log holds `says`, and gone when the block ends, with all that it started."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=dict(environment),
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        wait_until_said(process, log=log, says=says)
        yield process
    finally:
        stop(process)


def wait_until_said(process: subprocess.Popen[bytes], *, log: Path, says: str) -> None:
    """Raises AssertionError with the end of the log when the process dies or stays silent for too long."""
    give_up = time.monotonic() + START_SECONDS
    while says not in (text := log.read_text(encoding="utf-8", errors="replace")):
        if process.poll() is not None or time.monotonic() > give_up:
            raise AssertionError(f"{log.name}: never said {says!r} (exit code {process.poll()}):\n{text[-3000:]}")
        time.sleep(0.1)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and its children: its process group is its own, made by start_new_session."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            continue
    process.wait(timeout=20)


def bare_python(folder: Path) -> Path:
    """A Python with every library but not this package: what it imports of it has been shipped."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    libraries = SPARK_HOME.parent
    here = next(folder.glob("lib/python3.*/site-packages"))
    # A .pth file adds the folder but does not read the .pth files in it: an editable install stays out.
    (here / "libraries.pth").write_text(f"{libraries}\n", encoding="utf-8")
    return folder / "bin" / "python"


def built_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
    subprocess.run(command, check=True, cwd=REPO, capture_output=True)
    return next(folder.glob("retail_spark-*.whl"))
