"""Rows with a status: how many of them may have failed before the run has."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.errors import ContractError
from retail_spark.lake.contract import Contract


def check_failed_share(frame: DataFrame, contract: Contract, *, limit: float) -> None:
    """Raises ContractError when more than `limit` of the rows have a status other than ok and the sound ones.

    A failed series or product is a row, not an exception: a run with a few is done, a run full of them is not.
    """
    if "status" not in contract.names:
        return
    is_sound = F.col("status").isin("ok", *contract.sound_statuses)
    failed = F.coalesce((~is_sound).cast("double"), F.lit(1.0))
    share = frame.agg(F.avg(failed).alias("share")).collect()[0]["share"] or 0.0
    if share > limit:
        common = frame.where(~is_sound).groupBy("status").count().orderBy(F.desc("count"), "status").limit(3)
        told = ", ".join(f"{row['status']} ({row['count']:,} rows)" for row in common.collect())
        raise ContractError(
            f"{contract.name}: {share:.1%} of the rows failed, more than {limit:.1%}: {told}. Nothing was written.",
            fix="look at what these rows have in common, or raise run.max_failed_share",
        )
