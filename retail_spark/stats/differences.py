"""Two groups compared: difference, lift, their intervals and the p-value, at a horizon fixed beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

from retail_spark.stats.delta_method import Estimate


@dataclass(frozen=True)
class Difference:
    """Treatment minus control. Lift is the difference as a share of control; None where control is not positive."""

    control: float
    treatment: float
    effect: float
    low: float
    high: float
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    p_value: float
    standard_error: float


def difference_of_means(control: Estimate, treatment: Estimate, *, alpha: float = 0.05) -> Difference:
    """Welch's test; the interval of the lift is that of the logarithm of the ratio.

    Raises ValueError where neither group varies: there is no error to measure the difference by.

    >>> found = difference_of_means(Estimate(10.0, 4.0, 100), Estimate(11.0, 4.0, 100))
    >>> round(found.effect, 3), round(found.lift, 3), round(found.p_value, 5)
    (1.0, 0.1, 0.00051)
    """
    error, freedom = welch(control.variance, control.count, treatment.variance, treatment.count)
    effect = treatment.mean - control.mean
    half = error * float(special.stdtrit(freedom, 1 - alpha / 2))
    lift = lift_low = lift_high = None
    if control.mean > 0 and treatment.mean > 0:
        ratio = treatment.mean / control.mean
        relative = (control.variance / control.mean**2, treatment.variance / treatment.mean**2)
        log_error, log_freedom = welch(relative[0], control.count, relative[1], treatment.count)
        factor = math.exp(min(700.0, log_error * float(special.stdtrit(log_freedom, 1 - alpha / 2))))
        lift, lift_low, lift_high = ratio - 1, ratio / factor - 1, ratio * factor - 1
    p_value = 2 * float(special.stdtr(freedom, -abs(effect) / error))
    return Difference(
        control.mean, treatment.mean, effect, effect - half, effect + half, lift, lift_low, lift_high, p_value, error
    )


def difference_of_proportions(
    control: Estimate, treatment: Estimate, *, alpha: float = 0.05, is_corrected: bool = True
) -> Difference:
    """Two shares by the normal approximation with pooled variance and, unless told otherwise, Yates's correction.

    Raises ValueError where all units, or none, are ones.

    >>> found = difference_of_proportions(Estimate(0.10, 0.09, 1000), Estimate(0.13, 0.1131, 1000))
    >>> round(found.effect, 3), round(found.p_value, 4)
    (0.03, 0.0421)
    """
    first, second = control.count, treatment.count
    pooled = (control.mean * first + treatment.mean * second) / (first + second)
    if not 0 < pooled < 1:
        raise ValueError("all units have the same value")
    error = math.sqrt(pooled * (1 - pooled) * (1 / first + 1 / second))
    correction = 0.5 * (1 / first + 1 / second) if is_corrected else 0.0
    effect = treatment.mean - control.mean
    z = float(special.ndtri(1 - alpha / 2))
    half = z * error + correction
    lift = lift_low = lift_high = None
    if control.mean > 0:
        ratio = treatment.mean / control.mean
        factor = math.exp(min(700.0, z * error / pooled + correction / control.mean))
        lift, lift_low, lift_high = ratio - 1, ratio / factor - 1, ratio * factor - 1
    p_value = 2 * float(special.ndtr(-max(abs(effect) - correction, 0.0) / error))
    low, high = max(effect - half, -1.0), min(effect + half, 1.0)
    return Difference(control.mean, treatment.mean, effect, low, high, lift, lift_low, lift_high, p_value, error)


def stratified(strata: list[tuple[Estimate, Estimate]], *, alpha: float = 0.05) -> Difference:
    """Control and treatment compared inside each stratum, weighted by the stratum's share of units.

    Raises ValueError where nothing varies. (Miratrix, Sekhon and Yu 2013: post-stratification.)
    """
    units = sum(control.count + treatment.count for control, treatment in strata)
    shares = [(control.count + treatment.count) / units for control, treatment in strata]
    means = [sum(s * pair[n].mean for s, pair in zip(shares, strata, strict=True)) for n in (0, 1)]
    errors = [
        sum(s**2 * pair[n].variance / pair[n].count for s, pair in zip(shares, strata, strict=True)) for n in (0, 1)
    ]
    counts = [sum(pair[n].count for pair in strata) for n in (0, 1)]
    whole = [Estimate(means[n], errors[n] * counts[n], counts[n]) for n in (0, 1)]
    return difference_of_means(whole[0], whole[1], alpha=alpha)


def welch(first: float, first_count: float, second: float, second_count: float) -> tuple[float, float]:
    """Standard error of a difference of two means, and degrees of freedom (Welch 1947), from variances of one unit.

    Raises ValueError where neither group varies.
    """
    a, b = first / first_count, second / second_count
    if not a + b > 0:
        raise ValueError("all units have the same value")
    freedom = (a + b) ** 2 / (a**2 / (first_count - 1) + b**2 / (second_count - 1))
    return math.sqrt(a + b), freedom
