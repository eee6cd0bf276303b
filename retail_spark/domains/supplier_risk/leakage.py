"""The leak check: a column that decides the label by itself was not known at the time of the prediction."""

from __future__ import annotations

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.supplier_risk.encoder import Encoder, Feature
from retail_spark.domains.supplier_risk.evaluate import auc
from retail_spark.errors import InputError

_STEPS = 50
_PRIOR = 5.0
_BINS = 400


def check_no_leak(known: DataFrame, *, encoder: Encoder, limit: float) -> dict[str, float]:
    """Feature -> AUC of the feature alone, on known lines. Raises InputError that names those above `limit`.

    Each value (a number: its place among 50 steps) is scored by the share late of other shipments that have it:
    half of the shipments, by hash, tell the shares, the other half is ranked by them. A column that names every
    line anew tells nothing, and cannot be mistaken for a leak.
    """
    found = _aucs(known, encoder=encoder)
    leaks = {name: value for name, value in found.items() if value > limit}
    if leaks:
        told = ", ".join(
            f"{name.removeprefix('value_').removeprefix('size_')} (AUC {value:.3f})" for name, value in leaks.items()
        )
        raise InputError(
            f"a column decides by itself whether a line is late: {told}; above {limit:g} it is taken for a leak.",
            fix="take it out of the columns of supplier_risk: it is known only after the delivery; "
            "if it truly is known in time, raise supplier_risk.leak_auc",
        )
    return found


def check_model_auc(value: float, *, limit: float) -> None:
    """Raises InputError when the model ranks held-out lines better than any honest one: columns leak together."""
    if value > limit:
        raise InputError(
            f"the model ranks held-out lines with AUC {value:.3f}, above {limit:g}: its columns leak the outcome.",
            fix="look for columns that are known only after the delivery; if none is, raise supplier_risk.leak_auc",
        )


def _aucs(known: DataFrame, *, encoder: Encoder) -> dict[str, float]:
    steps = _steps(known, encoder=encoder)
    values = [
        F.struct(F.lit(feature.name).alias("name"), _value(feature, steps.get(feature.name, [])).alias("value"))
        for feature in encoder.features
    ]
    half = F.pmod(F.xxhash64(F.lit("half"), "shipment"), F.lit(2))
    long = known.select("is_late", half.alias("half"), F.explode(F.array(*values)).alias("v"))
    sums = [
        F.coalesce(F.sum(F.when(F.col("half") == number, what)), F.lit(0)).alias(f"{name}_{number}")
        for number in (0, 1)
        for name, what in (("late", F.col("is_late")), ("lines", F.lit(1)))
    ]
    counted = long.groupBy(F.col("v.name").alias("name"), F.col("v.value").alias("value")).agg(*sums)
    base = known.agg(F.avg("is_late").alias("rate")).collect()[0]["rate"]
    share = (F.col("late_0") + _PRIOR * F.lit(base)) / (F.col("lines_0") + _PRIOR)
    binned = counted.groupBy("name", F.round(share * _BINS).alias("bin")).agg(
        F.sum("late_1").alias("late"), F.sum("lines_1").alias("lines")
    )
    rows = binned.toPandas().sort_values(["name", "bin"])
    return {str(name): _one_auc(own) for name, own in rows.groupby("name")}


def _value(feature: Feature, steps: list[float]) -> Column:
    """The value of a feature as text; a number as the count of steps up to it."""
    column = F.col(feature.name)
    if feature.is_text:
        return column
    up_to = [F.when(column >= step, 1).otherwise(0) for step in steps]
    return F.when(column.isNotNull(), sum(up_to, F.lit(0)).cast("string"))


def _one_auc(rows: pd.DataFrame) -> float:
    late = rows["late"].to_numpy(dtype=float)
    return auc(rows["lines"].to_numpy(dtype=float) - late, late)


def _steps(known: DataFrame, *, encoder: Encoder) -> dict[str, list[float]]:
    """Number feature -> the bounds of its 50 steps."""
    names = [feature.name for feature in encoder.features if not feature.is_text]
    shares = [n / _STEPS for n in range(1, _STEPS)]
    found = known.approxQuantile(names, shares, 0.002) if names else []
    return {name: sorted(set(bounds)) for name, bounds in zip(names, found, strict=True)}
