"""The mean of a ratio of two sums, and its variance by the delta method (Deng, Knoblich and Lu 2018).

Variables stand in the order value, denominator, covariate, denominator of the covariate. For a mean per unit both
denominators are 1 for every unit, and the formulas are those of the mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retail_spark.stats.arrays import Array
from retail_spark.stats.moments import Moments

VARIABLES = ("value", "denominator", "covariate", "covariate_denominator")


@dataclass(frozen=True)
class Estimate:
    """A mean or ratio of one group: `variance` is that of one unit, so the mean's is variance / count."""

    mean: float
    variance: float
    count: int


def covariate_coefficient(total: Moments) -> float:
    """The coefficient of CUPED (Deng, Xu, Kohavi and Walker 2013) over all groups; 0 where the covariate is constant.

    >>> total = Moments.of_values(np.array([[2.0, 1, 1, 1], [4, 1, 2, 1], [6, 1, 3, 1]]))
    >>> covariate_coefficient(total)
    2.0
    """
    slope = _slopes(total)[1]
    variance = float(slope @ total.covariance @ slope)
    return 0.0 if variance <= 0 else float(_slopes(total)[0] @ total.covariance @ slope) / variance


def estimate(group: Moments, *, coefficient: float = 0.0, covariate_mean: float = 0.0) -> Estimate:
    """The group's ratio of means, moved by coefficient * (its covariate - covariate_mean)."""
    value, covariate = _ratios(group)
    slope = _slopes(group)[0] - coefficient * _slopes(group)[1]
    variance = max(0.0, float(slope @ group.covariance @ slope))
    return Estimate(value - coefficient * (covariate - covariate_mean), variance, group.count)


def adjusted(control: Moments, treatment: Moments) -> tuple[Estimate, Estimate]:
    """Control and treatment, adjusted for the covariate of both together (CUPED)."""
    total = control + treatment
    coefficient, (_, mean) = covariate_coefficient(total), _ratios(total)
    first, second = (estimate(g, coefficient=coefficient, covariate_mean=mean) for g in (control, treatment))
    return first, second


def _ratios(group: Moments) -> tuple[float, float]:
    value, denominator, covariate, of_covariate = (float(mean) for mean in group.mean)
    return value / denominator, covariate / of_covariate


def _slopes(group: Moments) -> tuple[Array, Array]:
    """The derivatives of both ratios by the four means."""
    value, covariate = _ratios(group)
    _, denominator, _, of_covariate = (float(mean) for mean in group.mean)
    first = np.array([1 / denominator, -value / denominator, 0.0, 0.0])
    return first, np.array([0.0, 0.0, 1 / of_covariate, -covariate / of_covariate])
