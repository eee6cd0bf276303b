"""What an expression reads is found by name, and what it calls leniently by try_."""

from __future__ import annotations

import pytest

from retail_spark.ingest.expressions import is_lenient, names_in
from retail_spark.ingest.reading import _group_names


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("InvoiceNo", {("InvoiceNo",)}),
        ("cast(Quantity as double)", {("Quantity",), ("as",), ("double",)}),
        ("to_timestamp(`order date (DateOrders)`)", {("order date (DateOrders)",)}),
        ("features.MarkDown1 > 0", {("features", "MarkDown1")}),
        ("concat('a b', \"c\", d)", {("d",)}),
        ("'it''s' || x", {("x",)}),
        (r"'a\'b' || x", {("x",)}),
        ("1.0D + 2e5", set()),
        ("`a``b`.`c`", {("a`b", "c")}),
        ("", set()),
    ],
)
def test_names_are_found_without_functions_and_texts(expression: str, names: set[tuple[str, ...]]):
    assert names_in(expression) == names


@pytest.mark.parametrize(
    ("expression", "lenient"),
    [("try_cast(a as int)", True), ("TRY_TO_DATE(a)", True), ("cast(a as int)", False), ("'try_cast'", False)],
)
def test_only_a_call_of_try_is_lenient(expression: str, lenient: bool):
    assert is_lenient(expression) is lenient


def test_groups_of_a_pattern_are_counted_as_java_counts_them():
    assert _group_names(r"(?<a>\S+) (b) (?:c) \((?<d>[()]+)\) (?<=x)(?<e>.)") == ["a", None, "d", "e"]
