"""Samples of the real files: every n-th line as it stands, so that dates, stores and line ends are the file's."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

SAMPLED_LINES = 600
"""Lines kept of a large file; the lines of a file with no more than MOST_WHOLE are all kept."""
MOST_WHOLE = 9_000


def sample_folder(source: Path, target: Path) -> None:
    """Writes a sample of every CSV file of the folder, under its own name."""
    target.mkdir(parents=True)
    for path in source.iterdir():
        if ".csv" in path.suffixes:
            _write(target / path.name, _sampled(_read(path)))


def keep_lines_of(path: Path, whole: Path, *, column: str, values: set[str]) -> None:
    """Puts into the sample all lines of the whole file that have one of the values: what another sample refers to."""
    lines = [line for line in read_lines(whole) if line[column] in values]
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, lines[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    _write(path, out.getvalue().encode())


def read_lines(path: Path) -> list[dict[str, str]]:
    """The lines of a sample as the csv module reads them."""
    return list(csv.DictReader(io.StringIO(_read(path).decode("utf-8-sig"), newline="")))


def _sampled(whole: bytes) -> bytes:
    end = b"\n" if b"\n" in whole else b"\r"
    header, *lines = whole.strip(end).split(end)
    if len(lines) > MOST_WHOLE:
        step = len(lines) / SAMPLED_LINES
        lines = [lines[int(number * step)] for number in range(SAMPLED_LINES)]
    return end.join([header, *lines]) + end


def _read(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
