"""What a check found, and its history in ops.expectations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from retail_spark.errors import ContractError
from retail_spark.lake.contract import BOOLEAN, INT, LONG, STRING, TIMESTAMP, Column, Contract

EXPECTATIONS = Contract(
    "ops.expectations",
    grain="One row per check of a table in one attempt at a run.",
    key=("run_id", "attempt", "table_name", "expectation", "rule"),
    columns=(
        Column("run_id", STRING, "Run that checked the table; see ops.job_runs."),
        Column("attempt", INT, "Attempt at the run, 1 for the first.", check="attempt >= 1"),
        Column("table_name", STRING, "Table whose new rows were checked."),
        Column("expectation", STRING, "Great Expectations type of the check."),
        Column("column_name", STRING, "Column or columns of the check; NULL for the table as a whole.", nullable=True),
        Column("rule", STRING, "The rule in SQL or in words."),
        Column("success", BOOLEAN, "True when no row broke the rule."),
        Column("rows", LONG, "Rows checked.", check="rows >= 0"),
        Column("unexpected", LONG, "Rows, or keys, that broke the rule; NULL where not counted.", nullable=True),
        Column("checked_at", TIMESTAMP, "Time of the check, UTC."),
    ),
    cluster_by=("checked_at",),
)


@dataclass(frozen=True)
class CheckResult:
    """The result of one check."""

    expectation: str
    """Type of the Great Expectations check."""
    columns: tuple[str, ...]
    """Columns of the contract that the rule speaks of; empty for the table as a whole."""
    rule: str
    success: bool
    unexpected_count: int | None = None
    """Rows that broke the rule; for the key, keys that repeat; for the columns, columns amiss."""
    examples: tuple[str, ...] = ()
    """Rows that broke the rule: key and columns of the rule, as `name=value`."""
    is_personal: bool = False
    """The examples name a customer or visitor: they belong into no page or table that erasure does not reach."""


@dataclass(frozen=True)
class CheckReport:
    """All checks of one table's new rows."""

    table: str
    rows: int
    results: tuple[CheckResult, ...]

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """The checks that did not hold."""
        return tuple(result for result in self.results if not result.success)

    def raise_if_failed(self) -> None:
        """Raises ContractError that names table, rules, counts and example rows."""
        if not self.failed:
            return
        told = "".join(f"\n  {_in_words(result)}" for result in self.failed)
        # what happened is kept in ops.job_runs, which erasure does not reach; the fix is only shown
        people = [row for result in self.failed if result.is_personal for row in result.examples]
        look = f"; look at {'; '.join(people)}" if people else ""
        raise ContractError(
            f"{self.table}: {len(self.failed)} of {len(self.results)} checks failed on {self.rows:,} rows; "
            f"nothing was written.{told}",
            fix="mend these rows in the source, name the rule in the mapping so that ingest quarantines them, or mend "
            f"the job that computed them; change the contract only if the rule itself is wrong{look}",
        )


def _in_words(result: CheckResult) -> str:
    count = "" if result.unexpected_count is None else f": {result.unexpected_count:,} break it"
    is_shown = result.examples and not result.is_personal
    examples = f", such as {'; '.join(result.examples)}" if is_shown else ""
    return f"{result.rule}{count}{examples}"


def expectation_rows(
    reports: Iterable[CheckReport], *, run_id: str, attempt: int, checked_at: datetime
) -> list[dict[str, object]]:
    """A row of EXPECTATIONS per check. Example rows stay out: erasure does not reach ops tables."""
    return [
        {
            "run_id": run_id,
            "attempt": attempt,
            "table_name": report.table,
            "expectation": result.expectation,
            "column_name": ", ".join(result.columns) or None,
            "rule": result.rule,
            "success": result.success,
            "rows": report.rows,
            "unexpected": result.unexpected_count,
            "checked_at": checked_at,
        }
        for report in reports
        for result in report.results
    ]
