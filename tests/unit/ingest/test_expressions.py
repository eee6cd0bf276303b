"""What an expression reads is found by name, and what it calls leniently by try_."""

from __future__ import annotations

import pytest

from retail_spark.errors import UsageError
from retail_spark.ingest.expressions import check_expression, is_lenient, names_in
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


@pytest.mark.parametrize(
    "expression",
    [
        "cast(n as decimal(10, 2))",
        "case when (a > 1) then (b) else lower(c) end",
        "a in ('x', 'select') and not (b like 'y%')",
        "extract(year from to_date(day))",
        "transform(split(x, ','), v -> trim(both ' ' from v))[0]",
        "shops.table || `from` || 'it''s'",
        "date'2024-01-01' + (n - 1) * 7  -- weeks",
        r"regexp_extract(x, r'\((\d+)\)', 1)",
    ],
)
def test_functions_of_a_row_are_let_in(expression: str):
    check_expression(expression, where="x")


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("reflect('java.lang.System', 'getenv', 'HOME')", "reflect has no place"),
        ("`reflect`('java.lang.System', 'getenv')", "reflect has no place"),
        ("reflect/* */('java.lang.System', 'getenv')", "reflect has no place"),
        (r"r'\' || reflect('a', 'b') || '\'", "reflect has no place"),
        ("system.builtin.reflect('a', 'b')", "reflect has no place"),
        ("system.builtin.lower(a)", "lower has no place"),
        ("identifier('reflect')('a', 'b')", "identifier has no place"),
        ("(select max(value) from text.`/etc/passwd`)", "query"),
        ("(from text.`/etc/passwd` |> limit 1)", "query"),
        ("(table text.`/etc/passwd`)", "query"),
        ("exists (with t as (values (1)) from t)", "query"),
        ("row_number() over (order by a)", "row_number has no place"),
        ("explode(split(a, ','))", "explode has no place"),
        ("max(price)", "looks at many rows"),
        ("coalesce(day, now())", "differs at every run"),
        ("coalesce(day, current_date)", "differs at every run"),
        ("cast(n as", "bracket is left open"),
        ("lower(a))", "bracket too many"),
        ("concat('a, b)", "quote is left open"),
        ("  ", "is empty"),
    ],
)
def test_what_reads_elsewhere_or_differs_is_refused(expression: str, told: str):
    with pytest.raises(UsageError, match=told) as caught:
        check_expression(expression, where="tables.sales.columns.x")
    assert caught.value.what.startswith("tables.sales.columns.x")


def test_a_misspelt_function_names_the_nearest_and_sums_may_be_summed_up():
    with pytest.raises(UsageError) as caught:
        check_expression("to_timestmp(day)", where="x")
    assert "did you mean to_timestamp?" in caught.value.fix
    check_expression("max(price)", where="x", aggregates=True)
