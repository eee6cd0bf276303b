"""Confidence sequences: intervals that hold at every look together, so that one may look daily and stop at any time."""

from __future__ import annotations

import math


def half_width(standard_error: float, *, units: float, tuned_for: float, alpha: float = 0.05) -> float:
    """Half the width of the sequence's interval for an effect estimated from so many units.

    The normal mixture of Robbins (1970), with variances estimated (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas
    2024: asymptotic confidence sequences). It is narrowest, compared with its own best, after `tuned_for` units; that
    number must be fixed before the first look.

    >>> round(half_width(1.0, units=1000, tuned_for=1000) / 1.96, 2)
    1.55
    """
    width, mixture = _mixture(units, tuned_for=tuned_for, alpha=alpha)
    inside = (1 + mixture) / mixture * (width + math.log1p(mixture))
    return standard_error * math.sqrt(inside)


def sequential_p_value(effect: float, standard_error: float, *, units: float, tuned_for: float, alpha: float) -> float:
    """The p-value that goes with the sequence: below alpha just where its interval leaves out 0. At most 1."""
    _, mixture = _mixture(units, tuned_for=tuned_for, alpha=alpha)
    score = (effect / standard_error) ** 2
    return min(1.0, math.exp(min(0.0, 0.5 * math.log1p(mixture) - 0.5 * score * mixture / (1 + mixture))))


def _mixture(units: float, *, tuned_for: float, alpha: float) -> tuple[float, float]:
    """-2 log alpha, and the variance of the mixture in squared standard errors."""
    width = -2 * math.log(alpha)
    return width, (width + math.log(width + 1)) * units / tuned_for
