"""Finding the files of an input, naming them the same on every machine, pinning them.

A name that lies on the disk is read as itself, whatever signs it holds; only what the mapping wrote as a pattern
(`*`, `?`, `[...]`, `{a,b}`) is one. Spark takes every address for a pattern, so
the signs in it are escaped (`SourceFile.address`).
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from retail_spark.engine.job import SourcePin
from retail_spark.errors import InputError
from retail_spark.ingest.mapping import InputSpec
from retail_spark.lake.lake import Lake
from retail_spark.lake.table_name import TableName

Session = Callable[[], SparkSession]
"""What gives the session: files of this machine are found without one, so none is started for them."""
BINARY = "path string, modificationTime timestamp, length bigint, content binary"
_GLOB = frozenset("*?[{")
_SURE_GLOB = frozenset("*?")
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_HADOOP_SIGNS = re.compile(r"([\\{}\[\]*?])")
_UNREADABLE = re.compile("[:\x00-\x1f\x7f\ud800-\udfff]")
"""A colon (Hadoop takes what stands before it for a scheme), control characters, bytes that are no text."""
_CHUNK = 1 << 20


class NothingThereError(InputError):
    """An input without a single file."""


@dataclass(frozen=True)
class SourceFile:
    """A file by its address (`uri`, nothing in it escaped) and as every machine names it (`name`).

    `name` is relative to the input's base.
    """

    uri: str
    name: str
    size: int
    stamp: str = ""
    """Time of change: in nanoseconds for a file of this machine, else as Spark tells it."""

    @property
    def address(self) -> str:
        """What Spark's readers are asked for: this very file, whatever signs of a pattern are in its name."""
        return _escaped(self.uri)

    @property
    def local(self) -> Path | None:
        return Path("/" + self.uri.removeprefix("file:").lstrip("/")) if self.uri.startswith("file:") else None


@dataclass(frozen=True)
class Place:
    """Where an input's files lie: `folder` (or one file) by its very name, and the pattern below it, if any."""

    folder: str
    pattern: str
    base: str
    """What the names of files are relative to: data_root, or the folder before the pattern."""

    @property
    def shown(self) -> str:
        return f"{self.folder}/{self.pattern}" if self.pattern else self.folder

    @property
    def for_hadoop(self) -> str:
        """The place as Hadoop understands it: what is no pattern is escaped."""
        return "/".join(part for part in (_escaped(self.folder), self.pattern) if part)


def full_path(spec: InputSpec, data_root: str) -> str:
    """The path of the input with {data_root} filled in; absolute for local paths."""
    path = (spec.path or "").replace("{data_root}", data_root.rstrip("/"))
    return path if "://" in path else os.path.normpath(Path(path).absolute())


def place_of(spec: InputSpec, data_root: str) -> Place:
    """Where the input's files lie. `..` is resolved; what exists by its very name is no pattern."""
    path, root = full_path(spec, data_root), data_root.rstrip("/")
    root = root if "://" in root else os.path.normpath(Path(root).absolute())
    is_inside = path.startswith(f"{root}/")
    if "://" in path:
        return Place(path, "", root if is_inside else _base_by_signs(path))
    start = Path(root if is_inside else "/")
    parts = list(Path(path).relative_to(start).parts)
    while parts and not _SURE_GLOB.intersection(parts[0]) and (start / parts[0]).exists():
        start = start / parts.pop(0)
    while parts and not _GLOB.intersection(parts[0]):  # not there yet, but no pattern either
        start = start / parts.pop(0)
    if is_inside:
        base = root
    else:
        is_file = start.is_file() or (not start.exists() and "." in start.name)
        base = str(start.parent if is_file else start)
    return Place(str(start), "/".join(parts), base)


def find_files(session: Session | None, spec: InputSpec, *, name: str, data_root: str) -> tuple[SourceFile, ...]:
    """All files of an input, by name. `session` is only asked for files that are not on this machine.

    Raises InputError when there is none, and for a file whose name cannot be read.
    """
    place = place_of(spec, data_root)
    if "://" in place.folder:
        found = _remote(session(), place.folder, place.base) if session is not None else []
    else:
        found = _local(place)
    if not found:
        raise NothingThereError(
            f"inputs.{name}: there is no file at {place.shown}.",
            fix="check inputs." + name + ".path, and data_root if the path begins with it",
        )
    return tuple(sorted(found, key=lambda file: file.name))


def local_file(path: Path, base: str) -> SourceFile:
    """A file of this machine. Raises InputError for a name that Spark cannot read."""
    name = os.path.relpath(path, base)
    if _UNREADABLE.search(path.name):
        raise InputError(
            f"{ascii(name)[1:-1]}: a file cannot be read under a name with a colon, a control character or bytes that "
            "are no UTF-8.",
            fix="rename the file",
        )
    told = path.stat()
    return SourceFile(f"file:{path}", name, told.st_size, str(told.st_mtime_ns))


def pin_of(file: SourceFile) -> SourcePin:
    """The file by relative name, size and content; by time of change where it is not on this machine."""
    local = file.local
    if local is None:
        return SourcePin(file.name, file.size, f"changed {file.stamp}")
    digest = hashlib.blake2b(digest_size=16)
    with local.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return SourcePin(file.name, file.size, digest.hexdigest())


def pins_of(
    lake: Lake, name: str, spec: InputSpec, *, data_root: str, files: Sequence[SourceFile] | None = None
) -> tuple[SourcePin, ...]:
    """What identifies the input's content: files by content, Delta tables by version; anything else is never equal.

    The lake's session is asked for by tables and by files that are not on this machine, by nothing else.
    """
    if spec.from_ is not None:
        return ()
    if spec.is_files:
        chosen = files if files is not None else find_files(lambda: lake.spark, spec, name=name, data_root=data_root)
        return tuple(pin_of(file) for file in chosen)
    if spec.jdbc is not None:
        return (SourcePin(f"jdbc:{name}", 0, uuid.uuid4().hex),)
    where = f"delta.`{full_path(spec, data_root)}`" if spec.table is None else TableName.parse(spec.table).quoted
    try:
        newest = lake.spark.sql(f"DESCRIBE HISTORY {where}").select("version", "timestamp").limit(1).collect()[0]
    except AnalysisException:
        return (SourcePin(f"table:{name}", 0, uuid.uuid4().hex),)
    return (SourcePin(f"table:{name}", int(newest["version"]), str(newest["timestamp"])),)


def _escaped(address: str) -> str:
    return _HADOOP_SIGNS.sub(r"\\\1", address)


def _base_by_signs(path: str) -> str:
    fixed = path
    while any(sign in fixed for sign in _GLOB):
        fixed = fixed.rpartition("/")[0]
    return fixed.rpartition("/")[0] if fixed == path and "." in fixed.rpartition("/")[2] else fixed


def _local(place: Place) -> list[SourceFile]:
    start = Path(place.folder)
    places = {x for pattern in _alternatives(place.pattern) for x in start.glob(pattern)} if place.pattern else {start}
    files: set[Path] = set()
    for found in places:
        files |= {found} if found.is_file() else {x for x in found.rglob("*") if x.is_file()}
    below = Path(place.base) if start.is_relative_to(place.base) else start
    shown = [file for file in files if not any(p.startswith((".", "_")) for p in file.relative_to(below).parts)]
    return [local_file(file, place.base) for file in shown]


def _alternatives(pattern: str) -> list[str]:
    """The pattern for each of the words in its first braces, and so on: a{b,c} is ab and ac."""
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    words = found.group(1).split(",")
    return [x for word in words for x in _alternatives(pattern[: found.start()] + word + pattern[found.end() :])]


def _remote(spark: SparkSession, path: str, base: str) -> list[SourceFile]:
    reader = spark.read.format("binaryFile").schema(BINARY).option("recursiveFileLookup", "true")
    try:
        rows = reader.load(path).select("path", "length", "modificationTime").collect()  # a listing, not data
    except AnalysisException:
        return []
    return [
        SourceFile(row["path"], row["path"].removeprefix(base).lstrip("/"), row["length"], str(row["modificationTime"]))
        for row in rows
    ]
