"""An archive of the JVM's classes (AppCDS): a local session starts in half the time where there is one.

The set-up makes it once for the Java and the JARs that are found, in the user's cache, named by their fingerprint.
Without it, or where it does not fit, the JVM starts as ever: nothing depends on it. The class path must be the same
when the archive is made and when it is used, and hold no folder with files in it: Delta's JARs stand on
`spark.driver.extraClassPath` (classes of `spark.jars` come through another loader, which has no archive), and
SPARK_CONF_DIR names an empty folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

_QUIET = ("-Xshare:auto", "-Xlog:disable", "-Xlog:all=error:stderr")


def cache_folder() -> Path:
    """The user's cache of this package; nothing is created."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "retail-spark"


def archive_file(java_home: Path, jars: Sequence[Path]) -> Path:
    """Where the archive of this Java and these JARs lies, whether it is there or not."""
    release = java_home / "release"
    about = [str(java_home), release.read_text(encoding="utf-8", errors="replace") if release.is_file() else ""]
    # what the JVM itself compares when it decides whether an archive fits
    about += [f"{jar} {(stat := jar.stat()).st_size} {stat.st_mtime_ns}" for jar in jars]
    return cache_folder() / f"classes-{hashlib.sha256(chr(10).join(about).encode()).hexdigest()[:16]}.jsa"


def empty_conf_folder() -> Path:
    """A folder for SPARK_CONF_DIR without files, created where it is not there."""
    folder = cache_folder() / "empty-conf"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def use_options(archive: Path) -> list[str]:
    """JVM options that load the archive. A JVM that finds it unfit goes on without a word."""
    return [f"-XX:SharedArchiveFile={archive}", *_QUIET]


def make_options(archive: Path) -> list[str]:
    """JVM options that write the archive of all classes loaded so far when the JVM ends."""
    return [f"-XX:ArchiveClassesAtExit={archive}", *_QUIET]
