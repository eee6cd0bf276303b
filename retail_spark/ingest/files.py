"""Finding the files of an input, naming them the same on every machine, pinning them, reading their headers."""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from retail_spark.errors import InputError
from retail_spark.ingest.mapping import InputSpec
from retail_spark.run import SourcePin

BINARY = "path string, modificationTime timestamp, length bigint, content binary"
_GLOB = frozenset("*?[{")
_CHUNK = 1 << 20
_HEADER_BYTES = 1 << 18


@dataclass(frozen=True)
class SourceFile:
    """A file as Spark is asked for it (`uri`, nothing in it escaped) and as every machine names it (`name`).

    `name` is relative to the input's base.
    """

    uri: str
    name: str
    size: int
    stamp: str = ""
    """Time of change, for a file that is not on this machine's file system."""

    @property
    def local(self) -> Path | None:
        return Path("/" + self.uri.removeprefix("file:").lstrip("/")) if self.uri.startswith("file:") else None


def full_path(spec: InputSpec, data_root: str) -> str:
    """The path of the input with {data_root} filled in; absolute for local paths."""
    path = (spec.path or "").replace("{data_root}", data_root.rstrip("/"))
    return path if "://" in path else str(Path(path).absolute())


def base_of(path: str, data_root: str) -> str:
    """The part of the path that file names are relative to: data_root, or the folder before the first wildcard."""
    root = data_root.rstrip("/")
    root = root if "://" in root else str(Path(root).absolute())
    if path.startswith(f"{root}/"):
        return root
    fixed = path
    while any(sign in fixed for sign in _GLOB):
        fixed = fixed.rpartition("/")[0]
    return fixed.rpartition("/")[0] if fixed == path and "." in fixed.rpartition("/")[2] else fixed


def find_files(spark: SparkSession, spec: InputSpec, *, name: str, data_root: str) -> tuple[SourceFile, ...]:
    """All files of an input, by name. Raises InputError when there is none."""
    path = full_path(spec, data_root)
    base = base_of(path, data_root)
    found = _remote(spark, path, base) if "://" in path else _local(path, base)
    if not found:
        raise InputError(
            f"inputs.{name}: there is no file at {path}.",
            fix="check inputs." + name + ".path, and data_root if the path begins with it",
        )
    return tuple(sorted(found, key=lambda file: file.name))


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


def header_of(spark: SparkSession, file: SourceFile, spec: InputSpec) -> tuple[str, ...]:
    """The columns a CSV file names, in its own order. Raises InputError for an empty or unreadable header."""
    local = file.local
    try:
        names = _first_line(local, spec) if local is not None else _first_line_remote(spark, file, spec)
    except (UnicodeDecodeError, EOFError, OSError, csv.Error) as error:
        raise InputError(f"{file.name}: its header cannot be read ({error}).", fix="mend or remove the file") from error
    if not spec.header:
        return tuple(f"_c{i}" for i in range(len(names)))
    if not any(name.strip() for name in names):
        raise InputError(f"{file.name} has no header.", fix="mend or remove the file, or set header: false")
    return tuple(_distinct(names))


def _local(path: str, base: str) -> list[SourceFile]:
    anchor = Path(path).anchor
    has_wildcard = any(sign in path for sign in _GLOB)
    places = list(Path(anchor).glob(str(Path(path).relative_to(anchor)))) if has_wildcard else [Path(path)]
    files: list[Path] = []
    for place in places:
        files += [place] if place.is_file() else [x for x in place.rglob("*") if x.is_file()]
    shown = {file for file in files if not any(p.startswith((".", "_")) for p in file.relative_to(base).parts)}
    return [SourceFile(_uri(file), str(file.relative_to(base)), file.stat().st_size) for file in shown]


def _uri(file: Path) -> str:
    return f"file:{file}"


def _remote(spark: SparkSession, path: str, base: str) -> list[SourceFile]:
    reader = spark.read.format("binaryFile").schema(BINARY).option("recursiveFileLookup", "true")
    try:
        rows = reader.load(path).select("path", "length", "modificationTime").collect()  # a listing, not data
    except AnalysisException:
        return []
    return [
        SourceFile(
            row["path"],
            row["path"].removeprefix(base).lstrip("/"),
            row["length"],
            str(row["modificationTime"]),
        )
        for row in rows
    ]


def _first_line(path: Path, spec: InputSpec) -> list[str]:
    with _opened(path) as opened:
        start = opened.read(_HEADER_BYTES)
    encoding = "utf-8-sig" if spec.encoding.upper().replace("-", "") == "UTF8" else spec.encoding
    text = start.decode(encoding, errors="replace")
    rows = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=spec.separator,
        quotechar=spec.quote or None,
        quoting=csv.QUOTE_MINIMAL if spec.quote else csv.QUOTE_NONE,
    )
    return next((row for row in rows if row), [])


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    return cast(IO[bytes], bz2.open(path, "rb")) if path.suffix == ".bz2" else path.open("rb")


def _first_line_remote(spark: SparkSession, file: SourceFile, spec: InputSpec) -> list[str]:
    options = {"sep": spec.separator, "quote": spec.quote, "escape": spec.escape, "encoding": spec.encoding}
    return spark.read.options(**options).csv(file.uri, header=spec.header).columns


def _distinct(names: list[str]) -> list[str]:
    """The names, a repeated one (whatever its case) with its place behind it; an empty one as _c<place>."""
    taken: set[str] = set()
    distinct = []
    for place, name in enumerate(names):
        name = name or f"_c{place}"
        name = f"{name}_{place}" if name.lower() in taken else name
        taken.add(name.lower())
        distinct.append(name)
    return distinct
