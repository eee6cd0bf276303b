"""How good probabilities of lateness are on held-out time, with intervals by shipment. Only bounded sums are pulled.

A score is summed up by (rival, bucket, bin): buckets hold whole shipments, so that drawing buckets again and again
tells how sure a figure is; a bin is 1/256 of log odds, finer than any figure shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.modelling.gate import Difference
from retail_spark.stats.arrays import Array
from retail_spark.stats.classification import CURVE_BINS, auc, average_precision, calibration_error

METRICS = ("auc", "average_precision", "brier", "log_loss", "ece")
RISES = ("auc", "average_precision")
"""Metrics of which more is better."""
_BUCKETS = 64
_BINS_PER_UNIT = 256
_LONGEST_MARGIN = 12.0


def to_bins(scored: DataFrame, *, rivals: Mapping[str, str], counts: Mapping[str, Column] | None = None) -> DataFrame:
    """One row per (rival, bucket, bin) of lines whose outcome is known: lines, late, and sums of p and its errors.

    `rivals` is rival -> column of its probability; `counts` is name -> condition, counted beside them.
    """
    counted = {name: F.coalesce(condition, F.lit(False)) for name, condition in (counts or {}).items()}
    each = [F.struct(F.lit(rival).alias("rival"), F.col(column).alias("p")) for rival, column in rivals.items()]
    bucket = F.pmod(F.xxhash64("shipment"), F.lit(_BUCKETS)).cast("int").alias("bucket")
    long = scored.where(F.col("is_late").isNotNull()).select(
        "is_late", bucket, *[what.alias(name) for name, what in counted.items()], F.explode(F.array(*each)).alias("r")
    )
    p, late = F.col("r.p"), F.col("is_late").cast("double")
    binned = long.select(
        F.col("r.rival").alias("rival"),
        "bucket",
        margin_bin(p).alias("bin"),
        p.alias("p"),
        late.alias("late"),
        *counted,
    )
    log_loss = -(F.col("late") * F.log("p") + (1 - F.col("late")) * F.log(1 - F.col("p")))
    return binned.groupBy("rival", "bucket", "bin").agg(
        F.count(F.lit(1)).cast("double").alias("lines"),
        F.sum("late").alias("late"),
        exact_sum(F.col("p")).alias("p"),
        exact_sum((F.col("p") - F.col("late")) * (F.col("p") - F.col("late"))).alias("brier"),
        exact_sum(log_loss).alias("log_loss"),
        *[F.count_if(name).alias(name) for name in counted],
    )


def margin_bin(p: Column) -> Column:
    """The bin of a probability: its log odds in steps of 1/256."""
    margin = F.log(p / (1 - p))
    cut = F.greatest(F.least(margin, F.lit(_LONGEST_MARGIN)), F.lit(-_LONGEST_MARGIN))
    return F.round(cut * _BINS_PER_UNIT).cast("int")


def bin_margin(bins: npt.NDArray[np.int64]) -> Array:
    """The log odds in the middle of each bin."""
    return bins.astype(np.float64) / _BINS_PER_UNIT


def exact_sum(value: Column) -> Column:
    """A sum that does not depend on the order of rows: whole multiples of 2^-40, added as decimals."""
    scale = F.lit(float(2**40))
    return (F.sum(F.round(value * scale).cast("decimal(24,0)")).cast("double") / scale).cast("double")


@dataclass(frozen=True)
class Measured:
    """Metrics of every rival on one window, and the same over bootstrap samples of the buckets (paired)."""

    lines: int
    late: int
    values: Mapping[str, Mapping[str, float]]
    samples: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    curves: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Rival -> bins with lines, late, p: what calibration and precision-recall curves are drawn from."""

    def difference(self, rival: str, other: str, *, metric: str) -> Difference:
        """How much better `rival` is than `other` (positive is better), with a 95 % interval."""
        sign = 1.0 if metric in RISES else -1.0
        mean = sign * (self.values[rival][metric] - self.values[other][metric])
        drawn = sign * (self.samples[rival][metric] - self.samples[other][metric])
        low, high = np.nanquantile(drawn, [0.025, 0.975])
        return Difference(float(mean), float(low), float(high))

    def interval(self, rival: str, *, metric: str) -> tuple[float, float]:
        """The 95 % interval of a metric."""
        low, high = np.nanquantile(self.samples[rival][metric], [0.025, 0.975])
        return float(low), float(high)

    def with_equal(self, name: str, *, of: str) -> Measured:
        """Adds a rival that equals another."""

        def more(given: Mapping[str, object]) -> dict[str, object]:
            return {**given, name: given[of]}

        return Measured(self.lines, self.late, more(self.values), more(self.samples), more(self.curves))  # type: ignore[arg-type]


def measure(bins: pd.DataFrame, *, replicates: int, seed: int) -> Measured:
    """Metrics of every rival from the rows of `to_bins`."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(_BUCKETS, np.full(_BUCKETS, 1 / _BUCKETS), size=replicates)
    values, samples, curves = {}, {}, {}
    for rival, rows in bins.sort_values(["rival", "bin", "bucket"]).groupby("rival"):
        name = str(rival)
        values[name] = metrics_of(rows)
        each = [metrics_of(rows, weights=draw[rows["bucket"].to_numpy()]) for draw in drawn]
        samples[name] = {m: np.array([found[m] for found in each]) for m in METRICS}
        curves[name] = rows.groupby("bin")[["lines", "late", "p"]].sum().reset_index()
    one = bins[bins["rival"] == bins["rival"].iloc[0]]
    return Measured(int(one["lines"].sum()), int(one["late"].sum()), values, samples, curves)


def metrics_of(rows: pd.DataFrame, *, weights: npt.NDArray[np.int64] | None = None) -> dict[str, float]:
    """METRICS of one rival's rows, sorted by bin; NaN for what has no meaning where all lines are alike."""
    weight = np.ones(len(rows)) if weights is None else weights.astype(np.float64)
    lines, late = rows["lines"].to_numpy() * weight, rows["late"].to_numpy() * weight
    total = lines.sum()
    if total <= 0:
        return dict.fromkeys(METRICS, float("nan"))
    starts = np.flatnonzero(np.r_[True, np.diff(rows["bin"].to_numpy()) != 0])
    by_bin = [np.add.reduceat(x, starts) for x in (lines - late, late)]
    return {
        "auc": auc(*by_bin),
        "average_precision": average_precision(*by_bin),
        "brier": float((rows["brier"].to_numpy() * weight).sum() / total),
        "log_loss": float((rows["log_loss"].to_numpy() * weight).sum() / total),
        "ece": calibration_error(lines, late, rows["p"].to_numpy() * weight),
    }


def calibration_curve(curve: pd.DataFrame) -> pd.DataFrame:
    """Ten rows of equal weight by rising p: mean p, share late, lines."""
    lines = curve["lines"].to_numpy()
    places = np.minimum((np.cumsum(lines) - lines / 2) / lines.sum() * CURVE_BINS, CURVE_BINS - 1e-9).astype(int)
    sums = curve.groupby(places)[["lines", "late", "p"]].sum()
    shares = {"p": sums["p"] / sums["lines"], "late": sums["late"] / sums["lines"], "lines": sums["lines"]}
    return pd.DataFrame(shares).reset_index(drop=True)
