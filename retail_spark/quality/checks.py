"""Checks a frame against its contract with Great Expectations, before it is written.

Two looks at the data: one aggregate over all row rules, and one over the key columns alone. Counts and examples are
asked for only where a check failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.lake.contracts import Contract
from retail_spark.lake.writers import SliceValue
from retail_spark.quality import engine
from retail_spark.quality.docs import DataDocs
from retail_spark.quality.report import CheckReport, CheckResult
from retail_spark.quality.suite import RowRule, row_expectations, row_rules, with_rules

# Types of which equal values have equal xxhash64: not floating point (-0.0 and 0.0), not maps.
_HASHABLE = (T.StringType, T.DateType, T.TimestampType, T.IntegerType, T.LongType, T.BooleanType)
_PER_KEY = "rows_per_key"
_EXAMPLE_WIDTH = 80


def check(
    frame: DataFrame,
    contract: Contract,
    *,
    slice_: Mapping[str, SliceValue] = MappingProxyType({}),
    examples: int = 3,
    docs: DataDocs | None = None,
) -> CheckReport:
    """Holds a staged frame to its contract, rows inside `slice_` included; `docs` gets a page of the report.

    `examples` is the number of rows shown for a failed check. Nothing is raised for failed checks: the caller asks
    `raise_if_failed`. The frame is read at least twice, so it should be staged.
    """
    engine.warm()
    columns = _check_columns(frame, contract)
    if columns.success:
        rules = row_rules(contract, slice_=slice_)
        rows, key = _check_key(frame, contract, examples=examples)
        results = (columns, *_check_rows(frame, contract, rules=rules, examples=examples), *key)
    else:
        rows, results = frame.count(), (columns,)
    report = CheckReport(contract.name, rows, results)
    if docs is not None:
        docs.add(report, contract)
    return report


def _check_columns(frame: DataFrame, contract: Contract) -> CheckResult:
    import great_expectations.expectations as gxe

    expected = gxe.ExpectTableColumnsToMatchSet(column_set=list(contract.names), exact_match=True)
    kind, success, _ = engine.validate(frame.limit(0), [expected], result_format="BOOLEAN_ONLY")[0]
    missing = [f"{name} is missing" for name in contract.names if name not in frame.columns]
    extra = [f"{name} is not in the contract" for name in frame.columns if name not in contract.names]
    amiss = (*missing, *extra)
    return CheckResult(kind, (), "the columns are those of the contract", success, len(amiss), amiss)


def _check_rows(
    frame: DataFrame, contract: Contract, *, rules: Sequence[RowRule], examples: int
) -> tuple[CheckResult, ...]:
    """One aggregate over all rules; then counts and examples of those that failed."""
    checked = frame.transform(with_rules, rules=rules)
    slim = checked.select(*[rule.column for rule in rules])
    first = engine.validate(slim, row_expectations(rules), result_format="BOOLEAN_ONLY")
    broken = [rule for rule, (_, success, _) in zip(rules, first, strict=True) if not success]
    asked = {"result_format": "BASIC", "partial_unexpected_count": examples, "include_unexpected_rows": True}
    told = engine.validate(checked, row_expectations(broken), result_format=asked)
    details = {rule.column: detail for rule, (_, _, detail) in zip(broken, told, strict=True)}
    return tuple(
        _row_result(rule, kind, success, details.get(rule.column, {}), contract)
        for rule, (kind, success, _) in zip(rules, first, strict=True)
    )


def _row_result(rule: RowRule, kind: str, success: bool, detail: Mapping[str, Any], contract: Contract) -> CheckResult:
    if success:
        return CheckResult(kind, rule.columns, rule.text, True, 0)
    shown = tuple(dict.fromkeys((*contract.key, *rule.columns)))
    return CheckResult(
        kind,
        rule.columns,
        rule.text,
        False,
        int(detail["unexpected_count"]),
        tuple(_in_words(row, shown) for row in detail["unexpected_rows"] or ()),
        is_personal=any(contract.column(name).subject for name in shown),
    )


def _check_key(frame: DataFrame, contract: Contract, *, examples: int) -> tuple[int, tuple[CheckResult, ...]]:
    """The number of rows, and whether each key occurs once.

    Great Expectations' own compound uniqueness sorts all rows in a window. Here Spark counts rows per 64-bit hash of
    the key, and Great Expectations is given the total: no hash twice means no key twice. A hash that does repeat is
    looked at again by the key itself.
    """
    import great_expectations.expectations as gxe

    totals = frame.transform(to_key_totals, key=contract.key)
    asked = [
        gxe.ExpectColumnMaxToBeBetween(column=f"most_{_PER_KEY}", max_value=1),
        gxe.ExpectColumnSumToBeBetween(column="rows", min_value=0),
    ]
    (kind, unique, _), (_, _, counted) = engine.validate(totals, asked, result_format="BASIC")
    rows = int(counted["observed_value"])
    if not contract.key:
        return rows, ()
    rule = f"the key ({', '.join(contract.key)}) is unique"
    repeated = (0, ()) if unique else _repeated_keys(frame, contract, examples=examples)
    personal = any(contract.column(name).subject for name in contract.key)
    result = CheckResult(kind, contract.key, rule, repeated[0] == 0, *repeated, is_personal=personal)
    return rows, (result,)


def to_key_totals(frame: DataFrame, *, key: tuple[str, ...]) -> DataFrame:
    """One row: `rows`, and `most_rows_per_key` by hash of the key (0 for no rows; at most 1 without a key)."""
    if not key:
        return frame.agg(F.count(F.lit(1)).alias("rows")).withColumn(f"most_{_PER_KEY}", F.lit(0))
    is_hashable = all(isinstance(frame.schema[name].dataType, _HASHABLE) for name in key)
    by = [F.xxhash64(*key).alias("key_hash")] if is_hashable else [F.col(name) for name in key]
    per_key = frame.groupBy(*by).agg(F.count(F.lit(1)).alias(_PER_KEY))
    most, rows = F.coalesce(F.max(_PER_KEY), F.lit(0)), F.coalesce(F.sum(_PER_KEY), F.lit(0))
    return per_key.agg(most.alias(f"most_{_PER_KEY}"), rows.alias("rows"))


def _repeated_keys(frame: DataFrame, contract: Contract, *, examples: int) -> tuple[int, tuple[str, ...]]:
    import great_expectations.expectations as gxe

    per_key = frame.groupBy(*contract.key).agg(F.count(F.lit(1)).alias(_PER_KEY))
    asked = {"result_format": "BASIC", "partial_unexpected_count": examples, "include_unexpected_rows": True}
    once = gxe.ExpectColumnValuesToBeBetween(column=_PER_KEY, max_value=1)
    detail = engine.validate(per_key, [once], result_format=asked)[0][2]
    shown = (*contract.key, _PER_KEY)
    return int(detail["unexpected_count"]), tuple(_in_words(row, shown) for row in detail["unexpected_rows"] or ())


def _in_words(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return ", ".join(f"{name}={_short(row[name])}" for name in names)


def _short(value: Any) -> str:
    text = "NULL" if value is None else str(value)
    return text if len(text) <= _EXAMPLE_WIDTH else f"{text[:_EXAMPLE_WIDTH]}…"
