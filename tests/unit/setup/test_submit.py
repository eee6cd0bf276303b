"""deploy/spark_submit/submit.sh, with a made-up spark-submit that tells what it was given."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).parents[3]
SUBMIT = REPO / "deploy" / "spark_submit" / "submit.sh"


@pytest.fixture
def submitted(tmp_path: Path) -> dict[str, str]:
    """An environment in which spark-submit prints its arguments, checks what it ships, and ends with code 3."""
    program = tmp_path / "spark-submit"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nls -l "$6" >&2 || exit 9\nexit 3\n')
    program.chmod(0o755)
    wheel = tmp_path / "retail_spark-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    return os.environ | {"SPARK_SUBMIT": str(program), "WHEEL": str(wheel), "MASTER": "spark://127.0.0.1:7077"}


def test_the_wheel_travels_as_a_zip_and_the_arguments_reach_the_job(submitted: dict[str, str]) -> None:
    command = ["bash", SUBMIT, "ingest", "--set", "lake.root=a folder"]
    told = subprocess.run(command, env=submitted, capture_output=True, text=True, check=False)
    given = told.stdout.splitlines()
    assert given[:2] == ["--master", "spark://127.0.0.1:7077"]
    assert given[4] == "--py-files"
    assert given[5].endswith("/retail_spark.zip")
    assert Path(given[-3]).resolve() == REPO / "jobs" / "ingest.py"
    assert given[-2:] == ["--set", "lake.root=a folder"]


def test_the_jobs_exit_code_comes_back_and_nothing_is_left(submitted: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    env = submitted | {"TMPDIR": str(tmp_path / "temporary")}
    told = subprocess.run(["bash", SUBMIT, "ingest"], env=env, capture_output=True, text=True, check=False)
    assert told.returncode == 3
    assert list((tmp_path / "temporary").iterdir()) == []


def test_no_master_is_refused_in_words(submitted: dict[str, str]) -> None:
    env = {key: value for key, value in submitted.items() if key != "MASTER"}
    told = subprocess.run(["bash", SUBMIT, "ingest"], env=env, capture_output=True, text=True, check=False)
    assert told.returncode != 0
    assert "set MASTER" in told.stderr
