"""The command `sql` and the session that stays: the same answers, fresh, and no process left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from retail_spark.cli.standby import talk
from retail_spark.cli.standby.talk import Question, ask, socket_of
from retail_spark.engine.code_version import code_version
from retail_spark.engine.settings_layers import resolve
from retail_spark.lake.lake import Lake
from tests.toy import put_input

QUERY = "SELECT id, value FROM silver.toy ORDER BY id"


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with TemporaryDirectory(prefix="rs") as folder:  # names of sockets are short
        monkeypatch.setenv("XDG_CACHE_HOME", folder)
        yield Path(folder)


@pytest.fixture
def server(cache: Path, lake: Lake) -> Iterator[Path]:
    """Where the session will listen; it is ended by its own process id."""
    settings = resolve(sets=[f"lake.root={lake.root}", "sql.stay_minutes=5"])
    path = socket_of(settings, code=code_version("retail_spark.cli.standby"))
    assert path is not None
    assert path.is_relative_to(cache), talk.__doc__
    yield path
    answer = ask(path, Question("SELECT 1", "csv", 1))
    if answer is not None:
        os.kill(answer.pid, signal.SIGKILL)


def sql(lake: Lake, query: str, *more: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "retail_spark.cli", "sql", query, "--format", "csv", *more]
    line += ["--set", f"lake.root={lake.root}", "--set", "sql.stay_minutes=5"]
    return subprocess.run(line, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_answers_are_sparks_own_and_fresh(lake: Lake, server: Path) -> None:
    put_input(lake, ("a", "2024-01-01", 1.0))
    first = sql(lake, QUERY)
    assert (first.returncode, first.stdout) == (0, "id,value\na,1.0\n")
    assert "stays" in first.stderr
    began = time.monotonic()
    second = sql(lake, QUERY)
    took = time.monotonic() - began
    assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, "")
    put_input(lake, ("a", "2024-01-01", 1.0), ("b", "2024-01-02", 2.0))
    assert sql(lake, QUERY).stdout == "id,value\na,1.0\nb,2.0\n", "what came since is seen"
    wrong = sql(lake, "SELECT * FROM silver.none")
    assert wrong.returncode == 3
    assert "`silver`.`none`" in wrong.stderr
    assert sql(lake, QUERY, "--engine", "spark").stdout == "id,value\na,1.0\nb,2.0\n"
    print(f"a second answer took {took:.2f} s")
