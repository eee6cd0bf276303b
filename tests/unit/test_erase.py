"""Lists of people who leave, and how they are found in raw text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from retail_spark.config.secrets import SecretRef
from retail_spark.erase.deletion import pattern_of
from retail_spark.erase.job import ids_of
from retail_spark.errors import UsageError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "text", ["zoe\nbob\n", "zoe\r\nbob", '"zoe"\n"bob"\n', "customer_id\nzoe\nbob\n", '\n"ID"\n zoe \n\nbob\nbob\n']
)
def test_the_first_person_of_a_list_leaves_as_the_others_do(tmp_path: Path, text: str, encoding: str) -> None:
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    (tmp_path / "ids.txt").write_bytes((mark + text).encode(encoding))
    assert ids_of(SecretRef(f"file:{tmp_path}/ids.txt").reveal()) == ["bob", "zoe"]


def test_a_quote_inside_an_id_stays() -> None:
    assert ids_of('v"zoe\n"w""zoe"') == ['v"zoe', 'w"zoe']


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ids.zip").write_bytes(b"PK\x03\x04\xff\xff")
    with pytest.raises(UsageError, match="no text"):
        SecretRef(f"file:{tmp_path}/ids.zip").reveal()


def finds(person: str, raw: str) -> bool:
    """Python's `re` knows no \\p{L}: the same pattern with its nearest words."""
    letters = pattern_of(person).replace(r"\p{L}\p{N}_", r"\w").replace(r"\p{L}\p{N}", "A-Za-z0-9")
    return re.search(letters, raw) is not None


@pytest.mark.parametrize("person", ["c1", 'v"zoe', "ann@shop.example", "Zoë", "a.b", "17"])
def test_a_person_is_found_in_raw_text_of_every_kind(person: str) -> None:
    row = {"id": "5", "who": person}
    assert finds(person, json.dumps(row))
    assert finds(person, json.dumps(row, ensure_ascii=False))
    assert finds(person, json.dumps({"_malformed": json.dumps(row)})), "JSON that could not be parsed"
    quoted = person.replace('"', '""')
    assert finds(person, json.dumps({"_malformed": f'5,soon,"{quoted}",x'})), "a line that could not be parsed"
    assert finds(person, json.dumps({"_malformed": f"5;{person};soon."}))
    assert not finds(person, json.dumps({"who": f"{person}0"}))
    assert not finds(person, json.dumps({"who": f"x-{person}"}))
    assert not finds(person, json.dumps({"who": f"{person}.de"}))
