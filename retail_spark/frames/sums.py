"""Sums of doubles that no order of their parts changes: the same on two cores, on eight and on a cluster."""

from __future__ import annotations

from pyspark.sql import Column, WindowSpec
from pyspark.sql import functions as F


def exact_sum(value: Column, *, scale: int, over: WindowSpec | None = None) -> Column:
    """The sum of the finite values, each rounded to `scale` decimals first; NULL without any. Over a window if given.

    Parts and sum must stay below 10 to the power 38 - scale.
    """
    total = F.sum(value.cast(f"decimal(38,{scale})"))
    return (total if over is None else total.over(over)).cast("double")


def exact_mean(value: Column, *, scale: int) -> Column:
    """The mean of the finite values, each rounded to `scale` decimals first; NULL without any."""
    return F.try_divide(exact_sum(value, scale=scale), F.count(value))
