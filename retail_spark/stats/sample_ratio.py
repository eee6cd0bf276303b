"""Whether the groups of an experiment are as large as they were meant to be."""

from __future__ import annotations

from collections.abc import Sequence

from scipy import stats

_EXACT_BELOW = 1000


def sample_ratio_p_value(counts: Sequence[int], weights: Sequence[float]) -> float:
    """How likely group sizes at least as far from the intended weights are by chance.

    Two groups of fewer than 1,000 units together are tested exactly (binomial), all others by chi-square.

    >>> round(sample_ratio_p_value([44_700, 45_489], [1, 1]), 4)
    0.0086
    """
    total, whole = sum(counts), sum(weights)
    if len(counts) == 2 and total < _EXACT_BELOW:
        return float(stats.binomtest(counts[0], total, weights[0] / whole).pvalue)
    return float(stats.chisquare(counts, [total * weight / whole for weight in weights]).pvalue)
