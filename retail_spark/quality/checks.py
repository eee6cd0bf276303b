"""Checks a frame against its contract with Great Expectations, before it is written.

Two looks at the data: one aggregate over all row rules, and one over the key columns alone. Great Expectations gives
the verdicts and the counts. Example rows are asked for only where a check failed, in one query however many did: Great
Expectations itself would scan twice more for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from types import MappingProxyType

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.window import Window as W

from retail_spark.lake.contract import Contract
from retail_spark.lake.write import SliceValue
from retail_spark.quality import engine
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
    suspects: DataFrame | None = None,
    examples: int = 3,
) -> CheckReport:
    """Holds a staged frame to its contract, rows inside `slice_` included. Safe in several threads.

    `suspects` are the rows among which a key may repeat, where that is known; else all are looked at.
    `examples` is the number of rows shown for a failed check. Nothing is raised for failed checks: the caller asks
    `raise_if_failed`. The frame is read at least twice, so it should be staged.
    """
    engine.warm()
    columns = _check_columns(frame, contract)
    if columns.success:
        rules = row_rules(contract, slice_=slice_)
        rows, kept = _check_rows(frame, contract, rules=rules, examples=examples)
        results = (columns, *kept, *_check_key(frame if suspects is None else suspects, contract, examples=examples))
    else:
        rows, results = frame.count(), (columns,)
    return CheckReport(contract.name, rows, results)


def _check_columns(frame: DataFrame, contract: Contract) -> CheckResult:
    import great_expectations.expectations as gxe

    expected = gxe.ExpectTableColumnsToMatchSet(column_set=list(contract.names), exact_match=True)
    (verdict,) = engine.validate(frame, [expected])
    missing = [f"{name} is missing" for name in contract.names if name not in frame.columns]
    extra = [f"{name} is not in the contract" for name in frame.columns if name not in contract.names]
    amiss = (*missing, *extra)
    return CheckResult(verdict.kind, (), "the columns are those of the contract", verdict.success, len(amiss), amiss)


def _check_rows(
    frame: DataFrame, contract: Contract, *, rules: Sequence[RowRule], examples: int
) -> tuple[int, tuple[CheckResult, ...]]:
    """The number of rows, and the row rules; examples of those that failed."""
    checked = frame.transform(with_rules, rules=rules)
    verdicts = engine.validate(checked.select(*[rule.column for rule in rules]), row_expectations(rules))
    shown = {rule.column: tuple(dict.fromkeys((*contract.key, *rule.columns))) for rule in rules}
    broken = {
        rule.column: checked.where(F.col(rule.column).isNull())
        for rule, verdict in zip(rules, verdicts, strict=True)
        if not verdict.success
    }
    rows = _examples(broken, shown=shown, examples=examples)
    count = verdicts[0].detail["element_count"] if verdicts else frame.count()
    return count, tuple(
        CheckResult(
            verdict.kind,
            rule.columns,
            rule.text,
            verdict.success,
            verdict.detail["unexpected_count"] or 0,
            rows.get(rule.column, ()),
            is_personal=_is_personal(contract, shown[rule.column]),
        )
        for rule, verdict in zip(rules, verdicts, strict=True)
    )


def _check_key(frame: DataFrame, contract: Contract, *, examples: int) -> tuple[CheckResult, ...]:
    """Whether each key occurs once; nothing for a table without a key.

    Great Expectations' own compound uniqueness sorts all rows in a window. Here Spark counts rows per 64-bit hash of
    the key, and Great Expectations expects no row in the frame of repeated hashes: no hash twice means no key twice.
    Where a hash does repeat, the key itself decides.
    """
    if not contract.key:
        return ()
    import great_expectations.expectations as gxe

    repeated = frame.transform(to_repeated_hashes, key=contract.key)
    (verdict,) = engine.validate(repeated, [gxe.ExpectTableRowCountToEqual(value=0)])
    count, rows = (0, ()) if verdict.success else _repeated_keys(frame, contract, examples=examples)
    rule = f"the key ({', '.join(contract.key)}) is unique"
    personal = _is_personal(contract, contract.key)
    return (CheckResult(verdict.kind, contract.key, rule, count == 0, count, rows, is_personal=personal),)


def to_repeated_hashes(frame: DataFrame, *, key: tuple[str, ...]) -> DataFrame:
    """One row per hash of the key that occurs more than once (per key, where its types do not hash safely)."""
    is_hashable = all(isinstance(frame.schema[name].dataType, _HASHABLE) for name in key)
    by = [F.xxhash64(*key).alias("key_hash")] if is_hashable else [F.col(name) for name in key]
    return frame.groupBy(*by).agg(F.count(F.lit(1)).alias(_PER_KEY)).where(F.col(_PER_KEY) > 1)


def _repeated_keys(frame: DataFrame, contract: Contract, *, examples: int) -> tuple[int, tuple[str, ...]]:
    """How many keys repeat, and the first of them in words: one query."""
    per_key = frame.groupBy(*contract.key).agg(F.count(F.lit(1)).alias(_PER_KEY)).where(F.col(_PER_KEY) > 1)
    all_of_them = F.count(F.lit(1)).over(W.partitionBy())
    told = per_key.select(_in_words((*contract.key, _PER_KEY)).alias("row"), all_of_them.alias("keys"))
    found = told.orderBy("row").limit(max(examples, 1)).collect()
    return (found[0]["keys"] if found else 0), tuple(row["row"] for row in found[:examples])


def _examples(
    broken: Mapping[str, DataFrame], *, shown: Mapping[str, Sequence[str]], examples: int
) -> dict[str, tuple[str, ...]]:
    """The first rows of each frame in words, in the order of their text so that a rerun shows the same."""
    if not broken or not examples:
        return {}
    parts = [
        frame.select(F.lit(name).alias("name"), _in_words(shown[name]).alias("row")).orderBy("row").limit(examples)
        for name, frame in broken.items()
    ]
    found: dict[str, tuple[str, ...]] = {}
    for name, row in sorted(map(tuple, reduce(DataFrame.unionAll, parts).collect())):
        found[name] = (*found.get(name, ()), row)
    return found


def _in_words(names: Sequence[str]) -> SparkColumn:
    texts = [F.substring(F.coalesce(F.col(n).cast("string"), F.lit("NULL")), 1, _EXAMPLE_WIDTH) for n in names]
    return F.concat_ws(", ", *[F.concat(F.lit(f"{name}="), text) for name, text in zip(names, texts, strict=True)])


def _is_personal(contract: Contract, names: Sequence[str]) -> bool:
    return any(contract.column(name).subject for name in names)
