"""Files are found by path, folder or glob, and named the same wherever the data lies."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_spark.errors import InputError
from retail_spark.ingest.files import find_files, pin_of, place_of
from retail_spark.ingest.mapping import InputSpec


def no_spark() -> SparkSession:
    pytest.fail("Spark was started for files of this machine")


def put(path: Path, data: bytes = b"a,b\n1,2\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(path: Path | str, root: Path) -> list[str]:
    found = find_files(no_spark, InputSpec(path=str(path)), name="x", data_root=str(root))
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
        (file,) = find_files(no_spark, InputSpec(path="{data_root}/x.csv"), name="x", data_root=str(tmp_path / root))
        pins.append(pin_of(file))
    assert pins[0] == pins[1]
    assert pins[0] != pins[2]
    assert pins[0].size == pins[2].size


@pytest.mark.parametrize("name", ["sales[1].csv", "a{b}.csv", "a\\b.csv", "50%41.csv", "q?.csv", "h#i.csv"])
def test_a_file_is_found_by_its_own_name_whatever_signs_it_holds(tmp_path: Path, name: str):
    put(tmp_path / "in" / name)
    put(tmp_path / "in" / "sales1.csv")
    assert names(tmp_path / "in", tmp_path) == sorted([f"in/{name}", "in/sales1.csv"])
    if not {"*", "?"} & set(name):
        assert names(tmp_path / "in" / name, tmp_path / "elsewhere") == [name]


@pytest.mark.parametrize("name", ["a:b.csv", "a\x1bb.csv", "a\nb.csv"])
def test_a_name_that_cannot_be_read_is_refused_and_shown_with_its_escapes(tmp_path: Path, name: str):
    put(tmp_path / "in" / name)
    with pytest.raises(InputError) as caught:
        names(tmp_path / "in", tmp_path)
    assert ascii(name)[1:-1] in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_root_with_signs_of_a_pattern_is_a_folder_and_braces_are_words(tmp_path: Path):
    root = tmp_path / "data[1]"
    for name in ("a.csv", "b.csv", "c.csv"):
        put(root / "shop" / name)
    put(tmp_path / "x.csv")
    assert names("{data_root}/shop/*.csv", root) == ["shop/a.csv", "shop/b.csv", "shop/c.csv"]
    assert names("{data_root}/shop/{a,c}.csv", root) == ["shop/a.csv", "shop/c.csv"]
    assert names("{data_root}/shop/[bc].csv", root) == ["shop/b.csv", "shop/c.csv"]
    assert names("{data_root}/../x.csv", root) == ["x.csv"]


def test_a_place_is_escaped_for_hadoop_but_for_its_pattern(tmp_path: Path):
    put(tmp_path / "data[1]" / "a.csv")
    place = place_of(InputSpec(path="{data_root}/*.csv"), str(tmp_path / "data[1]"))
    assert place.for_hadoop == f"{tmp_path}/data\\[1\\]/*.csv"
