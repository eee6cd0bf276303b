"""How good the policy was in the held-out window, against seasonal naive, with intervals by series."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from retail_spark.domains.forecast.accuracy import POLICY
from retail_spark.modelling.gate import Difference, Gate, judge

BUCKETS = 64
"""Groups of series that are drawn anew for the intervals; drawn whole, since periods of a series err together."""


@dataclass(frozen=True)
class Measured:
    """Sums over the held-out window by bucket of series and category (`measured_rows`)."""

    sums: pd.DataFrame

    @property
    def has_points(self) -> bool:
        return bool(len(self.sums)) and float(self.sums["units"].sum()) > 0

    def wape(self, who: str) -> float:
        """Absolute errors by units sold."""
        return float(self.sums[f"absolute_{who}"].sum() / self.sums["units"].sum())

    def bias(self, who: str) -> float:
        """Forecast less sold, by units sold."""
        return float(self.sums[f"error_{who}"].sum() / self.sums["units"].sum())

    def coverage(self, name: str) -> float:
        """Share of known values inside their interval."""
        return float(self.sums[name].sum() / self.sums["points"].sum())

    def by_bucket(self, who: str) -> tuple[np.ndarray, np.ndarray]:
        grouped = self.sums.groupby("bucket")[[f"absolute_{who}", "units"]].sum()
        whole = grouped.reindex(range(BUCKETS), fill_value=0.0)
        return whole.iloc[:, 0].to_numpy(), whole["units"].to_numpy()

    def fva_by_category(self) -> pd.Series:
        """Category -> WAPE of seasonal naive less that of the policy."""
        sums = self.sums.groupby("category")[["units", "absolute_reference", f"absolute_{POLICY}"]].sum()
        sums = sums[sums["units"] > 0]
        return (sums["absolute_reference"] - sums[f"absolute_{POLICY}"]) / sums["units"]

    def metrics(self) -> dict[str, float]:
        """Flat names; what is not finite is left out."""
        found = {
            "wape": self.wape(POLICY), "wape_seasonal_naive": self.wape("reference"), "bias": self.bias(POLICY),
            "bias_seasonal_naive": self.bias("reference"), "coverage_80": self.coverage("coverage_80"),
            "coverage_95": self.coverage("coverage_95"), "fva": self.wape("reference") - self.wape(POLICY),
            "test_points": float(self.sums["points"].sum()),
        }  # fmt: skip
        return {name: value for name, value in found.items() if math.isfinite(value)}


def difference(ours: Measured, theirs: Measured, *, their: str, replicates: int, seed: int) -> Difference:
    """WAPE of theirs less ours, 95 % interval by drawing buckets of series; positive: ours is better."""
    mine, units = ours.by_bucket(POLICY)
    other, _ = theirs.by_bucket(their)
    drawn = np.random.default_rng(seed).integers(BUCKETS, size=(replicates, BUCKETS))
    total = np.maximum(units[drawn].sum(axis=1), 1e-9)
    gains = (other[drawn].sum(axis=1) - mine[drawn].sum(axis=1)) / total
    low, high = np.quantile(gains, [0.025, 0.975])
    return Difference(float((other.sum() - mine.sum()) / units.sum()), float(low), float(high))


@dataclass(frozen=True)
class Limits:
    """How far bias of all units and the coverage of the 80 % intervals may lie from 0 and 80 %."""

    bias: float
    coverage: float

    def of(self, measured: Measured) -> dict[str, tuple[float, float, float]]:
        """Name -> (value, lowest allowed, highest allowed)."""
        return {
            "bias": (measured.bias(POLICY), -self.bias, self.bias),
            "coverage_80": (measured.coverage("coverage_80"), 0.8 - self.coverage, 0.8 + self.coverage),
        }

    def excess(self, measured: Measured) -> float:
        """How far outside, in widths of the limits, all in all; 0 within."""
        return sum(max(low - v, v - high, 0.0) / (high - low) for v, low, high in self.of(measured).values())


def kept_gate(
    gate: Gate, ours: Measured, *, successor: Measured, limits: Limits, tolerance: float, replicates: int, seed: int
) -> tuple[Gate, str | None]:
    """The gate, and why a candidate that it refuses scores all the same.

    The limits hold for whoever takes the place as well: a candidate that is nearer to them than its successor, and
    whose WAPE is not clearly worse, keeps it.
    """
    refused = judge(gate, tolerance=tolerance)
    if not refused or limits.excess(successor) <= limits.excess(ours):
        return gate, None
    if difference(ours, successor, their=POLICY, replicates=replicates, seed=seed).high < 0:
        return gate, None
    theirs = limits.of(successor)
    values = ", ".join(f"{name} {v[0]:.3f} against {theirs[name][0]:.3f}" for name, v in limits.of(ours).items())
    told = f"the candidate scores although {'; '.join(refused)}: what would take its place is worse ({values})"
    return replace(gate, baselines={}, champion=None, limits={}), told


def gate_of(ours: Measured, champion: Measured | None, *, limits: Limits, replicates: int, seed: int) -> Gate:
    """On WAPE against seasonal naive and the champion; bias and the coverage of the 80 % intervals within limits."""
    against = None
    if champion is not None:
        against = difference(ours, champion, their=POLICY, replicates=replicates, seed=seed)
    return Gate(
        metric="wape",
        score=ours.wape(POLICY),
        baselines={"seasonal naive": difference(ours, ours, their="reference", replicates=replicates, seed=seed)},
        champion=against,
        champion_score=champion.wape(POLICY) if champion is not None else None,
        limits=limits.of(ours),
    )
