"""What lies in a file is looked at before Spark reads it: kind, header, line breaks, what must be copied."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path
from typing import Any, cast

import pytest
from pyspark.sql import SparkSession

from retail_spark.errors import InputError
from retail_spark.ingest.contents import (
    Layout,
    check_kind,
    distinct,
    layout_of,
    mixes_line_ends,
    needs_copy,
    to_copy,
)
from retail_spark.ingest.files import SourceFile
from retail_spark.ingest.mapping import InputSpec
from retail_spark.ingest.objects import split_objects

NO_SPARK = cast(SparkSession, None)  # files of this machine are looked at without Spark


def put(folder: Path, name: str, data: bytes) -> SourceFile:
    path = folder / name
    path.write_bytes(data)
    return SourceFile(f"file:{path}", name, len(data), "1")


def csv_spec(**given: Any) -> InputSpec:
    return InputSpec(path="x", **given)


def layout(folder: Path, data: bytes, name: str = "x.csv", **given: Any) -> Layout:
    return layout_of(NO_SPARK, put(folder, name, data), csv_spec(**given))


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (b"\xef\xbb\xbfa,b\r1,2\r", ("a", "b")),  # byte order mark, line ends CR only
        (b'"a, b","c""d"\n1,2\n', ("a, b", 'c"d')),
        (b'"two\nlines",b\n1,2\n', ("two\nlines", "b")),
        (b"a,A,,a\n1,2,3,4\n", ("a", "A_1", "_c2", "a_3")),
        (b"a,_rs_malformed,_metadata\n1,2,3\n", ("a", "_malformed_1", "_metadata_2")),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), ("a", "b")),
        (bz2.compress(b"a,b\n1,2\n"), ("a", "b")),
    ],
)
def test_header_is_read_as_it_stands(tmp_path: Path, data: bytes, header: tuple[str, ...]):
    assert layout(tmp_path, data).header == header


@pytest.mark.parametrize(
    ("data", "has_breaks"),
    [
        (b'a,b\n1,"x\ny"\n', True),
        (b'a,b\n1,"x\r\ny"\n', True),
        (b'"a\nb",c\n1,2\n', True),
        (b'a,b\n1,"x""y"\n', False),
        (b'a,b\n5" pipe,2\n3,4\n', False),  # a quote inside a bare value opens nothing
        (b"a,b\n1,2\n", False),
    ],
)
def test_line_breaks_inside_quotes_are_found(tmp_path: Path, data: bytes, has_breaks: bool):
    assert layout(tmp_path, data).has_breaks is has_breaks
    assert layout(tmp_path, gzip.compress(data, mtime=0), name="x.csv.gz").has_breaks is has_breaks


def test_a_quote_left_open_is_told_and_not_read_to_the_end_of_the_file(tmp_path: Path):
    with pytest.raises(InputError, match=r"x\.csv .*left open"):
        layout(tmp_path, b'a,b\n1,"x\n' + b"2,y\n" * 50_000)


def test_a_file_names_its_own_separator_and_rows_before_the_header_are_skipped(tmp_path: Path):
    assert layout(tmp_path, b"sep=;\na;b\n1;2\n") == Layout(("a", "b"), ";", has_breaks=False)
    assert layout(tmp_path, b"Report\n\na,b\n1,2\n", skip_rows=2).header == ("a", "b")
    assert layout(tmp_path, "a,b\n1,2\n".encode("utf-16"), encoding="UTF-16").header == ("a", "b")


@pytest.mark.parametrize(
    ("name", "data", "seems"),
    [
        ("x.csv", b"PK\x03\x04rest", "zip archive"),
        ("x.csv", b"PAR1rest", "Parquet"),
        ("x.csv", "a,b\n".encode("utf-16"), "UTF-16"),
        ("x.csv", b"a,b\n\x00\x01\n", "binary data"),
        ("x.csv.gz", gzip.compress(b"PK\x03\x04rest", mtime=0), "zip archive"),
        ("x.csv.gz", b"not gzip at all", "cannot be read"),
        ("x.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:12], "cannot be read"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_name_with_what_it_seems_to_be(
    tmp_path: Path, name: str, data: bytes, seems: str
):
    with pytest.raises(InputError, match=rf"(?s){name.replace('.', '[.]')} .*{seems}"):
        check_kind(put(tmp_path, name, data), csv_spec())


def test_a_cut_parquet_file_is_refused_by_name(tmp_path: Path):
    with pytest.raises(InputError, match=r"x\.parquet is not parquet: .*cut off"):
        check_kind(put(tmp_path, "x.parquet", b"PAR1 and no end"), InputSpec(path="x", format="parquet"))


@pytest.mark.parametrize(
    ("name", "data", "spec", "needed"),
    [
        ("x.csv", b"a,b\n1,2\n", {}, False),
        ("x.csv", b"a,b\n\xe9,2\n", {"encoding": "windows-1252"}, False),
        ("x.csv", b"sep=;\na;b\n", {}, True),
        ("x.csv", b"title\na,b\n", {"skip_rows": 1}, True),
        ("x.csv", "a,b\n".encode("utf-16"), {"encoding": "UTF-16"}, True),
        ("x.csv", gzip.compress(b"a,b\n", mtime=0), {}, True),
        ("x.csv.GZ", gzip.compress(b"a,b\n", mtime=0), {}, False),
        ("x.csv.gz", gzip.compress(b"a,b\n", mtime=0), {}, False),
    ],
)
def test_only_what_spark_cannot_read_is_copied(
    tmp_path: Path, name: str, data: bytes, spec: dict[str, Any], needed: bool
):
    assert needs_copy(put(tmp_path, name, data), csv_spec(**spec)) is needed


def test_a_copy_holds_the_rows_alone_in_utf_8(tmp_path: Path):
    file = put(tmp_path, "x.csv", "title\nsep;é\n1;2\n".encode("utf-16"))
    copy = to_copy(file, csv_spec(encoding="UTF-16", skip_rows=1), tmp_path / "copies")
    assert copy.local is not None
    assert copy.local.read_text(encoding="utf-8") == "sep;é\n1;2\n"
    assert (copy.name, copy.stamp) == ("x.csv", "")


def test_names_that_differ_by_case_alone_are_told_apart():
    assert distinct(["a", "A", "_c1", ""]) == ("a", "A_1", "_c1", "_c3")


@pytest.mark.parametrize(
    ("text", "objects"),
    [
        ('{"a":1}{"a":2.50}', ['{"a":1}', '{"a":2.50}']),
        ('[{"a":1},\n {"b":"} {"}]', ['{"a":1}', '{"b":"} {"}']),
        ('{"a":1} oops', ['{"a":1}', "oops"]),
        ("{broken", ["{broken"]),
        ('{"a":[{"b":1},{"b":2}]}', ['{"a":[{"b":1},{"b":2}]}']),
        ("[]", []),
    ],
)
def test_objects_of_a_text_are_cut_as_they_stand(text: str, objects: list[str]):
    assert split_objects(text) == objects


def test_rows_with_breaks_inside_quotes_end_alike_in_a_copy(tmp_path: Path):
    file = put(tmp_path, "x.csv", b'"two\nlines",b\r\n1,"x\r\ny"\r\n')
    assert mixes_line_ends(file)
    copy = to_copy(file, csv_spec(), tmp_path / "copies", layout=Layout(("a", "b"), ",", has_breaks=True))
    assert copy.local is not None
    assert copy.local.read_bytes() == b'"two\nlines",b\n1,"x\r\ny"\n'
