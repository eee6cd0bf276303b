"""Who has been erased: salted hashes of ids, by which ingest knows them when they come again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.errors import UsageError
from retail_spark.lake.contracts import LINEAGE, STRING, Contract
from retail_spark.lake.contracts import Column as ContractColumn
from retail_spark.lake.store import Lake
from retail_spark.secrets import SecretRef

TOMBSTONES = Contract(
    "ops.tombstones",
    grain="One row per customer or visitor that was erased.",
    key=("token",),
    columns=(ContractColumn("token", STRING, "Salted SHA-256 of the id."), LINEAGE[0]),
)


def token_of(value: Column, *, salt: str) -> Column:
    """The tombstone of an id."""
    return F.sha2(F.concat(F.lit(salt), F.lit("|"), value), 256)


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
    known = revealed(salt)
    flags = []
    for number, name in enumerate(columns):
        own = tokens.select(F.col("token").alias(f"_t{number}"))
        # token is the key of the tombstones: many to one.
        frame = frame.join(F.broadcast(own), token_of(F.col(name), salt=known) == F.col(f"_t{number}"), how="left")
        flags.append(F.col(f"_t{number}").isNotNull())
    flagged = frame.withColumn("_erased", reduce(lambda a, b: a | b, flags))
    return flagged.drop(*[f"_t{number}" for number in range(len(columns))])
