"""Finds the Java that Spark needs. Imports no Spark, so that the set-up can ask before anything is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from retail_spark.errors import ServiceMissingError

VERSIONS = (17, 21)
JAVA_FIX = "install Java 17 or 21 (Debian: apt-get install openjdk-17-jre-headless) or set JAVA_HOME to one"
_JVMS = Path("/usr/lib/jvm")


def java_home(*, jvms: Path = _JVMS) -> Path:
    """The home of a usable Java: JAVA_HOME, else the java in PATH, else one under `jvms`; the first that fits.

    Raises ServiceMissingError that says what was found instead.
    """
    seen = []
    for home in _candidates(jvms):
        version = _version(home)
        if version in VERSIONS:
            return home
        seen.append(f"{home} is Java {version}" if version else f"{home} has no working java")
    if not seen:
        raise ServiceMissingError("there is no Java on this machine.", fix=JAVA_FIX)
    raise ServiceMissingError(f"Spark needs Java 17 or 21, but {'; '.join(dict.fromkeys(seen))}.", fix=JAVA_FIX)


def _candidates(jvms: Path) -> Iterator[Path]:
    given = os.environ.get("JAVA_HOME")
    if given:
        yield Path(given)
    in_path = shutil.which("java")
    if in_path:
        yield Path(in_path).resolve().parents[1]
    yield from sorted(java.parents[1] for java in jvms.glob("*/bin/java"))


def _version(home: Path) -> int | None:
    """Major version, from the `release` file where there is one: starting a JVM only to ask costs 0.1 s."""
    java = home / "bin" / "java"
    if not os.access(java, os.X_OK):
        return None
    release = home / "release"
    if release.is_file():
        found = re.search(r'^JAVA_VERSION="(\d+)', release.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    else:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
        found = re.search(r'version "(\d+)', said)
    return int(found.group(1)) if found else None
