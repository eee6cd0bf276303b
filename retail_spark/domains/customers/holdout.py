"""The held-out window: purchases that came, beside what the model and plain rules had expected, by cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.customers.models.cells import Array
from retail_spark.domains.customers.served import WEEK, ValueModel
from retail_spark.domains.customers.train import CELL
from retail_spark.frames.sums import exact_sum
from retail_spark.modelling.gate import Difference, Gate

BASELINES = ("naive", "average")
_NORMAL = 1.959963984540054


@dataclass(frozen=True)
class HeldOut:
    """One entry a cell of histories at the cut: customers, and the sums of their later purchases and squares."""

    cells: pd.DataFrame
    weeks: float
    average: float
    """Purchases a customer and week before the cut, of all customers together."""

    def expected(self, rival: str | ValueModel) -> Array:
        """Purchases that the rival expects, by cell."""
        x, t_x, age = (self.cells[name].to_numpy(dtype=np.float64) for name in CELL)
        if isinstance(rival, ValueModel):
            return rival.timing.expected_purchases(x, t_x / WEEK, age / WEEK, weeks=self.weeks)
        if rival == "average":
            return np.full(len(x), self.average * self.weeks)
        return naive_purchases(x, age, weeks=self.weeks)

    def rmse(self, rival: str | ValueModel) -> float:
        """Root mean squared error of purchases, by customer."""
        guess, n, total, squares = (self.expected(rival), *self._sums)
        return float(np.sqrt((squares - 2 * guess * total + n * guess**2).sum() / n.sum()))

    def bias(self, rival: str | ValueModel) -> float:
        """Expected by real purchases of all customers, less 1."""
        n, total, _ = self._sums
        return float((n * self.expected(rival)).sum() / total.sum() - 1) if total.sum() > 0 else float("nan")

    def gain(self, model: ValueModel, *, over: str | ValueModel) -> Difference:
        """Mean squared error of the rival less that of the model, with its 95 % interval; customers are independent."""
        ours, theirs = self.expected(model), self.expected(over)
        n, total, squares = self._sums
        # (y - theirs)^2 - (y - ours)^2 = c + d y: its mean and variance follow from the sums
        c, d = theirs**2 - ours**2, 2 * (ours - theirs)
        customers = n.sum()
        mean = float((n * c + d * total).sum() / customers)
        square = float((n * c**2 + 2 * c * d * total + d**2 * squares).sum() / customers)
        reach = _NORMAL * float(np.sqrt(max(square - mean**2, 0.0) / customers))
        return Difference(mean, mean - reach, mean + reach)

    @property
    def _sums(self) -> tuple[Array, Array, Array]:
        n, total, squares = (self.cells[name].to_numpy(dtype=np.float64) for name in ("customers", "total", "squares"))
        return n, total, squares

    def gate(self, model: ValueModel, *, has_champion: bool) -> Gate:
        """The candidate must beat the naive rate and the average.

        A champion is the same model fitted earlier: fitted up to the same cut it is the candidate, and no worse.
        """
        score = self.rmse(model)
        return Gate(
            metric="rmse_purchases",
            score=score,
            baselines={name: self.gain(model, over=name) for name in BASELINES},
            champion=Difference(0.0, 0.0, 0.0) if has_champion else None,
            champion_score=score if has_champion else None,
        )


def naive_purchases(x: Array, age_days: Array, *, weeks: float) -> Array:
    """The customer's own rate goes on: purchases after the first by the time since it; at least a week of it."""
    return x / np.maximum(age_days / WEEK, 1.0) * weeks


def to_held_out(histories: DataFrame, later: DataFrame, *, days: int) -> HeldOut:
    """Counts by cell: as many rows as there are different histories at the cut."""
    y = F.coalesce(F.col("later_purchases"), F.lit(0))
    cells = (
        histories.join(later, on="customer_id", how="left")
        .groupBy(*CELL)
        .agg(F.count(F.lit(1)).alias("customers"), F.sum(y).alias("total"), F.sum(y * y).alias("squares"))
        .toPandas()
        .sort_values(list(CELL), ignore_index=True)
    )
    repeats, ages = (cells["customers"] * cells["x"]).sum(), (cells["customers"] * cells["age_days"]).sum() / WEEK
    return HeldOut(cells, days / WEEK, float(repeats / ages) if ages > 0 else 0.0)


def value_metrics(scored: DataFrame, later: DataFrame) -> dict[str, float]:
    """Of the value within the held-out window: error and bias of the total, and what the best tenth brought.

    `scored` has customer_id, value (the model's) and naive (spend so far goes on).
    """
    joined = scored.join(later, on="customer_id", how="left").select(
        "value", "naive", F.coalesce("later_spend", F.lit(0.0)).alias("real")
    )
    best = joined.agg(F.percentile_approx("value", 0.9, 10_000)).collect()[0][0]
    sums = {
        "n": F.count(F.lit(1)),
        "real": exact_sum(F.col("real"), scale=4),
        "expected": exact_sum(F.col("value"), scale=4),
        "naive": exact_sum(F.col("naive"), scale=4),
        "squares": exact_sum((F.col("value") - F.col("real")) ** 2, scale=2),
        "naive_squares": exact_sum((F.col("naive") - F.col("real")) ** 2, scale=2),
        "top": exact_sum(F.when(F.col("value") >= F.lit(best), F.col("real")), scale=4),
    }
    row = joined.agg(*(total.alias(name) for name, total in sums.items())).collect()[0].asDict()
    if not row["n"] or not row["real"] or row["real"] <= 0:
        return {}
    return {
        "rmse_value": float(np.sqrt(row["squares"] / row["n"])),
        "rmse_value_naive": float(np.sqrt(row["naive_squares"] / row["n"])),
        "bias_value": row["expected"] / row["real"] - 1,
        "bias_value_naive": row["naive"] / row["real"] - 1,
        "top_decile_share": (row["top"] or 0.0) / row["real"],
    }
