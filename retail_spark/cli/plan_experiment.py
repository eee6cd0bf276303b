"""The plan of an experiment: how many units it needs, how many days that takes, what fewer days could show."""

from __future__ import annotations

import math

from retail_spark.cli.query_output import aligned
from retail_spark.errors import UsageError
from retail_spark.stats.power import power_of, smallest_effect, units_needed

_DURATIONS = (7, 14, 28, 56)


def plan(
    *,
    mean: float,
    deviation: float | None,
    lift: float,
    power: float = 0.8,
    alpha: float = 0.05,
    ratio: float = 1.0,
    units_a_day: int | None = None,
) -> str:
    """The plan in words and, where units a day are known, a table of durations.

    Args:
        mean: The metric in the control; with no deviation it is a share of units, 0..1.
        deviation: Standard deviation of the metric over units.
        lift: Smallest effect worth finding, as a share of the mean.
        ratio: Units of the variant for each of the control.

    Raises UsageError for figures that no experiment can have.
    """
    variance = _variance(mean, deviation)
    _check(mean=mean, lift=lift, power=power, alpha=alpha, ratio=ratio, units_a_day=units_a_day)
    effect = lift * mean
    needed = units_needed(effect, variance=variance, power=power, ratio=ratio, alpha=alpha)
    found = (
        f"{needed:,} units in both groups together find an effect of {effect:+.6g} ({lift:+.2%} of {mean:g}) "
        f"with probability {power:.0%} at alpha {alpha:g}."
    )
    if units_a_day is None:
        return found
    days = math.ceil(needed / units_a_day)
    weeks = f"With {units_a_day:,} units a day that takes {days:,} days; in whole weeks {7 * math.ceil(days / 7):,}."
    rows = []
    for duration in sorted({*_DURATIONS, days}):
        units = duration * units_a_day
        if units >= 2 * (1 + max(ratio, 1 / ratio)):
            chance = power_of(effect, variance=variance, units=units, ratio=ratio, alpha=alpha)
            least = smallest_effect(units, variance=variance, power=power, ratio=ratio, alpha=alpha)
            rows.append((f"{duration:,}", f"{units:,}", f"{chance:.0%}", f"{least / mean:.2%}"))
    table = aligned(["days", "units", "power", "smallest lift"], rows).rstrip("\n")
    return f"{found}\n{weeks}\n\n{table}"


def _check(*, mean: float, lift: float, power: float, alpha: float, ratio: float, units_a_day: int | None) -> None:
    if not (mean > 0 and lift != 0 and ratio > 0 and (units_a_day is None or units_a_day > 0)):
        raise UsageError(
            "mean, ratio and units a day must be above 0, and the lift must not be 0.",
            fix="see retail-spark plan-experiment --help",
        )
    if not 0 < alpha < power < 1:
        raise UsageError(
            f"alpha {alpha:g} and power {power:g} must lie between 0 and 1, alpha below power.",
            fix="the usual ones are 0.05 and 0.8",
        )


def _variance(mean: float, deviation: float | None) -> float:
    if deviation is not None:
        if not deviation > 0:
            raise UsageError(f"a deviation of {deviation:g} is none.", fix="give the standard deviation over units")
        return deviation**2
    if not 0 < mean < 1:
        raise UsageError(
            f"a mean of {mean:g} without a deviation is no share of units.",
            fix="give --deviation, the standard deviation of the metric over units",
        )
    return mean * (1 - mean)
