"""Many tests at once: p-values adjusted so that few of what is claimed is false."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def adjusted_p_values(p_values: Sequence[float]) -> list[float]:
    """The p-values of Benjamini and Hochberg (1995), in the order given: reject those at most the rate.

    >>> adjusted_p_values([0.01, 0.04, 0.03])
    [0.03, 0.04, 0.04]
    """
    given = np.asarray(p_values, dtype=float)
    order = np.argsort(-given, kind="stable")
    ranks = np.arange(len(given), 0, -1)
    adjusted = np.minimum.accumulate(np.minimum(1.0, given[order] * len(given) / ranks))
    found = np.empty(len(given))
    found[order] = adjusted
    return [float(value) for value in found]
