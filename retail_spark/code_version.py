"""The version of the code that a run stands on: changed code is another run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from retail_spark import __version__
from retail_spark.domains import JOBS

_PACKAGE = Path(__file__).parent


def code_version(package: str) -> str:
    """The package's version with a digest of the modules that a job of `package` stands on.

    These are the job's own package and all shared rooms; a change in another domain makes no new run of this one.
    """
    others = frozenset(entry.package.rpartition(".")[2] for entry in JOBS.values()) - {package.rpartition(".")[2]}
    return f"{__version__}+{digest_of_modules(_PACKAGE, without=others)}"


@cache
def digest_of_modules(folder: Path, *, without: frozenset[str]) -> str:
    """Twelve hex digits of the names and contents of all modules and data files, but for those of some subfolders."""
    digest = hashlib.sha256()
    for name, path in _modules(folder):
        if name.partition("/")[0] not in without:
            digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _modules(folder: Path) -> Iterable[tuple[str, Path]]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sorted((path.relative_to(folder).as_posix(), path) for path in files)
