from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_spark.errors import UsageError
from retail_spark.lake.table_name import TableName

parts = st.lists(
    st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=30), min_size=1, max_size=3
)


@given(parts)
def test_any_name_survives_quoting_and_parsing(given_parts: list[str]) -> None:
    name = TableName.of(*given_parts)
    assert TableName.parse(name.quoted) == name
    assert TableName.parse(str(name)) == name


@given(parts)
def test_a_quoted_name_is_one_identifier_to_sql(given_parts: list[str]) -> None:
    """Outside its backtick pairs, a quoted name holds nothing but the dots between its parts."""
    rest = TableName.of(*given_parts).quoted.replace("``", "")
    outside = "".join(rest.split("`")[::2])
    assert outside == "." * (len(given_parts) - 1)


@given(st.text(max_size=40))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        name = TableName.parse(text)
    except UsageError:
        return
    assert TableName.parse(name.quoted) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a.b.c.d",
        "a b",
        "a;b",
        "a-b",
        "a`b",
        "`a",
        "``",
        "a\n",
        "a\x00b",
        "`a\nb`",
        "1a",
        "`a\x00b`",
        "a.b;drop table c",
    ],
)
def test_what_is_not_a_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a table name"):
        TableName.parse(text)


@pytest.mark.parametrize(
    ("text", "parts_"),
    [
        ("sales", ("sales",)),
        ("silver.sales", ("silver", "sales")),
        ("`my lake`.`a``b`.ü", None),
        ("`x;y`.z", ("x;y", "z")),
    ],
)
def test_plain_and_quoted_parts(text: str, parts_: tuple[str, ...] | None) -> None:
    if parts_ is None:
        with pytest.raises(UsageError):
            TableName.parse(text)
    else:
        assert TableName.parse(text).parts == parts_


def test_a_path_lake_takes_plain_lower_case_names_only() -> None:
    assert TableName.parse("silver.sales").folders == ("silver", "sales")
    for text in ("sales", "a.b.c", "silver.`a/b`", "silver.Sales", "`..`.sales"):
        with pytest.raises(UsageError, match="path lake"):
            _ = TableName.parse(text).folders
