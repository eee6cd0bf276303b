"""The version of the code that a run stands on: changed code is another run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from retail_spark import __version__
from retail_spark.engine.catalogue import all_jobs

_NOT_CODE = frozenset({"conf"})
"""The ready mappings, which only a wheel carries: they are settings, and a run id holds those already."""


def code_version(package: str) -> str:
    """The package's version with a digest of the modules that a job of `package` stands on.

    These are the job's own package and all shared rooms; a change in another domain makes no new run of this one.
    """
    others = {entry.package for entry in all_jobs().values()} - {package}
    folders = frozenset(name.partition(".")[2].replace(".", "/") for name in others)
    return f"{__version__}+{_digest_of_the_package(folders | _NOT_CODE)}"


def digest_of_modules(root: Traversable, *, without: frozenset[str]) -> str:
    """Twelve hex digits of the names and contents of all modules and data files, but for those of some subfolders.

    Args:
        root: the package, a folder or a zip: Spark imports a shipped wheel without unpacking it.
        without: subfolders of `root`, such as `domains/forecast`.

    Raises:
        RuntimeError: there is no module at all, so that changes could not be seen.
    """
    digest = hashlib.sha256()
    modules = 0
    for name, file in sorted(_modules(root, ""), key=lambda module: module[0]):
        if not any(name.startswith(f"{folder}/") for folder in without):
            digest.update(f"{name}\0".encode() + file.read_bytes() + b"\0")
            modules += name.endswith(".py")
    if not modules:
        raise RuntimeError(f"{root} holds no module: the version of the code cannot be told")
    return digest.hexdigest()[:12]


@cache
def _digest_of_the_package(without: frozenset[str]) -> str:
    return digest_of_modules(files("retail_spark"), without=without)


def _modules(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _modules(entry, f"{prefix}{entry.name}/")
        elif not entry.name.endswith(".pyc"):
            yield prefix + entry.name, entry
