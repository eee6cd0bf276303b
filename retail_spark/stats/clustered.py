"""Errors of rows that belong together: clusters share their shocks."""

from __future__ import annotations

import numpy as np

from retail_spark.stats.arrays import Array, Codes
from retail_spark.stats.groups import by_group, crossed

_RANK = 1e-9  # of the largest eigenvalue: what is below is no information


def meat(scores: Array, groups: Codes) -> tuple[Array, int]:
    """Sum over groups of the outer product of their scores, and the number of groups."""
    sums = by_group(scores, groups, int(groups.max()) + 1)
    return sums.T @ sums, len(np.unique(groups))


def design_effect(serial_correlation: Array) -> Array:
    """How much the variance grows where errors follow on each other: (1 + r) / (1 - r), at least 1."""
    r = np.clip(np.nan_to_num(serial_correlation), 0.0, 0.8)
    effect: Array = (1 + r) / (1 - r)
    return effect


def precisions_of(information: Array, variance: Array, scores: Array, *, group: Codes, period: Codes) -> Array:
    """(groups, K, K): the precision of each group's slopes, its shocks clustered by period.

    `information` (groups, K, K) is X'WX, `variance` (groups,) the residual one; `scores` (rows, K) are summed up by
    period first. A clustered covariance of few clusters is noisy: it counts half, the plain one, scaled to its size,
    the other half. Along directions that the rows tell nothing of (a column that does not vary, or only with another)
    the precision is 0.
    """
    values, vectors = np.linalg.eigh(information)
    is_told = values > _RANK * np.maximum(values[:, -1:], 1e-300)
    rank = is_told.sum(axis=1)
    plain = np.sqrt(np.where(is_told, values, 1.0) / variance[:, None])  # one over the plain errors
    clustered, periods = _clustered(scores, group, period, len(information))
    scale = periods / np.maximum(periods - 1, 1) * periods / np.maximum(periods - rank - 1, 1)
    ways = vectors * (is_told / (plain * variance[:, None]))[:, None, :]
    ratios = ways.transpose(0, 2, 1) @ clustered @ ways * scale[:, None, None]  # in units of the plain covariance
    size = np.einsum("jkk->j", ratios) / np.maximum(rank, 1)
    mean = 0.5 * ratios + 0.5 * np.maximum(size, 1.0)[:, None, None] * np.eye(information.shape[1])
    ways = vectors * (is_told * plain)[:, None, :]
    found: Array = ways @ np.linalg.inv(mean) @ ways.transpose(0, 2, 1)
    return found


def _clustered(scores: Array, group: Codes, period: Codes, groups: int) -> tuple[Array, Array]:
    """Per group: the sum over periods of the products of summed scores, and the number of periods."""
    width = int(period.max()) + 1
    pairs, place = np.unique(group * width + period, return_inverse=True)
    sums, of = by_group(scores, place.astype(np.int64), len(pairs)), pairs // width
    return crossed(sums, np.ones(len(sums)), of, groups), np.bincount(of, minlength=groups).astype(np.float64)
