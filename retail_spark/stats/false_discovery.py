"""Which of many findings to believe."""

from __future__ import annotations

import numpy as np

from retail_spark.stats.arrays import Array


def false_discovery_rates(p: Array) -> Array:
    """The smallest false discovery rate at which each is a finding (Benjamini and Hochberg 1995), in the order given.

    >>> false_discovery_rates(np.array([0.01, 0.04, 0.03])).round(4).tolist()
    [0.03, 0.04, 0.04]
    """
    order = np.argsort(p, kind="stable")
    scaled = p[order] * len(p) / (np.arange(len(p)) + 1)
    rates = np.empty_like(p)
    rates[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return rates
