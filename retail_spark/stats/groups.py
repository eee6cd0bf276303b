"""Sums and cross products by group, in numpy."""

from __future__ import annotations

from math import prod

import numpy as np

from retail_spark.stats.arrays import Array, Codes


def padded(values: Array, live: Codes, size: int, *, axes: int) -> Array:
    """The values, whose last 1 or 2 axes are the columns `live`, with zeros for the others of `size` columns."""
    found = np.zeros((*values.shape[: values.ndim - axes], *[size] * axes))
    found[(..., live) if axes == 1 else (..., live[:, None], live)] = values
    return found


def crossed(columns: Array, weights: Array, codes: Codes, groups: int) -> Array:
    """(groups, K, K): X'WX of the rows of each group."""
    size = columns.shape[1]
    found = np.empty((groups, size, size))
    for k in range(size):
        weighted = columns[:, k] * weights
        for m in range(k, size):
            found[:, k, m] = found[:, m, k] = np.bincount(codes, weighted * columns[:, m], minlength=groups)
    return found


def by_group(values: Array, codes: Codes, groups: int) -> Array:
    """Sums of the rows of each group, whatever their shape."""
    flat = values.reshape(len(values), prod(values.shape[1:]))
    sums = [np.bincount(codes, flat[:, k], minlength=groups) for k in range(flat.shape[1])]
    found: Array = np.stack(sums, axis=1).astype(np.float64).reshape(groups, *values.shape[1:])
    return found
