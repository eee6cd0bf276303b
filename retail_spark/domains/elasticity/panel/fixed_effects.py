"""Two-way effects: what columns hold beyond a store-product's mean and a category's period, exactly.

Alternating demeaning needs no row after the first pass: the sums by store-product, the sums by period and who was
there when are sufficient. The store-product effects are eliminated, and what is left for the periods of a category is
one small system, solved where the category lies (Frisch and Waugh; Guimaraes and Portugal 2010 iterate on the same).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.elasticity.panel.cells import UNIT
from retail_spark.domains.elasticity.panel.moments import stacked

Array = npt.NDArray[np.float64]


def period_effects(presence: Array, unit_sums: Array, period_sums: Array) -> Array:
    """The effects of periods (periods, columns), given presence (units, periods) of 0 and 1, and the sums by each.

    Normal equations of the two-way model with the unit effects eliminated; of the solutions the shortest is taken,
    one for every connected part. Units must have a row, and periods too.
    """
    counts = presence.sum(axis=1)
    shares = presence / counts[:, None]
    system = np.diag(presence.sum(axis=0)) - presence.T @ shares
    right = period_sums - shares.T @ unit_sums
    values, vectors = np.linalg.eigh(system)
    sound = values > 1e-9 * max(float(values.max()), 1.0)
    inverse = np.where(sound, 1 / np.where(sound, values, 1.0), 0.0)
    effects: Array = (vectors * inverse) @ (vectors.T @ right)
    return effects


def to_period_effects(rows: DataFrame, *, columns: Sequence[str]) -> DataFrame:
    """One row per (category, period): `effects`, one for each column. (store, product, period) is a key of the rows."""
    sums = F.array(*[F.sum(name) for name in columns]).alias("sums")
    units = rows.groupBy("category", *UNIT).agg(sums, F.collect_list("period").alias("periods"))
    periods = rows.groupBy("category", "period").agg(sums)

    def solve(units: pd.DataFrame, periods: pd.DataFrame) -> pd.DataFrame:
        try:
            return _solved(units, periods)
        except np.linalg.LinAlgError:  # no finite solution: the category keeps NaN, and later steps say that it failed
            return _unsolved(periods)

    schema = "category string, period int, effects array<double>"
    return units.groupBy("category").cogroup(periods.groupBy("category")).applyInPandas(solve, schema)


def _solved(units: pd.DataFrame, periods: pd.DataFrame) -> pd.DataFrame:
    units, periods = units.sort_values(list(UNIT)), periods.sort_values("period")
    numbers = periods["period"].to_numpy()
    presence = np.zeros((len(units), len(numbers)))
    lengths = [len(some) for some in units["periods"]]
    flat = np.concatenate([np.asarray(some, dtype=np.int64) for some in units["periods"]])
    presence[np.repeat(np.arange(len(units)), lengths), np.searchsorted(numbers, flat)] = 1.0
    effects = period_effects(presence, stacked(units["sums"]), stacked(periods["sums"]))
    found: dict[str, Any] = {"category": units["category"].iloc[0], "period": numbers, "effects": list(effects)}
    return pd.DataFrame(found)


def _unsolved(periods: pd.DataFrame) -> pd.DataFrame:
    untold = np.full((len(periods), len(periods["sums"].iloc[0])), np.nan)
    return periods[["category", "period"]].assign(effects=list(untold))


def without_periods(rows: DataFrame, *, columns: Sequence[str]) -> DataFrame:
    """The columns less the effects of their category's periods. Same grain; (category, period) is a key of them."""
    effects = to_period_effects(rows, columns=columns)
    joined = rows.join(F.broadcast(effects), on=["category", "period"], how="inner")
    return joined.withColumns({name: F.col(name) - F.col("effects")[at] for at, name in enumerate(columns)}).drop(
        "effects"
    )


def without_units(rows: DataFrame, *, columns: Sequence[str]) -> DataFrame:
    """The columns less their means by store-product. Same grain."""
    unit = W.partitionBy(*UNIT)
    return rows.withColumns({name: F.col(name) - F.avg(name).over(unit) for name in columns})
