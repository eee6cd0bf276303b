"""What lies in a file, before Spark reads it: its kind, its header, and whether Spark can read it as it stands."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from pyspark.sql import SparkSession

from retail_spark.errors import InputError, UsageError
from retail_spark.ingest.files import SourceFile
from retail_spark.ingest.mapping import InputSpec

_CHUNK = 1 << 20
_HEAD_BYTES = 1 << 18
_SPARKS_CHARSETS = {"utf-8": "UTF-8", "ascii": "US-ASCII", "iso8859-1": "ISO-8859-1"}
_WINDOWS = re.compile(r"cp(125\d)")
_SEPARATOR_LINE = re.compile(r"\ufeff?sep=(.)[\r\n]*", re.IGNORECASE)
_MAGIC = (
    (b"PK\x03\x04", "a zip archive, such as an Excel workbook"),
    (b"PAR1", "Parquet"),
    (b"Obj\x01", "Avro"),
    (b"ORC", "ORC"),
    (b"%PDF", "PDF"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"SQLite format 3\x00", "an SQLite database"),
)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_PACKED = {b"\x1f\x8b": ".gz", b"BZh": ".bz2"}
_BINARY_FORMATS = {"parquet": b"PAR1", "avro": b"Obj\x01"}


@dataclass(frozen=True)
class Layout:
    """How a CSV file is to be read."""

    header: tuple[str, ...]
    separator: str
    has_breaks: bool
    """A quoted value holds a line break, so that a row is more than a line."""


def charset_of(spec: InputSpec) -> str:
    """The encoding by the name that Spark knows it by."""
    name = codecs.lookup(spec.encoding).name
    windows = _WINDOWS.fullmatch(name)
    return f"windows-{windows.group(1)}" if windows else _SPARKS_CHARSETS.get(name, spec.encoding.upper())


def check_kind(file: SourceFile, spec: InputSpec) -> None:
    """Raises InputError, with what the file seems to be, when it is not of the input's format."""
    if file.local is None or file.size == 0:
        return
    try:
        with file.local.open("rb") as raw:
            head = raw.read(64)
        wanted = _BINARY_FORMATS.get(spec.format)
        if wanted is not None:
            is_whole = spec.format != "parquet" or _last_bytes(file.local) == wanted
            seems = "" if head.startswith(wanted) and is_whole else "cut off or something else"
        else:
            seems = _seems(head) or _seems_inside(file.local, spec)
    except (EOFError, OSError) as error:
        raise InputError(f"{file.name} cannot be read: {error}.", fix="deliver the file again, or remove it") from error
    if seems:
        raise InputError(
            f"{file.name} is not {spec.format}: it seems to be {seems}.",
            fix="remove the file from the input's folder, or correct format or encoding of the input",
        )


def layout_of(spark: SparkSession, file: SourceFile, spec: InputSpec) -> Layout:
    """How the CSV file is to be read. Raises InputError for an empty or unreadable header."""
    local = file.local
    try:
        if local is None:
            names, separator, has_breaks = _first_line_remote(spark, file, spec), spec.separator, bool(spec.multiline)
        else:
            names, separator = _first_line(local, spec)
            has_breaks = _has_breaks(local, spec, separator) if spec.multiline is None else spec.multiline
    except (UnicodeError, EOFError, OSError) as error:
        raise InputError(f"{file.name} cannot be read: {error}.", fix="mend or remove the file") from error
    except csv.Error as error:
        raise InputError(
            f"{file.name} cannot be read ({error}): a quote seems to be left open.",
            fix="mend the file, or set multiline: true if its values are that long, or false to read by line",
        ) from error
    if not spec.header:
        return Layout(tuple(f"_c{i}" for i in range(len(names))), separator, has_breaks)
    if not any(name.strip() for name in names):
        raise InputError(f"{file.name} has no header.", fix="mend or remove the file, or set header: false")
    return Layout(distinct(names), separator, has_breaks)


def needs_copy(file: SourceFile, spec: InputSpec) -> bool:
    """True for a text file that Spark cannot read as it stands: rows to skip, a `sep=` line, UTF-16, a packed file
    without the ending that says so. Raises UsageError when such a file is not on this machine.
    """
    codec = codecs.lookup(spec.encoding).name
    is_foreign = codec not in _SPARKS_CHARSETS and not _WINDOWS.fullmatch(codec)
    local = file.local
    if local is None:
        if spec.skip_rows or is_foreign:
            raise UsageError(
                f"{file.name}: skip_rows, and encodings other than UTF-8, ISO-8859-1 and windows-125x, need files on "
                "this machine.",
                fix="copy the files to a folder of this machine first",
            )
        return False
    with local.open("rb") as raw:
        head = raw.read(8)
    is_hidden = any(head.startswith(magic) and local.suffix.lower() != ending for magic, ending in _PACKED.items())
    return bool(spec.skip_rows) or is_foreign or is_hidden or (spec.format == "csv" and _named_separator(local, spec))


def mixes_line_ends(file: SourceFile) -> bool:
    """True for a file with carriage returns: beside line breaks inside quotes Spark may take the wrong end of a row."""
    if file.local is None:
        return False
    with _opened(file.local) as opened:
        return any(b"\r" in chunk for chunk in iter(lambda: opened.read(_CHUNK), b""))


def to_copy(file: SourceFile, spec: InputSpec, folder: Path, *, layout: Layout | None = None) -> SourceFile:
    """The file as UTF-8 without the rows to skip, under the same name in the folder; rows of a layout with breaks
    inside quotes end in a line feed.
    """
    source, target = file.local, folder / file.name
    if source is None:
        raise ValueError(f"{file.name} is not on this machine")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lines(source, spec) as lines, _written(target) as written:
        if layout is not None and layout.has_breaks:
            rows = (row for row in _rows(lines, spec, layout.separator) if row)
            csv.writer(written, lineterminator="\n", **_dialect(spec, layout.separator)).writerows(rows)
        else:
            written.writelines(lines)
    return SourceFile(f"file:{target}", file.name, target.stat().st_size)


def distinct(names: list[str]) -> tuple[str, ...]:
    """The names; an empty one as _c<place>; a repeated one (whatever its case) and one that Spark or ingest keeps for
    itself with its place behind it.
    """
    taken: set[str] = set()
    found = []
    for place, name in enumerate(names):
        name = name or f"_c{place}"
        while name.lower() in taken or is_reserved(name):
            name = f"{name.removeprefix('_rs')}_{place}"
        taken.add(name.lower())
        found.append(name)
    return tuple(found)


def is_reserved(name: str) -> bool:
    """True for a name that a raw column cannot have beside ingest's own columns and Spark's hidden one."""
    return name.lower().startswith("_rs_") or name.lower() in ("_metadata", "_erased")


def _seems(head: bytes) -> str:
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")


def _seems_inside(path: Path, spec: InputSpec) -> str:
    """What the (unpacked) text seems to be when it is none."""
    with _opened(path) as opened:
        head = opened.read(4096)
    codec = codecs.lookup(spec.encoding).name
    if codec.startswith(("utf-16", "utf-32")):
        return ""
    if head.startswith(_UTF_16):
        return "UTF-16 (or set encoding: UTF-16)"
    return _seems(head) or ("binary data" if b"\x00" in head else "")


def _last_bytes(path: Path) -> bytes:
    with path.open("rb") as opened:
        opened.seek(-4, io.SEEK_END)
        return opened.read()


def _first_line(path: Path, spec: InputSpec) -> tuple[list[str], str]:
    """The values of the first row after those to skip, and the separator: the file's own, if it names one."""
    separator = _separator(path, spec)
    with _lines(path, spec) as lines:
        start = "".join(islice(lines, 1000))[:_HEAD_BYTES]
    rows = _rows(io.StringIO(start, newline=""), spec, separator)
    return next((row for row in rows if row), []), separator


def _rows(lines: Iterator[str] | io.StringIO, spec: InputSpec, separator: str) -> Iterator[list[str]]:
    return csv.reader(lines, **_dialect(spec, separator))


def _dialect(spec: InputSpec, separator: str) -> dict[str, Any]:
    is_doubled = spec.escape in ("", spec.quote)
    return {
        "delimiter": separator,
        "quotechar": spec.quote or None,
        "quoting": csv.QUOTE_MINIMAL if spec.quote else csv.QUOTE_NONE,
        "doublequote": is_doubled,
        "escapechar": None if is_doubled else spec.escape,
    }


def _has_breaks(path: Path, spec: InputSpec, separator: str) -> bool:
    """True when a quoted value holds a line break. Lines are only parsed where a line has an odd number of quotes."""
    is_by_bytes = not codecs.lookup(spec.encoding).name.startswith(("utf-16", "utf-32"))
    if not spec.quote or (is_by_bytes and not _is_odd_somewhere(path, spec.quote.encode())):
        return False
    with _lines(path, spec) as lines:
        reader = _rows(lines, spec, separator)
        return any(any("\n" in value or "\r" in value for value in row) for row in reader)


def _is_odd_somewhere(path: Path, quote: bytes) -> bool:
    inside = 0
    with _opened(path) as opened:
        while chunk := opened.read(_CHUNK):
            if quote not in chunk and not inside:
                continue
            data = np.frombuffer(chunk, np.uint8)
            quotes = np.flatnonzero(data == quote[0])
            ends = np.flatnonzero((data == 10) | (data == 13))
            if ((np.searchsorted(quotes, ends) + inside) & 1).any():
                return True
            inside = (len(quotes) + inside) & 1
    return False


def _separator(path: Path, spec: InputSpec) -> str:
    with _text(path, spec) as text:
        found = _SEPARATOR_LINE.fullmatch(text.readline())
    return found.group(1) if found and spec.format == "csv" else spec.separator


def _named_separator(path: Path, spec: InputSpec) -> bool:
    with _text(path, spec) as text:
        return _SEPARATOR_LINE.fullmatch(text.readline()) is not None


@contextmanager
def _lines(path: Path, spec: InputSpec) -> Iterator[Iterator[str]]:
    """The lines with their ends, without a `sep=` line and the rows to skip."""
    named = spec.format == "csv" and _named_separator(path, spec)
    with _text(path, spec) as text:
        yield islice(text, spec.skip_rows + named, None)


@contextmanager
def _text(path: Path, spec: InputSpec) -> Iterator[io.TextIOWrapper]:
    encoding = "utf-8-sig" if codecs.lookup(spec.encoding).name == "utf-8" else spec.encoding
    with (
        _opened(path) as opened,
        io.TextIOWrapper(opened, encoding=encoding, errors="replace", newline="") as text,
    ):
        yield text


def _opened(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked: by what it is, or by what its ending says it were."""
    with path.open("rb") as raw:
        head = raw.read(3)
    ending = path.suffix.lower()
    if ending == ".gz" or head.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(path, "rb"))
    return cast(IO[bytes], bz2.open(path, "rb")) if ending == ".bz2" or head == b"BZh" else path.open("rb")


def _written(path: Path) -> IO[str]:
    """The file to write, packed if its name says so: by the name Spark decides how to read it, whatever its case."""
    openers = {".gz": gzip.open, ".bz2": bz2.open}
    opener: Any = openers.get(path.suffix.lower(), open)
    return cast(IO[str], opener(path, "wt", encoding="utf-8", newline=""))


def _first_line_remote(spark: SparkSession, file: SourceFile, spec: InputSpec) -> list[str]:
    options = {"sep": spec.separator, "quote": spec.quote, "escape": spec.escape, "encoding": charset_of(spec)}
    return spark.read.options(**options).csv(file.address, header=spec.header).columns
