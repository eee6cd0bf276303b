"""Who has been erased: salted hashes of ids, by which ingest knows them when they come again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.config.secrets import SecretRef
from retail_spark.errors import UsageError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.contract import LINEAGE, STRING, Contract
from retail_spark.lake.contract import Column as ContractColumn
from retail_spark.lake.lake import Lake

TOMBSTONES = Contract(
    "ops.tombstones",
    grain="One row per customer or visitor that was erased.",
    key=("token",),
    columns=(ContractColumn("token", STRING, "Salted SHA-256 of the id."), LINEAGE[0]),
)


def tokens_of(ids: Sequence[str], *, salt: str) -> list[str]:
    """The tombstones of ids."""
    return [hashlib.sha256(f"{salt}|{one}".encode()).hexdigest() for one in ids]


def with_salt(frame: DataFrame, salt: str, *, name: str) -> DataFrame:
    """Same grain: adds the salt as a column. It comes as data: a literal would stand in Spark's plans and event log."""
    row = frame_of_rows(frame.sparkSession, [(salt,)], f"{name} string")
    return frame.crossJoin(F.broadcast(row))


def _token_of(value: Column, *, salt: Column) -> Column:
    return F.sha2(F.concat(salt, F.lit("|"), value), 256)


def revealed(salt: SecretRef | None) -> str:
    """The salt. Raises UsageError when there is none: without it nobody can be recognised."""
    if salt is None:
        raise UsageError("privacy.salt is not set.", fix="set it to env:NAME, file:PATH or databricks:SCOPE/KEY")
    return salt.reveal()


def with_erased(frame: DataFrame, lake: Lake, *, columns: Sequence[str], salt: SecretRef | None) -> DataFrame:
    """Same grain: adds `_erased`, true where one of the columns names somebody who was erased.

    Raises UsageError when people were erased from the lake and the salt is not set.
    """
    if not columns or not lake.exists(TOMBSTONES.table):
        return frame.withColumn("_erased", F.lit(False))
    tokens = lake.read(TOMBSTONES.table).select("token")
    if tokens.isEmpty():
        return frame.withColumn("_erased", F.lit(False))
    frame = with_salt(frame, revealed(salt), name="_salt")
    flags = []
    for number, name in enumerate(columns):
        own = tokens.select(F.col("token").alias(f"_t{number}"))
        # token is the key of the tombstones: many to one.
        frame = frame.join(
            F.broadcast(own), _token_of(F.col(name), salt=F.col("_salt")) == F.col(f"_t{number}"), how="left"
        )
        flags.append(F.col(f"_t{number}").isNotNull())
    flagged = frame.withColumn("_erased", reduce(lambda a, b: a | b, flags))
    return flagged.drop("_salt", *[f"_t{number}" for number in range(len(columns))])
