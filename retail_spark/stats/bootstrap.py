"""Bootstrap by weights: every replicate counts a unit a Poisson number of times."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_POISSON = np.cumsum([np.exp(-1.0) / float(np.prod(range(1, n + 1), dtype=np.float64)) for n in range(12)])


def poisson_weights(keys: npt.NDArray[np.int64], *, replicates: int) -> npt.NDArray[np.float64]:
    """n x (1 + replicates): a column of ones, then Poisson(1) draws that depend on the key and the replicate alone."""
    draws = np.arange(1, replicates + 1, dtype=np.uint64)[None, :] * np.uint64(0x9E3779B97F4A7C15)
    mixed = keys.astype(np.int64).view(np.uint64)[:, None] + draws
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    uniform = ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2.0**53
    counts = np.searchsorted(_POISSON, uniform.ravel(), side="right").reshape(uniform.shape)
    return np.hstack([np.ones((len(keys), 1)), counts.astype(np.float64)])
