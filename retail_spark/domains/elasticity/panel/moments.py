"""Sums and cross products of columns by group, in one groupBy: all that least squares needs of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

Array = npt.NDArray[np.float64]


def moment_sums(columns: Sequence[str]) -> list[Column]:
    """Aggregates: `rows`, `sums` (one a column) and `crossed` (upper triangle by rows)."""
    crossed = [F.sum(F.col(a) * F.col(b)) for n, a in enumerate(columns) for b in columns[n:]]
    return [
        F.count(F.lit(1)).alias("rows"),
        F.array(*[F.sum(name) for name in columns]).alias("sums"),
        F.array(*crossed).alias("crossed"),
    ]


def to_moments(rows: DataFrame, *, keys: Sequence[str], columns: Sequence[str]) -> DataFrame:
    """One row per keys: rows, sums and crossed. Columns must be anchored (near zero), or cross products cancel."""
    return rows.groupBy(*keys).agg(*moment_sums(columns))


def anchored(rows: DataFrame, *, keys: Sequence[str], columns: Sequence[str]) -> DataFrame:
    """The columns less their mean over the keys (such as a product): moments of what is left do not cancel."""
    means = rows.groupBy(*keys).agg(*[F.avg(name).alias(f"_{name}") for name in columns])
    joined = rows.join(F.broadcast(means), on=list(keys), how="inner")
    return joined.withColumns({name: F.col(name) - F.col(f"_{name}") for name in columns}).drop(
        *[f"_{name}" for name in columns]
    )


def matrices(crossed: pd.Series[Any] | Array, size: int) -> Array:
    """Upper triangles as symmetric matrices (groups, size, size)."""
    flat = crossed if isinstance(crossed, np.ndarray) else stacked(crossed)
    full = np.zeros((len(flat), size, size))
    rows, columns = np.triu_indices(size)
    full[:, rows, columns] = flat
    full[:, columns, rows] = flat
    return full


def stacked(arrays: pd.Series[Any]) -> Array:
    """A column of equally long arrays as one matrix."""
    return np.stack([np.asarray(a, dtype=np.float64) for a in arrays]) if len(arrays) else np.zeros((0, 0))


def within(crossed: Array, sums: Array, rows: Array) -> Array:
    """Cross products around the group's own means."""
    centred: Array = crossed - sums[:, :, None] * sums[:, None, :] / np.maximum(rows, 1)[:, None, None]
    return centred
