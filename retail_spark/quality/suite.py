"""A contract as Great Expectations checks.

A rule of a contract is a SQL condition, the same text that guards the Delta table as a CHECK. Each becomes a column
of the checked frame, TRUE where the row meets it and NULL where not, so that one expectation, "values are not null",
serves NOT NULL columns and rules alike: Great Expectations bundles them all into one aggregate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.lake.contract import Contract
from retail_spark.lake.write import SliceValue


@dataclass(frozen=True)
class RowRule:
    """A rule that every row is held to by itself."""

    column: str
    """Column of the checked frame that is null where a row breaks the rule."""
    columns: tuple[str, ...]
    """Columns of the contract that the rule speaks of."""
    text: str
    condition: SparkColumn | None
    """None: `column` is a column of the contract, and must not be null."""


def row_rules(contract: Contract, *, slice_: Mapping[str, SliceValue]) -> tuple[RowRule, ...]:
    """NOT NULL columns, then the constraints, then the slice. Needs an active session."""
    present = [RowRule(c.name, (c.name,), f"{c.name} IS NOT NULL", None) for c in contract.columns if not c.nullable]
    # a contract's column never starts with an underscore, so these names are free
    constraints = [
        RowRule(f"_{name}", _named_in(sql, contract), _bare(sql), F.expr(sql))
        for name, sql in contract.constraints.items()
    ]
    inside = [
        RowRule(f"_slice_{name}", (name,), f"{name} = {value} (the slice that is written)", F.col(name) == F.lit(value))
        for name, value in slice_.items()
    ]
    return (*present, *constraints, *inside)


def with_rules(frame: DataFrame, *, rules: Sequence[RowRule]) -> DataFrame:
    """Adds a column per rule with a condition: TRUE where met; NULL where false or unknown. Same grain."""
    met = {rule.column: F.when(rule.condition, F.lit(True)) for rule in rules if rule.condition is not None}
    return frame.withColumns(met) if met else frame


def row_expectations(rules: Sequence[RowRule]) -> list[Any]:
    """An expectation per rule."""
    from retail_spark.quality.expectations import ExpectRowsToKeepRule

    return [ExpectRowsToKeepRule(column=rule.column) for rule in rules]


def _named_in(sql: str, contract: Contract) -> tuple[str, ...]:
    words = set(re.findall(r"[a-z][a-z0-9_]*", re.sub(r"'(?:[^'\\]|\\.)*'", "", sql)))
    return tuple(name for name in contract.names if name in words)


def _bare(sql: str) -> str:
    """The condition without a pair of brackets around all of it."""
    inner = sql[1:-1]
    return inner if sql.startswith("(") and sql.endswith(")") and not re.search(r"[()]", inner) else sql
