"""Ensembles of candidates: their median, and their mean by what each erred."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retail_spark.domains.forecast.recipe import MEDIAN, WEIGHTED
from retail_spark.stats.arrays import Array

_WEIGHT_POWER = 4.0  # how sharply a weighted ensemble prefers what erred less


def ensembles(values: Array, actual: Array, scale: Array, *, names: Sequence[str]) -> list[Array]:
    """Median of the candidates, and their mean weighted by how little each erred in the windows before."""
    found = []
    if MEDIAN in names:
        found.append(_quiet_median(values)[:, None])
    if WEIGHTED in names:
        squares = np.zeros(values.shape[1:3])
        parts = []
        for k in range(len(values)):
            weights = (1.0 / (squares / max(k, 1) + 0.01)) ** (_WEIGHT_POWER / 2)
            parts.append(_weighted_mean(values[k], weights))
            if k < len(actual):
                errors = np.nan_to_num((values[k] - actual[k]) / scale[k][:, None], nan=0.0)
                squares += (errors**2).mean(axis=-1)
        found.append(np.stack(parts)[:, None])
    order = {MEDIAN: 0, WEIGHTED: len(found) - 1}
    return [found[order[name]] for name in names]


def _quiet_median(values: Array) -> Array:
    is_there = ~np.asarray(np.isnan(values).all(axis=1))
    return np.where(is_there, np.nanmedian(np.where(is_there[:, None], values, 0.0), axis=1), np.nan)


def _weighted_mean(values: Array, weights: Array) -> Array:
    """(M, N, H) and (M, N): over the candidates that say something."""
    is_there = ~np.isnan(values)
    parts = np.where(is_there, weights[:, :, None], 0.0)
    total = parts.sum(axis=0)
    return np.where(total > 0, (np.nan_to_num(values) * parts).sum(axis=0) / np.where(total > 0, total, 1.0), np.nan)
