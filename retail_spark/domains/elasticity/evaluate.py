"""How well elasticities foretell units on periods that they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F
from scipy import stats

from retail_spark.domains.elasticity.panel.cells import UNIT


@dataclass(frozen=True)
class Errors:
    """Sums of squared errors by held-out period and rival; `rows` by period."""

    rows: np.ndarray[tuple[int], np.dtype[np.float64]]
    squares: pd.DataFrame
    """One row a period, one column a rival."""

    def rmse(self, rival: str) -> float:
        """Root mean squared error over all rows."""
        return float(np.sqrt(self.squares[rival].sum() / self.rows.sum()))

    def gain(self, rival: str, *, of: str = "candidate") -> tuple[float, float, float]:
        """Mean squared error of the rival less that of `of`, with its 95 % interval; periods are the clusters."""
        apart = (self.squares[rival] - self.squares[of]).to_numpy()
        mean = float(apart.sum() / self.rows.sum())
        periods = len(apart)
        spread = np.sqrt(((apart - mean * self.rows) ** 2).sum() * periods / max(periods - 1, 1)) / self.rows.sum()
        reach = float(stats.t.ppf(0.975, max(periods - 1, 1)) * spread)
        return mean, mean - reach, mean + reach


def to_errors(
    net: DataFrame, predictions: DataFrame, *, cut: int, columns: Sequence[str], rivals: Sequence[str]
) -> DataFrame:
    """One row per held-out period: rows, and the sum of squared errors of each rival.

    `predictions` has, by store and product, an array of slopes for each rival. Columns are taken around the unit's
    training mean, errors in units of the category's spread then; what a whole category has in common in a period is
    taken out of every rival's error.
    """
    unit = W.partitionBy(*UNIT)
    is_known = F.col("period") < cut
    names = ("y", *columns)
    centred = net.withColumns({n: F.col(n) - F.avg(F.when(is_known, F.col(n))).over(unit) for n in names})
    known = F.when(is_known, F.col("y"))
    centred = centred.withColumn("_spread", F.sqrt(F.avg(known * known).over(W.partitionBy("category"))))
    held = (
        centred.where(~is_known & (F.col("_spread") > 0))
        .where(F.col("y").isNotNull())
        .join(predictions, on=list(UNIT), how="inner")
    )
    explained = {
        rival: F.col("y") - sum((F.col(n) * F.col(rival)[at] for at, n in enumerate(columns)), F.lit(0.0))
        for rival in rivals
    }
    errors = held.select("category", "period", *[(e / F.col("_spread")).alias(rival) for rival, e in explained.items()])
    errors = errors.where(~F.isnan(rivals[0]))  # of a category that raised
    shared = W.partitionBy("category", "period")
    apart = errors.withColumns({rival: F.col(rival) - F.avg(rival).over(shared) for rival in rivals})
    return apart.groupBy("period").agg(
        F.count(F.lit(1)).alias("rows"), *[F.sum(F.col(rival) ** 2).alias(rival) for rival in rivals]
    )


def errors_of(found: pd.DataFrame, rivals: Sequence[str]) -> Errors | None:
    """The errors of a collected frame, a row a period; None with fewer than two periods."""
    found = found.sort_values("period")
    if len(found) < 2:
        return None
    return Errors(found["rows"].to_numpy(dtype=np.float64), found[list(rivals)].reset_index(drop=True))
