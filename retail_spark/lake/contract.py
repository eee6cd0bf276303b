"""What a table promises. One Contract drives CREATE TABLE, the closing select, the checks and the docs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.errors import ContractError
from retail_spark.lake.table_name import TableName

STRING = T.StringType()
DOUBLE = T.DoubleType()
INT = T.IntegerType()
LONG = T.LongType()
BOOLEAN = T.BooleanType()
DATE = T.DateType()
TIMESTAMP = T.TimestampType()
TEXT_MAP = T.MapType(STRING, STRING)
NUMBER_MAP = T.MapType(STRING, DOUBLE)
TEXTS = T.ArrayType(STRING)


@dataclass(frozen=True)
class Column:
    """One column. `check` is a SQL condition that every row must meet; a NULL in a nullable column passes it."""

    name: str
    type: T.DataType
    comment: str
    nullable: bool = False
    check: str | None = None
    subject: bool = False
    """Identifies a customer or visitor: drives erasure."""
    reserved: tuple[str, ...] = ()
    """Texts that mean something of their own in later tables, so that ingest quarantines a row that has one."""

    @property
    def conditions(self) -> dict[str, str]:
        """Constraint name -> SQL condition, with the NULL case and, for DOUBLE, finiteness written out.

        Spark lets NaN pass `>= 0`, so finiteness is a constraint of its own.
        """
        found = {}
        may_be_null = f"{self.name} IS NULL OR " if self.nullable else ""
        if isinstance(self.type, T.DoubleType):
            found[f"{self.name}_finite"] = f"{may_be_null}abs({self.name}) < double('Infinity')"
        if self.check is not None:
            found[f"{self.name}_valid"] = f"{may_be_null}({self.check})"
        return found


AS_OF = Column("as_of", DATE, "Date up to which data was known to the run.")
LINEAGE = (
    Column("run_id", STRING, "Run that wrote the row; see ops.job_runs."),
    Column("model_version", STRING, "Registered model version that made the row.", nullable=True),
)
FILLED_LATER = frozenset({AS_OF.name, *(column.name for column in LINEAGE)})
"""Columns that the machinery fills where a job leaves them out."""

ORIGIN = (
    Column("source", STRING, "Name of the source mapping that the row came through."),
    Column("source_file", STRING, "File, table or query that the row came from.", nullable=True),
    Column(
        "received_at", TIMESTAMP, "When the source delivered the row, UTC; decides between versions.", nullable=True
    ),
    Column("row_hash", STRING, "128-bit hash of the raw row; decides between versions of equal age."),
)


@dataclass(frozen=True)
class Contract:
    """A table: its grain, key, columns and rules.

    `known_by` is the SQL expression of the date or timestamp from which a row was known: a run as of a date sees
    no row known later. `snapshot` tables carry `as_of` first in the key, and a run replaces its own as_of slice.
    """

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    cluster_by: tuple[str, ...] = ()
    checks: tuple[tuple[str, str], ...] = ()
    """(name, SQL condition) over several columns."""
    known_by: str | None = None
    dated_by: tuple[str, ...] = ()
    """Columns whose latest value is the default as_of of a job that the table drives; empty: known_by."""
    snapshot: bool = False
    sound_statuses: tuple[str, ...] = ()
    """Values of `status` beside ok that are findings, not failures: they do not count for run.max_failed_share."""
    change_feed: bool = False
    """Delta's change feed, for jobs that ask what was added since their last run."""

    @cached_property
    def table(self) -> TableName:
        return TableName.parse(self.name)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def schema(self) -> T.StructType:
        return T.StructType([T.StructField(c.name, c.type, c.nullable, {"comment": c.comment}) for c in self.columns])

    @cached_property
    def given(self) -> T.StructType:
        """The columns that a job gives: all but those that the machinery fills (as_of, run_id, model_version)."""
        return T.StructType([field for field in self.schema if field.name not in FILLED_LATER])

    @cached_property
    def constraints(self) -> dict[str, str]:
        """Constraint name -> SQL condition, true for every valid row."""
        found = dict(self.checks)
        for column in self.columns:
            found.update(column.conditions)
        return found

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """Columns that identify a customer or visitor."""
        return tuple(column.name for column in self.columns if column.subject)

    @property
    def date_columns(self) -> tuple[str, ...]:
        """Dates and times whose latest value dates the table; empty for a table that knows none."""
        return self.dated_by or ((self.known_by,) if self.known_by in self.names else ())

    @property
    def date_expression(self) -> str | None:
        """SQL of the date that a row dates the table by: the latest of its date_columns. None without any."""
        dates = [f"to_date({name})" for name in self.date_columns]
        return None if not dates else dates[0] if len(dates) == 1 else f"greatest({', '.join(dates)})"

    def column(self, name: str) -> Column:
        """The column of that name. Raises KeyError."""
        return {column.name: column for column in self.columns}[name]

    @property
    def skipping_columns(self) -> tuple[str, ...]:
        """Columns by which files can be skipped: what rows are clustered by, slices, dates and times.

        Of the others Delta would keep minimum and maximum of every file too: for hashes that skips nothing, and
        on wide tables it costs more than the rest of a write.
        """
        slices = {AS_OF.name, LINEAGE[0].name, ORIGIN[0].name}
        wanted = {*self.cluster_by, *slices, *(c.name for c in self.columns if c.type in (DATE, TIMESTAMP))}
        return tuple(name for name in self.names if name in wanted) or self.names[:1]

    def select(self, frame: DataFrame) -> DataFrame:
        """Exactly the contract's columns, in order and type: the last statement of a stage.

        Columns that the machinery fills (as_of, run_id, model_version) may be absent. Raises ContractError
        that names what is missing.
        """
        present = set(frame.columns)
        missing = [n for n in self.names if n not in present and n not in FILLED_LATER]
        if missing:
            raise ContractError(
                f"{self.name}: the result lacks {', '.join(missing)} (it has {', '.join(frame.columns)}).",
                fix="give every column of the contract a value, or NULL where it is nullable",
            )
        return frame.select(*[F.col(c.name).cast(c.type).alias(c.name) for c in self.columns if c.name in present])

    def __post_init__(self) -> None:
        known = set(self.names)
        unknown = [n for n in (*self.key, *self.cluster_by) if n not in known]
        if unknown or len(known) != len(self.columns):
            raise ValueError(f"{self.name}: key or clustering names {unknown}, or a column twice")
        if any(not re.fullmatch(r"[a-z][a-z0-9_]*", n) for n in known):
            raise ValueError(f"{self.name}: column names are lower case with underscores")


def snapshot(
    name: str,
    *,
    grain: str,
    key: tuple[str, ...],
    columns: tuple[Column, ...],
    checks: tuple[tuple[str, str], ...] = (),
    sound_statuses: tuple[str, ...] = (),
) -> Contract:
    """A gold table whose rows belong to an as_of date: adds as_of, run_id and model_version."""
    return Contract(
        name,
        grain=f"{grain} Per as_of date.",
        key=("as_of", *key),
        columns=(AS_OF, *columns, *LINEAGE),
        cluster_by=("as_of", *key[:2]),
        checks=checks,
        known_by="as_of",
        snapshot=True,
        sound_statuses=sound_statuses,
    )
