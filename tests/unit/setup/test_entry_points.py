"""What a person or a cluster starts: job scripts, make targets, settings files, deployment."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from retail_spark.config.section import SparkSettings
from retail_spark.engine.catalogue import all_jobs
from retail_spark.engine.settings_layers import resolve
from retail_spark.spark.session import DELTA

REPO = Path(__file__).parents[3]
SCRIPTS = [*sorted(REPO.glob("deploy/**/*.sh")), REPO / ".ci" / "run"]


def test_every_job_has_a_script_and_every_script_a_job() -> None:
    assert {path.stem for path in (REPO / "jobs").glob("*.py")} == set(all_jobs())


@pytest.mark.parametrize("job", sorted(all_jobs()))
def test_a_job_script_is_thin_and_shares_only_the_package(job: str) -> None:
    text = (REPO / "jobs" / f"{job}.py").read_text(encoding="utf-8")
    assert text.count("\n") <= 40
    assert re.findall(r"^(?:from|import) (\S+)", text, re.MULTILINE) == ["sys", "retail_spark.cli.main"]
    assert f'["run", "{job}", *sys.argv[1:]]' in text


def test_make_help_lists_every_target() -> None:
    text = (REPO / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    told = subprocess.run(["make", "help"], cwd=REPO, capture_output=True, text=True, check=True).stdout
    listed = {line.split()[1]: line.split(maxsplit=2)[2:] for line in told.splitlines() if line.startswith("make ")}
    assert set(listed) == targets
    assert all(listed.values()), "every target is explained"
    assert {"help", "setup", "demo", "test", "test-slow", "check", "grocery", "bench", "lock", "clean"} <= targets
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    assert set(phony.group(1).split()) == targets


@pytest.mark.parametrize("name", ["local", "cluster", "databricks"])
def test_shipped_settings_are_valid(name: str) -> None:
    settings = resolve(files=[REPO / "conf" / f"{name}.yml"])
    assert (settings.lake.catalog is not None) == (name == "databricks")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(REPO)))
def test_shell_scripts_parse_and_stop_at_the_first_error(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert script.stat().st_mode & 0o100, "executable"


@pytest.mark.parametrize("folder", ["spark_submit", "kubernetes"])
def test_clusters_get_the_same_delta(folder: str) -> None:
    lines = (REPO / "deploy" / folder / "spark-defaults.conf").read_text(encoding="utf-8").splitlines()
    conf = dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    assert DELTA.items() <= conf.items()
    assert conf.get("spark.jars.packages", SparkSettings().delta_package) == SparkSettings().delta_package


def test_databricks_has_one_job_for_each_script() -> None:
    bundle = yaml.safe_load((REPO / "deploy" / "databricks" / "databricks.yml").read_text(encoding="utf-8"))
    jobs = bundle["resources"]["jobs"]
    assert set(jobs) == set(all_jobs())
    for name, told in jobs.items():
        (task,) = told["tasks"]
        assert task["spark_python_task"]["python_file"] == f"../../jobs/{name}.py"


def test_pod_template_runs_as_nobody_special() -> None:
    pod = yaml.safe_load((REPO / "deploy" / "kubernetes" / "pod.yml").read_text(encoding="utf-8"))
    assert pod["kind"] == "Pod"
    assert pod["spec"]["securityContext"]["runAsUser"] > 0
