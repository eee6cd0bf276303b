"""The lock files: everything pinned and hashed, no address, and in step with pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPO = Path(__file__).parents[3]
LOCKS = sorted(REPO.glob("requirements*.lock"))
PINNED = re.compile(r"^[a-z0-9][a-z0-9.-]*==\S+( ; [^\\]+)?$")
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def entries(lock: Path) -> list[list[str]]:
    """One list per package: its pin, then its hashes; comments left out."""
    lines = [line for line in lock.read_text(encoding="utf-8").splitlines() if not line.strip().startswith("#")]
    text = "\n".join(lines).replace(" \\\n", "\n")
    found: list[list[str]] = []
    for line in filter(None, text.splitlines()):
        if line.startswith(" "):
            found[-1].append(line.strip())
        else:
            found.append([line.rstrip()])
    return found


def pins(*locks: Path) -> dict[str, str]:
    """Package -> version that this machine's Python installs."""
    requirements = [Requirement(entry[0]) for lock in locks for entry in entries(lock)]
    here = default_environment()
    return {
        canonicalize_name(r.name): str(r.specifier).removeprefix("==")
        for r in requirements
        if r.marker is None or r.marker.evaluate(dict(here))
    }


def test_the_locks_are_there() -> None:
    assert [lock.name for lock in LOCKS] == [
        "requirements-build.lock",
        "requirements-grocery.lock",
        "requirements-uv.lock",
        "requirements.lock",
    ]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_is_pinned_with_sha256_hashes(lock: Path) -> None:
    assert entries(lock)
    for pin, *hashes in entries(lock):
        assert PINNED.match(pin), pin
        assert hashes, f"{pin} has no hash"
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", given) for given in hashes), pin


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_no_lock_names_an_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host|@ ", text)


@pytest.mark.parametrize(("extra", "lock"), [(None, None), ("dev", None), ("grocery", "requirements-grocery.lock")])
def test_the_lock_satisfies_pyproject(extra: str | None, lock: str | None) -> None:
    wanted = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    pinned = pins(REPO / "requirements.lock", *([REPO / lock] if lock else []))
    for requirement in map(Requirement, wanted):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not locked: make lock"
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}: make lock"


def test_the_grocery_lock_repeats_nothing() -> None:
    assert not set(pins(REPO / "requirements-grocery.lock")) & set(pins(REPO / "requirements.lock"))
