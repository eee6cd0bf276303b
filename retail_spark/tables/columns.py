"""Columns as many contracts have them, each with the check that goes with it."""

from __future__ import annotations

from pyspark.sql import types as T

from retail_spark.lake.contract import DOUBLE, LONG, Column


def optional(name: str, kind: T.DataType, comment: str, check: str | None = None, *, subject: bool = False) -> Column:
    """A column that may be NULL."""
    return Column(name, kind, comment, nullable=True, check=check, subject=subject)


def number(name: str, comment: str, check: str | None = None) -> Column:
    """A number that may be NULL."""
    return optional(name, DOUBLE, comment, check)


def count(name: str, comment: str, *, nullable: bool = False) -> Column:
    """A number of things, not negative."""
    return Column(name, LONG, comment, nullable=nullable, check=f"{name} >= 0")


def share(name: str, comment: str, *, nullable: bool = False) -> Column:
    """A share or probability; the comment is given without a full stop."""
    return Column(name, DOUBLE, f"{comment}, 0..1.", nullable=nullable, check=f"{name} BETWEEN 0 AND 1")


def optional_share(name: str, comment: str) -> Column:
    """A share that may be NULL; the comment is given without a full stop."""
    return number(name, f"{comment}, share 0..1.", f"{name} BETWEEN 0 AND 1")


def one_of(name: str, values: tuple[str, ...]) -> str:
    """The check of a column that holds one of these texts."""
    return f"{name} IN ({', '.join(map(repr, values))})"
