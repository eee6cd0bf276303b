"""Files are found by path, folder or glob, and named the same wherever the data lies."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import cast

import pytest
from pyspark.sql import SparkSession

from retail_spark.errors import InputError
from retail_spark.ingest.files import find_files, header_of, pin_of
from retail_spark.ingest.mapping import InputSpec

NO_SPARK = cast(SparkSession, None)  # files of this machine are found without Spark


def put(path: Path, data: bytes = b"a,b\n1,2\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(path: Path | str, root: Path) -> list[str]:
    found = find_files(NO_SPARK, InputSpec(path=str(path)), name="x", data_root=str(root))
    return [file.name for file in found]


def test_names_are_relative_to_the_data_root(tmp_path: Path):
    put(tmp_path / "data" / "shop" / "a.csv")
    assert names("{data_root}/shop/a.csv", tmp_path / "data") == ["shop/a.csv"]


def test_folder_and_glob_find_the_same_files_in_order(tmp_path: Path):
    for name in ("b.csv", "a.csv", "deep/c.csv", "_hidden.csv", ".tmp.csv"):
        put(tmp_path / "in" / name)
    assert names(tmp_path / "in", tmp_path / "elsewhere") == ["a.csv", "b.csv", "deep/c.csv"]
    assert names(tmp_path / "in" / "*.csv", tmp_path / "elsewhere") == ["a.csv", "b.csv"]


def test_missing_file_is_named_with_the_setting_to_look_at(tmp_path: Path):
    with pytest.raises(InputError, match=r"nothing\.csv") as caught:
        names(tmp_path / "nothing.csv", tmp_path)
    assert "inputs.x.path" in caught.value.fix


def test_pin_follows_content_and_not_place(tmp_path: Path):
    pins = []
    for root, data in (("one", b"a\n1\n"), ("two", b"a\n1\n"), ("three", b"a\n2\n")):
        put(tmp_path / root / "x.csv", data)
        (file,) = find_files(NO_SPARK, InputSpec(path="{data_root}/x.csv"), name="x", data_root=str(tmp_path / root))
        pins.append(pin_of(file))
    assert pins[0] == pins[1]
    assert pins[0] != pins[2]
    assert pins[0].size == pins[2].size


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (b"\xef\xbb\xbfa,b\r1,2\r", ("a", "b")),  # byte order mark, line ends CR only
        (b'"a, b","c""d"\n1,2\n', ("a, b", 'c"d')),
        (b"a,A,,a\n1,2,3,4\n", ("a", "A_1", "_c2", "a_3")),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), ("a", "b")),
    ],
)
def test_header_is_read_as_it_stands(tmp_path: Path, data: bytes, header: tuple[str, ...]):
    path = put(tmp_path / ("x.csv.gz" if data[:2] == b"\x1f\x8b" else "x.csv"), data)
    (file,) = find_files(NO_SPARK, InputSpec(path=str(path)), name="x", data_root=str(tmp_path))
    assert header_of(NO_SPARK, file, InputSpec(path=str(path))) == header


def test_file_that_is_not_what_it_is_called_is_refused(tmp_path: Path):
    path = put(tmp_path / "x.csv.gz", b"not gzip at all")
    (file,) = find_files(NO_SPARK, InputSpec(path=str(path)), name="x", data_root=str(tmp_path))
    with pytest.raises(InputError, match=r"x\.csv\.gz"):
        header_of(NO_SPARK, file, InputSpec(path=str(path)))
