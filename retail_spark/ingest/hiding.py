"""What must not stand in a quarantine as it is: raw columns that a table keeps as hashes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.ingest.expressions import quoted_name
from retail_spark.ingest.reading import Raw
from retail_spark.ingest.settings import JobSettings

_SALT = "_rs_salt"


@dataclass(frozen=True)
class Hidden:
    """Raw columns that must not stand in a quarantine as they are, and the salt that they are hashed with.

    The salt travels as data: a literal would stand in Spark's plans and event log.
    """

    columns: Set[str]
    salt: str = field(repr=False)

    def with_salt(self, rows: DataFrame) -> DataFrame:
        """The rows with the salt, for what is hashed from them."""
        salt = frame_of_rows(rows.sparkSession, [(self.salt,)], f"{_SALT} string")
        return rows.crossJoin(F.broadcast(salt))

    def __call__(self, text: Column) -> Column:
        return F.sha2(F.concat(F.col(_SALT), text), 256)


def hidden_columns(by_column: Mapping[str, Sequence[str]], settings: JobSettings) -> Hidden | None:
    """What the canonical columns of hash_columns are made of; None when the table has none of them.

    `by_column` names, for each canonical column, what its expression reads.
    """
    hashed = [column for column in settings.hash_columns if column in by_column]
    if not hashed:
        return None
    salt = settings.hash_salt.reveal() if settings.hash_salt is not None else ""
    return Hidden({name for column in hashed for name in by_column[column]}, salt)


def raw_json(texts: Sequence[Column], raw: Raw, hidden: Hidden | None) -> Column:
    """The raw row as JSON; what is hidden is hashed as it is in the table."""
    shown = [
        (hidden(text) if hidden is not None and quoted_name(name) in hidden.columns else text).alias(name)
        for text, name in zip(texts, raw.columns, strict=True)
    ]
    return F.to_json(F.struct(*shown), {"ignoreNullFields": "false"})
