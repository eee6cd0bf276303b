"""The pure parts of the package against a Spark Connect server: the same tests, another engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cluster.processes import REPO, clean_environment

pytestmark = pytest.mark.slow

SUITES = [
    "tests/cluster/test_both_engines.py",
    *sorted(str(p.relative_to(REPO)) for p in REPO.glob("tests/unit/*/test_*transforms*.py")),
]


def test_the_suites_of_pure_functions_pass_on_spark_connect(connect_server: str, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    # A process of its own: one Python process has either a classic session or a remote one.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *SUITES, f"--junitxml={report}", "--basetemp", str(tmp_path / "temp")],
        cwd=REPO,
        env=clean_environment(SPARK_REMOTE=connect_server, SPARK_CONNECT_MODE_ENABLED="1"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    counted = next(iter(ET.parse(report).getroot().iter("testsuite"))).attrib
    assert int(counted["tests"]) >= len(SUITES)
    assert (counted["failures"], counted["errors"], counted["skipped"]) == ("0", "0", "0")


def test_the_remote_session_is_no_classic_one(connect_server: str) -> None:
    asked = (
        "from retail_spark.spark.session import get_session, is_classic; "
        "from retail_spark.config.section import Settings; "
        "spark = get_session(Settings()); "
        "print(type(spark).__module__, is_classic(spark), spark.conf.get('spark.sql.session.timeZone'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env=clean_environment(SPARK_REMOTE=connect_server),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.split() == ["pyspark.sql.connect.session", "False", "UTC"], done.stderr[-2000:]
