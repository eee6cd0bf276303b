"""Files of every dialect against a reader written with csv and json: the same rows of every file, none lost.

An example of Hypothesis is a folder of files that are read in one go; RETAIL_SPARK_TEST_FOLDERS says how many folders
(`tests.benchmarks.ingest_fuzz` runs 200).
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_spark.ingest.contents import charset_of
from retail_spark.ingest.expressions import tolerant
from retail_spark.ingest.mapping import InputSpec
from retail_spark.ingest.reading import FILE, MALFORMED, Raw, quoted, read_raw

FOLDERS = int(os.environ.get("RETAIL_SPARK_TEST_FOLDERS", "4"))
FILES = 10
COLUMNS = ("id", "name", "what")
NAMES = ["a[1]", "a1", "b*", "bc", "c{d}", "cd", "e?", "%41", "h#i", "p+q", "s p", "w\\x", "\u00e9", "d,e", "l'm"]
PACKED = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".GZ": gzip.compress}
TEXT = st.text(alphabet="ab\u00e9\u20ac ;,\t|\"'\n\r0#\\", max_size=6)
QUICK = settings(
    max_examples=FOLDERS,
    deadline=None,
    derandomize=FOLDERS <= 4,
    suppress_health_check=list(HealthCheck),
    database=None,
)
Row = tuple[str, ...]


@dataclass(frozen=True)
class Written:
    """A file as it is put: its ending, and its rows as the library of Python reads them back."""

    ending: str
    data: bytes
    rows: Counter[Row]
    malformed: int


@st.composite
def csv_file(draw: st.DrawFn, spec: InputSpec) -> Written:
    """Rows of three columns in any order and case, some cells too few or too many, perhaps with a line `sep=`."""
    header = draw(st.permutations([draw(st.sampled_from([c, c.upper()])) for c in COLUMNS]))
    rows = draw(st.lists(st.lists(TEXT, min_size=3, max_size=3), max_size=5))
    odd = draw(st.lists(st.lists(TEXT, min_size=4, max_size=5), max_size=1))
    own = draw(st.sampled_from([None, None, ";", "|"]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    out = io.StringIO(newline="")
    out.write("a line before\n" * spec.skip_rows if own is None else f"sep={own}{end}" + "skip\n" * spec.skip_rows)
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    writer = csv.writer(out, delimiter=own or spec.separator, quoting=quoting, lineterminator=end)
    writer.writerows([header, *rows, *odd])
    data = out.getvalue().encode(spec.encoding, errors="replace")
    ending, pack = draw(st.sampled_from(sorted(PACKED.items(), key=str)))
    return Written(f".csv{ending}", pack(data), *read_csv(data, spec, own))


def read_csv(data: bytes, spec: InputSpec, own: str | None) -> tuple[Counter[Row], int]:
    lines = io.StringIO(data.decode(spec.encoding), newline="")
    for _ in range(spec.skip_rows + (own is not None)):
        lines.readline()
    header, *rows = [row for row in csv.reader(lines, delimiter=own or spec.separator) if row]
    place = [[name.lower() for name in header].index(column) for column in COLUMNS]
    good = Counter(tuple(row[at] for at in place) for row in rows if len(row) == len(header))
    return good, sum(len(row) != len(header) for row in rows)


@st.composite
def json_file(draw: st.DrawFn, spec: InputSpec) -> Written:
    """Objects one a line, several a line, or in an array; some lines are no JSON."""
    objects = draw(
        st.lists(st.dictionaries(st.sampled_from(COLUMNS), st.one_of(TEXT, st.integers()), max_size=3), max_size=6)
    )
    texts = [json.dumps(one, ensure_ascii=draw(st.booleans())) for one in objects]
    if spec.multiline:
        text = f"[{', '.join(texts)}]" if draw(st.booleans()) else "\n".join(texts)
        broken = 0
    else:
        text = "".join(one + draw(st.sampled_from(["\n", "\r\n", "", " "])) for one in texts)
        broken = draw(st.integers(0, 1))
        text += "\n{broken" * broken
    data = text.encode(spec.encoding, errors="replace")
    decoded = [{k: json.loads(json.dumps(v)) for k, v in one.items()} for one in objects]
    good = Counter(tuple(_encoded(str(one.get(c, "")), spec) for c in COLUMNS) for one in decoded)
    return Written(".json", data, good, broken)


def _encoded(text: str, spec: InputSpec) -> str:
    return text.encode(spec.encoding, errors="replace").decode(spec.encoding)


CSV_SPECS = st.builds(
    lambda separator, encoding, skip: InputSpec(path="x", separator=separator, encoding=encoding, skip_rows=skip),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8", "windows-1252", "UTF-16", "cp850"]),
    st.sampled_from([0, 0, 2]),
)
JSON_SPECS = st.builds(
    lambda encoding, multiline: InputSpec(path="x", format="json", encoding=encoding, multiline=multiline),
    st.sampled_from(["utf-8", "UTF-16"]),
    st.booleans(),
)


@pytest.mark.slow
@QUICK
@given(data=st.data())
def test_csv_files_are_read_as_csv_reads_them(spark: SparkSession, tmp_path: Path, data: st.DataObject):
    spec = data.draw(CSV_SPECS)
    assert_read(spark, tmp_path, spec, data.draw(st.lists(csv_file(spec), min_size=1, max_size=FILES)))


@pytest.mark.slow
@QUICK
@given(data=st.data())
def test_json_files_are_read_as_json_reads_them(spark: SparkSession, tmp_path: Path, data: st.DataObject):
    spec = data.draw(JSON_SPECS)
    files = data.draw(st.lists(json_file(spec), min_size=1, max_size=FILES))
    assert_read(spark, tmp_path, spec, [file for file in files if file.data])


def assert_read(spark: SparkSession, tmp_path: Path, spec: InputSpec, files: list[Written]) -> None:
    folder = tmp_path / "in"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    by_name = {f"{name}{file.ending}": file for name, file in zip(NAMES, files, strict=False)}
    for name, file in by_name.items():
        (folder / name).write_bytes(file.data)
    if not by_name:
        return
    assert charset_of(spec)
    given_ = spec.model_copy(update={"path": str(folder)})
    with tolerant(spark):
        raw = read_raw(spark, "x", given_, data_root=str(folder), scratch=tmp_path / "copies")
        found = collected(raw)
    expected = {name: (file.rows, file.malformed) for name, file in by_name.items() if file.rows or file.malformed}
    assert found == expected


def collected(raw: Raw) -> dict[str, tuple[Counter[Row], int]]:
    """File -> its rows and the number of its malformed ones; no value is the empty text."""
    by_lower = {column.lower(): column for column in raw.columns}
    values = [F.coalesce(quoted(by_lower[c]), F.lit("")) if c in by_lower else F.lit("") for c in COLUMNS]
    rows: list[Any] = raw.frame.select(FILE, MALFORMED, *values).collect()
    found: dict[str, tuple[Counter[Row], int]] = {}
    for name, malformed, *row in rows:
        good, bad = found.get(name, (Counter(), 0))
        if malformed is None:
            good[tuple(row)] += 1
        found[name] = (good, bad + (malformed is not None))
    return found
