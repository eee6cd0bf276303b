"""Files as raw rows: every legal name, dialect and encoding is read as itself, or refused by its name."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from retail_spark.ingest.expressions import tolerant
from retail_spark.ingest.mapping import InputSpec
from retail_spark.ingest.reading import FILE, H1, MALFORMED, Raw, quoted, read_raw


def put(folder: Path, name: str, data: str | bytes) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)


def read(spark: SparkSession, tmp_path: Path, **spec: Any) -> Raw:
    folder = tmp_path / "in"
    given = InputSpec(path=str(folder), **spec)
    with tolerant(spark):
        return read_raw(spark, "lines", given, data_root=str(folder), scratch=tmp_path / "copies")


def rows(spark: SparkSession, raw: Raw, *columns: str) -> list[tuple[Any, ...]]:
    with tolerant(spark):
        return sorted((tuple(row) for row in raw.frame.select(*[quoted(c) for c in columns]).collect()), key=str)


def test_names_are_no_patterns_and_every_file_is_read_once(spark: SparkSession, tmp_path: Path):
    names = ["sales[1].csv", "sales1.csv", "a*.csv", "ab.csv", "a{b}.csv", "a\\b.csv", "q?.csv", "%41.csv", "h#i.csv"]
    for name in names:
        put(tmp_path / "in", name, f"a,b\n{name},1\n")
    raw = read(spark, tmp_path)
    assert rows(spark, raw, "a", FILE) == sorted(((name, name) for name in names), key=str)


def test_csv_of_many_dialects_in_one_folder(spark: SparkSession, tmp_path: Path):
    folder = tmp_path / "in"
    put(folder, "breaks.csv", 'a,b\n1,"x\ny"\n')
    put(folder, "case.csv", "B,A\nupper,2\n")
    put(folder, "semicolon.csv", "sep=;\r\na;b\r\n3;x,y\r\n")
    put(folder, "marked.csv", b"\xef\xbb\xbfa,b\n4,\xc3\xa9\n")
    put(folder, "header.csv", '"a",b,"two\nlines"\n5,z,w\n')
    put(folder, "hidden.csv", gzip.compress(b"a,b\n6,packed\n"))
    put(folder, "packed.csv.GZ", gzip.compress(b"sep=;\na;b\n8;too\n"))
    put(folder, "reserved.csv", "a,_rs_malformed,_metadata\n7,m,n\n")
    raw = read(spark, tmp_path)
    found = rows(spark, raw, "a", "b", FILE)
    assert found == [
        ("1", "x\ny", "breaks.csv"),
        ("2", "upper", "case.csv"),
        ("3", "x,y", "semicolon.csv"),
        ("4", "é", "marked.csv"),
        ("5", "z", "header.csv"),
        ("6", "packed", "hidden.csv"),
        ("7", None, "reserved.csv"),
        ("8", "too", "packed.csv.GZ"),
    ]
    others = rows(spark, raw, FILE, "a", "_malformed_1", "_metadata_2", "two\nlines", MALFORMED)
    assert [row for row in others if any(row[2:])] == [
        ("header.csv", "5", None, None, "w", None),
        ("reserved.csv", "7", "m", "n", None, None),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["windows-1252", "latin1", "utf8", "UTF-16", "cp850"])
@pytest.mark.parametrize("form", ["csv", "text", "json"])
def test_every_encoding_is_read_in_every_format(spark: SparkSession, tmp_path: Path, encoding: str, form: str):
    text = {"csv": "a,b\n1,café\n", "text": "1 café\n", "json": '{"a": 1, "b": "café"}\n'}[form]
    put(tmp_path / "in", f"x.{form}", text.encode(encoding))
    pattern = {"pattern": r"(?<a>\S+) (?<b>\S+)"} if form == "text" else {}
    raw = read(spark, tmp_path, format=form, encoding=encoding, **pattern)
    assert rows(spark, raw, "a", "b") == [("1", "café")]


def test_rows_before_the_header_are_skipped_and_a_name_gives_columns(spark: SparkSession, tmp_path: Path):
    put(tmp_path / "in", "north_2024.csv", 'Report of "sales"\n\na,b\n1,2\n')
    put(tmp_path / "in", "south_2024.csv", "Report\n\na,b\n1,2\n")
    put(tmp_path / "in", "other.csv.gz", gzip.compress(b"Report\n\na,b\n1,2\n"))
    raw = read(spark, tmp_path, skip_rows=2, file_pattern=r"(?<shop>[a-z]+)_(?<year>\d+)\.csv")
    found = rows(spark, raw, "a", "b", "shop", "year", H1)
    assert sorted(str(row[2:4]) for row in found) == ["('north', '2024')", "('south', '2024')", "(None, None)"]
    assert len({row[4] for row in found}) == 3  # equal lines of different shops are different rows


def test_json_of_many_shapes(spark: SparkSession, tmp_path: Path):
    put(tmp_path / "in", "a.json", '{"id": 1}{"id": 2}\n{"ID": "3", "n": {"x": "}{"}}\n{"id": 4} oops\n[1]\n')
    raw = read(spark, tmp_path, format="json")
    assert raw.columns == ("ID", "n")  # keys that differ by case alone are one column
    good = [("1", None), ("2", None), ("3", '{"x":"}{"}'), ("4", None)]
    assert rows(spark, raw, "ID", "n", MALFORMED) == sorted(
        [*[(*row, None) for row in good], (None, None, "1"), (None, None, "oops")], key=str
    )


@pytest.mark.slow
def test_a_json_document_is_its_objects(spark: SparkSession, tmp_path: Path):
    put(tmp_path / "in", "array.json", b'\xef\xbb\xbf[\n {"id": 1},\n {"id": 2.50}\n]\n')
    put(tmp_path / "in", "one.json", '{\n "id": 3\n}\n{\n "id": 4}')
    raw = read(spark, tmp_path, format="json", multiline=True)
    assert rows(spark, raw, "id", FILE) == [
        ("1", "array.json"),
        ("2.5", "array.json"),
        ("3", "one.json"),
        ("4", "one.json"),
    ]


def test_an_object_with_two_spellings_of_a_key_keeps_both(spark: SparkSession, tmp_path: Path):
    put(tmp_path / "in", "a.json", '{"id": 1, "ID": 2}\n')
    raw = read(spark, tmp_path, format="json")
    assert rows(spark, raw, *raw.columns) == [("2", "1")]
    assert raw.columns == ("ID", "id_1")


def test_parquet_types_may_drift_and_names_may_be_sparks_own(spark: SparkSession, tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, column in {
        "a": pa.array([1], pa.int32()),
        "b": pa.array([2], pa.int64()),
        "c": pa.array([2.5]),
        "d": pa.array([None], pa.null()),
        "e": pa.array(["x"]),
    }.items():
        own = {"ID" if name == "b" else "id": column, "_metadata": ["m"], "_rs_malformed": ["k"]}
        pq.write_table(pa.table(own), folder / f"{name}.parquet")
    raw = read(spark, tmp_path, format="parquet")
    assert raw.columns == ("id", "_metadata_1", "_malformed_2")
    assert rows(spark, raw, FILE, "id", "_metadata_1") == [
        ("a.parquet", "1", "m"),
        ("b.parquet", "2", "m"),
        ("c.parquet", "2.5", "m"),
        ("d.parquet", None, "m"),
        ("e.parquet", "x", "m"),
    ]
