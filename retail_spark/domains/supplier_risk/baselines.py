"""What a model has to beat beside the shrunk rate: a logistic curve over the histories."""

from __future__ import annotations

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.supplier_risk.history import history_names
from retail_spark.domains.supplier_risk.recipe import Recipe
from retail_spark.stats.calibration import fit_logistic

LOGISTIC = "p_logistic"
_LEAST = 1e-4
_MOST_LINES = 50_000


def with_logistic(features: DataFrame, *, train: DataFrame, lines: int, recipe: Recipe) -> DataFrame:
    """Adds p_logistic: a logistic curve over the log odds of every history's rates. Same grain.

    Learned on the lines of `train` (`lines` says how many), or on some 50,000 of them, chosen by their hash: twenty
    coefficients need no more.
    """
    rates = [name for name in history_names(recipe) if name.partition("__")[2].startswith("rate")]
    odds = [F.log(inside(F.col(name)) / (1 - inside(F.col(name)))) for name in rates]
    of_million = F.pmod(F.xxhash64("delivery_id"), F.lit(1_000_000))
    some = train.where(of_million < min(1_000_000, _MOST_LINES * 1_000_000 // max(lines, 1)))
    known = some.select("delivery_id", F.col("is_late").cast("double"), *odds).toPandas().sort_values("delivery_id")
    design = np.column_stack([known.iloc[:, 2:].to_numpy(dtype=np.float64), np.ones(len(known))])
    ridge, start = np.full(design.shape[1], 1.0), np.zeros(design.shape[1])
    beta = fit_logistic(design, known["is_late"].to_numpy(), np.ones(len(known)), ridge=ridge, start=start)
    margin = sum((F.lit(float(b)) * one for b, one in zip(beta[:-1], odds, strict=True)), F.lit(float(beta[-1])))
    return features.withColumn(LOGISTIC, inside(1 / (1 + F.exp(-margin))))


def inside(p: Column) -> Column:
    """The probability, neither 0 nor 1."""
    return F.least(F.greatest(p, F.lit(_LEAST)), F.lit(1 - _LEAST))
