"""The last date of a table's data: what a run knows of when nobody names an as-of date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.errors import InputError
from retail_spark.lake.contract import Contract
from retail_spark.lake.lake import Lake

_LOOKED_AT = 50
_FEW = 3
"""So many dates beyond a gap are a slip of somebody's pen; more of them are a shop that was closed."""


def last_date_of(
    lake: Lake, contract: Contract, *, version: int | None, floor: date | None, max_gap_days: int
) -> date | None:
    """The latest date of a version of the table, by the contract's date_columns; None where it has none.

    `floor` is a date that an earlier run found there: a table seldom goes back in time, so files without rows since
    then need not be read. Raises InputError for a table without rows, and for a last date far beyond the one before.
    """
    dated_by = contract.date_expression
    if dated_by is None:
        return None
    frame = lake.read(contract.table, version=version)
    recent = [(frame.where(F.expr(dated_by) >= F.lit(floor)), floor)] if floor else []
    for rows, earlier in (*recent, (frame, None)):
        last = last_date(
            rows,
            dated_by=dated_by,
            before=earlier,
            name=contract.name,
            key=contract.key,
            max_gap_days=max_gap_days,
        )
        if last is not None:
            return last
    raise InputError(f"{contract.name} is empty in {lake.where}.", fix="ingest some rows first")


def last_date(
    rows: DataFrame, *, dated_by: str, before: date | None, name: str, key: Sequence[str], max_gap_days: int
) -> date | None:
    """The latest date of `dated_by` (SQL) in the rows; None without any. One query.

    `before` is a date that is known to lie in the table beside those of the rows. Raises InputError that names the rows
    when the last dates, three at most, lie more than max_gap_days beyond the one before them: one sale dated 2042
    would move every window of the run there, and leave all of them empty.
    """
    days = F.sort_array(F.collect_set(F.to_date(F.expr(dated_by))), asc=False)
    newest: list[date] = list(rows.agg(F.slice(days, 1, _LOOKED_AT).alias("days")).collect()[0]["days"])
    if not newest:
        return None
    known = sorted({*newest, *([before] if before else [])}, reverse=True)
    for place in range(1, min(_FEW, len(known) - 1) + 1):
        later, earlier = known[place - 1], known[place]
        if (later - earlier).days > max_gap_days:
            raise InputError(
                f"{name}: the last date before {later} is {earlier}, {(later - earlier).days:,} days earlier. "
                f"Later than that lie only: {_examples(rows, dated_by=dated_by, after=earlier, key=key)}.",
                fix=f"mend or take away these rows; or name the last true date with --as-of {earlier}; or, where the "
                f"gap is right, allow it with --set run.max_gap_days={(later - earlier).days}",
            )
    return newest[0]


def _examples(rows: DataFrame, *, dated_by: str, after: date, key: Sequence[str]) -> str:
    """Up to three rows later than a day, in words."""
    day = F.to_date(F.expr(dated_by))
    found = rows.where(day > F.lit(after)).select(day.alias("_day"), *key).orderBy("_day", *key).limit(_FEW).collect()
    return "; ".join(f"{row['_day']} ({', '.join(f'{name}={row[name]}' for name in key)})" for row in found)
