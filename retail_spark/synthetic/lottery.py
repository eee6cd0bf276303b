"""Lotteries: a fixed number of slots shared out by weight, so that a weighted draw is one look-up of a slot."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F


def to_slots(weighed: DataFrame, *, by: Sequence[str], holder: str, slots: int) -> DataFrame:
    """One row per (by, slot), slot from 0 to slots - 1, with the columns of the row that holds it.

    A row of `weighed` holds as many slots as its `weight` (a positive whole number) says, to within one; `holder`
    orders the rows of a lottery. The sums are of whole numbers: exact, whatever the partitions.
    """
    lottery = W.partitionBy(*by)
    upto = lottery.orderBy(holder).rowsBetween(W.unboundedPreceding, W.currentRow)
    summed = weighed.withColumns({"upto": F.sum("weight").over(upto), "whole": F.sum("weight").over(lottery)})
    first = F.expr(f"(upto - weight) * {int(slots)} DIV whole")
    last = F.expr(f"upto * {int(slots)} DIV whole - 1")
    held = summed.withColumns({"first_slot": first, "last_slot": last}).where("last_slot >= first_slot")
    each = held.withColumn("slot", F.explode(F.sequence("first_slot", "last_slot")))
    return each.drop("upto", "whole", "first_slot", "last_slot", "weight")
