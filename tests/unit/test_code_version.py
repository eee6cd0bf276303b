from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from retail_spark import __version__
from retail_spark.engine.code_version import code_version, digest_of_modules
from tests.cluster.processes import built_wheel


def digest(folder: Path, *without: str) -> str:
    return digest_of_modules(folder, without=frozenset(without))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name in ("shared.py", "forecast/job.py", "recommend/job.py"):
        path = tmp_path / "package" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(f"# {name}\n")
    return tmp_path / "package"


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


def test_compiled_modules_are_not_looked_at(package: Path) -> None:
    before = digest(package)
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "shared.cpython-311.pyc").write_bytes(b"compiled")
    assert digest(package) == before


def test_a_wheel_that_is_imported_as_a_zip_has_the_version_of_its_folder(package: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "shipped.zip"
    with zipfile.ZipFile(wheel, "w") as written:
        for path in package.rglob("*.py"):
            written.write(path, f"retail/{path.relative_to(package)}")
    assert digest_of_modules(zipfile.Path(wheel, "retail/"), without=frozenset({"recommend"})) == digest(
        package, "recommend"
    )


def test_the_wheel_of_this_checkout_has_the_version_of_the_checkout(tmp_path: Path) -> None:
    wheel = built_wheel(tmp_path)
    code = (
        "import sys, retail_spark; from retail_spark.engine.code_version import code_version as of; "
        "print(retail_spark.__file__); print(of('retail_spark.domains.forecast'))"
    )
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    line = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(wheel)!r}); {code}"]
    where, version = subprocess.run(
        line, cwd=tmp_path, env=bare, check=True, capture_output=True, text=True
    ).stdout.split()
    assert where.startswith(str(wheel))
    assert version == code_version("retail_spark.domains.forecast")


def test_a_package_without_modules_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no module"):
        digest(tmp_path)


def test_each_job_has_a_version_of_its_own() -> None:
    versions = {code_version(f"retail_spark.domains.{name}") for name in ("forecast", "recommend")}
    assert len(versions) == 2
    assert all(version.startswith(f"{__version__}+") for version in versions)
