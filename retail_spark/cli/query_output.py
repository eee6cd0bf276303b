"""Query results as text: an aligned table, CSV, or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import Row

from retail_spark.cli.escaped import visible
from retail_spark.errors import InputError, UsageError
from retail_spark.lake.lake import Lake
from retail_spark.lake.sql import facts, run_sql, tables

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_WIDEST = 1000
"""Letters of a cell shown in a table; csv and json give all."""


def rendered(lake: Lake, query: str, *, form: str, limit: int, for_spreadsheets: bool = False) -> tuple[str, bool]:
    """The query's result as text, and whether it was cut at `limit` rows.

    Raises UsageError for a query that does not parse, InputError for a table or column that is not there.
    """
    try:
        frame = run_sql(lake, query)
        rows = frame.limit(limit + 1).collect()
    except ParseException as error:
        raise UsageError(f"the query does not parse: {_first_line(error)}", fix="mend the SQL") from error
    except AnalysisException as error:
        there = ", ".join(str(table) for table in tables(lake)) or "none yet"
        raise InputError(f"the query cannot be answered: {_first_line(error)}", fix=f"tables: {there}") from error
    names, shown = frame.columns, rows[:limit]
    as_csv = partial(_csv, change=_no_formula if for_spreadsheets else _cell)
    forms: dict[str, Callable[[Sequence[str], Sequence[Row]], str]] = {"csv": as_csv, "json": _json, "table": aligned}
    text = forms[form](names, shown)
    return text, len(rows) > limit


def listed(lake: Lake) -> str:
    """One line per table: name, rows, version and grain. Of a local lake from Delta's logs alone, where they tell."""
    lines = []
    for table in tables(lake):
        found = facts(lake, table)
        lines.append((str(table), f"{found.rows:,}", str(found.version), found.grain))
    if not lines:
        return f"{lake.where} holds no tables yet: run ingest first, or `retail-spark demo`"
    return aligned(["table", "rows", "version", "grain"], lines).rstrip("\n")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _csv(names: Sequence[str], rows: Sequence[Row], *, change: Callable[[Any], Any]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([[change(value) for value in row] for row in (names, *rows)])
    return out.getvalue()


def _no_formula(value: Any) -> Any:
    """A text that a spreadsheet would compute is led by an apostrophe, which it hides; a number stays one."""
    cell = _cell(value)
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _json(names: Sequence[str], rows: Sequence[Row]) -> str:
    lines = [json.dumps(row.asDict(recursive=True), default=str, ensure_ascii=False) for row in rows]
    return "".join(line + "\n" for line in lines)


def aligned(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows under their names as an aligned table, numbers to the right."""
    cells = [[visible(str(_cell(value)), most=_WIDEST) for value in row] for row in rows]
    names = [visible(name, most=_WIDEST) for name in names]
    is_number = [
        all(isinstance(row[i], int | float) or _looks_numeric(row[i]) for row in rows) for i in range(len(names))
    ]
    widths = [max(len(name), *(len(row[i]) for row in cells), 0) for i, name in enumerate(names)]
    lines = ["  ".join(_padded(n, w, right) for n, w, right in zip(names, widths, is_number, strict=True)).rstrip()]
    lines.append("  ".join("-" * width for width in widths))
    for row in cells:
        lines.append(
            "  ".join(_padded(c, w, right) for c, w, right in zip(row, widths, is_number, strict=True)).rstrip()
        )
    return "\n".join(lines) + "\n"


def _looks_numeric(value: Any) -> bool:
    return isinstance(value, str) and value.replace(",", "").isdigit()


def _padded(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, Row | dict | list):
        plain = value.asDict(recursive=True) if isinstance(value, Row) else value
        return json.dumps(plain, default=str, ensure_ascii=False)
    return value
