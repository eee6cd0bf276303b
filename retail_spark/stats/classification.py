"""How well probabilities of a yes tell, from counts by bin."""

from __future__ import annotations

import numpy as np

from retail_spark.stats.arrays import Array

CURVE_BINS = 10
"""Bins of equal weight of a calibration curve."""


def auc(on_time: Array, late: Array) -> float:
    """Probability that a late line scores above one on time, ties half; counts by rising score."""
    pairs = float(on_time.sum() * late.sum())
    if pairs == 0:
        return float("nan")
    below = np.cumsum(on_time) - on_time
    return float((late * (below + on_time / 2)).sum() / pairs)


def average_precision(on_time: Array, late: Array) -> float:
    """Precision at every threshold, weighted by the recall it adds; counts by rising score."""
    if late.sum() == 0:
        return float("nan")
    hits, all_ = np.cumsum(late[::-1]), np.cumsum((late + on_time)[::-1])
    precision = np.divide(hits, all_, out=np.zeros_like(hits), where=all_ > 0)
    return float((precision * late[::-1]).sum() / late.sum())


def calibration_error(lines: Array, late: Array, p: Array) -> float:
    """Expected calibration error: the mean gap between share late and mean p over ten bins of equal weight."""
    places = np.minimum((np.cumsum(lines) - lines / 2) / lines.sum() * CURVE_BINS, CURVE_BINS - 1e-9).astype(int)
    gaps = np.bincount(places, weights=late - p, minlength=CURVE_BINS)
    return float(np.abs(gaps).sum() / lines.sum())
