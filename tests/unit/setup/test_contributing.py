"""The checklist of CONTRIBUTING.md is true: every domain has the files it asks for, and is named where it says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from retail_spark import __version__
from retail_spark.engine.catalogue import all_jobs

REPO = Path(__file__).parents[3]
TEXT = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")
ITEMS = re.findall(r"^- \[ \] `([^`]+)`", TEXT, re.MULTILINE)
DOMAINS = sorted(name for name, entry in all_jobs().items() if entry.package.startswith("retail_spark.domains."))


def test_the_checklist_is_there() -> None:
    assert len(ITEMS) == 11
    assert {"kpis", "recommend"} <= set(DOMAINS)


@pytest.mark.parametrize("job", DOMAINS)
@pytest.mark.parametrize("item", [item for item in ITEMS if "<job>" in item])
def test_every_domain_has_the_file(item: str, job: str) -> None:
    assert (REPO / item.replace("<job>", job)).is_file()


@pytest.mark.parametrize("job", DOMAINS)
@pytest.mark.parametrize("item", [item for item in ITEMS if "<job>" not in item])
def test_every_domain_is_named_in_the_file(item: str, job: str) -> None:
    text = (REPO / item).read_text(encoding="utf-8")
    assert re.search(rf'^(\| `{job}` \|| *{job}:| *"{job}": \()', text, re.MULTILINE), f"{item} does not name {job}"


def test_every_path_that_the_page_names_exists() -> None:
    paths = [path for path in re.findall(r"`([\w./-]+/[\w./-]*)`", TEXT) if not path.startswith(".venv")]
    assert len(paths) > 8
    assert [path for path in paths if not (REPO / path).exists()] == []


def test_every_make_target_that_the_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", TEXT)) <= targets


def test_hooks_are_local_and_run_what_the_environment_holds() -> None:
    repos = yaml.safe_load((REPO / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    assert {hook["language"] for hook in repos[0]["hooks"]} == {"system"}
    assert {hook["entry"].split()[0] for hook in repos[0]["hooks"]} == {
        ".venv/bin/ruff", ".venv/bin/mypy", ".venv/bin/lint-imports"
    }  # fmt: skip


def test_the_licence_that_the_package_states_is_the_one_that_lies_there() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE"])
    assert "Version 2.0, January 2004" in (REPO / "LICENSE").read_text(encoding="utf-8")


def test_the_changelog_has_this_version() -> None:
    log = (REPO / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(__version__)}\]", log, re.MULTILINE)
