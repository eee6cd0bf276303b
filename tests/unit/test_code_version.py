from __future__ import annotations

from pathlib import Path

import pytest

from retail_spark import __version__
from retail_spark.code_version import code_version, digest_of_modules


def digest(folder: Path, *without: str) -> str:
    digest_of_modules.cache_clear()
    return digest_of_modules(folder, without=frozenset(without))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name in ("shared.py", "forecast/job.py", "recommend/job.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# {name}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "moves"), [("shared.py", True), ("forecast/job.py", True), ("recommend/job.py", False)]
)
def test_a_change_of_the_code_that_a_job_stands_on_is_another_version(package: Path, changed: str, moves: bool) -> None:
    before = digest(package, "recommend")
    (package / changed).write_text("# another rule\n")
    assert (digest(package, "recommend") != before) == moves


def test_a_module_under_another_name_is_another_version(package: Path) -> None:
    before = digest(package)
    (package / "shared.py").rename(package / "moved.py")
    assert digest(package) != before


def test_each_job_has_a_version_of_its_own() -> None:
    versions = {code_version(f"retail_spark.{name}") for name in ("forecast", "recommend")}
    assert len(versions) == 2
    assert all(version.startswith(f"{__version__}+") for version in versions)
