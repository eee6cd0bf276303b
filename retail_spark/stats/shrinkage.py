"""Empirical Bayes for many means at once."""

from __future__ import annotations

import numpy as np

from retail_spark.stats.arrays import Array


def normal_means(values: Array, errors: Array, *, rounds: int = 500) -> tuple[float, float]:
    """Mean and variance of the truth behind noisy values, by EM."""
    centre, spread = float(np.average(values, weights=1 / errors**2)), max(float(np.var(values)), 1e-6)
    for _ in range(rounds):
        weight = spread / (spread + errors**2)
        posterior = weight * values + (1 - weight) * centre
        centre = float(np.average(values, weights=1 / (spread + errors**2)))
        new = float(np.mean((posterior - centre) ** 2 + weight * errors**2))
        if abs(new - spread) < 1e-9:
            break
        spread = max(new, 1e-9)
    return centre, spread
