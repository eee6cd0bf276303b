"""How many units an experiment needs, and what it can see with those it has."""

from __future__ import annotations

import math

from scipy import optimize, special, stats

from retail_spark.stats.differences import welch


def power_of(effect: float, *, variance: float, units: float, ratio: float = 1.0, alpha: float = 0.05) -> float:
    """Probability that a two-sided Welch test finds the effect.

    Args:
        effect: True difference of the means.
        variance: That of one unit, the same in both groups.
        units: Both groups together.
        ratio: Units of the treatment for each of the control.

    >>> round(power_of(0.5, variance=1.0, units=128), 3)
    0.801
    """
    first, second = units / (1 + ratio), units * ratio / (1 + ratio)
    error, freedom = welch(variance, first, variance, second)
    critical, shift = float(stats.t.isf(alpha / 2, freedom)), effect / error
    exact = float(stats.nct.cdf(-critical, freedom, shift)), float(stats.nct.sf(critical, freedom, shift))
    normal = float(special.ndtr(-critical - shift)), float(special.ndtr(shift - critical))
    # scipy's noncentral t has no value far out, where there are thousands of units and the normal is as good
    return sum(near if math.isnan(far) else far for far, near in zip(exact, normal, strict=True))


def units_needed(effect: float, *, variance: float, power: float = 0.8, ratio: float = 1.0, alpha: float = 0.05) -> int:
    """Units of both groups together with which the effect is found so often. Raises ValueError for no effect.

    >>> units_needed(0.5, variance=1.0)
    128
    """
    if effect == 0 or not variance > 0:
        raise ValueError("an effect of 0, or a metric that does not vary, needs no number of units")

    def missing(units: float) -> float:
        return power - power_of(effect, variance=variance, units=units, ratio=ratio, alpha=alpha)

    low = 2 * (1 + max(ratio, 1 / ratio))
    if missing(low) <= 0:
        return math.ceil(low)
    high = 10 * low
    while missing(high) > 0:
        high *= 10
    return math.ceil(float(optimize.brentq(missing, low, high, xtol=1e-9)))


def smallest_effect(
    units: float, *, variance: float, power: float = 0.8, ratio: float = 1.0, alpha: float = 0.05
) -> float:
    """The smallest effect that so many units find so often.

    >>> round(smallest_effect(128, variance=1.0), 2)
    0.5
    """

    def missing(effect: float) -> float:
        return power - power_of(effect, variance=variance, units=units, ratio=ratio, alpha=alpha)

    high = 10 * math.sqrt(variance / units)
    while missing(high) > 0:
        high *= 10
    return float(optimize.brentq(missing, 0.0, high, xtol=1e-14))
