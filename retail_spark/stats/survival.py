"""How long until something happens, where some are still waiting. numpy and scipy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Survival:
    """A curve: one entry for each duration that was seen, in order. `survival` is the share that lasts longer."""

    duration: Array
    at_risk: Array
    events: Array
    survival: Array
    low: Array
    high: Array

    def at(self, duration: float) -> float:
        """The share that lasts longer than the duration."""
        place = int(np.searchsorted(self.duration, duration, side="right")) - 1
        return 1.0 if place < 0 else float(self.survival[place])


def kaplan_meier(duration: Array, is_event: Array, weight: Array, *, level: float = 0.95) -> Survival:
    """The product-limit curve (Kaplan and Meier 1958), with Greenwood's errors on the log-log scale.

    Args:
        duration: until the event, or until the waiting was last seen; not negative.
        is_event: 1 where the event came, 0 where it had not come yet.
        weight: how many are like this.
        level: of the interval.

    >>> curve = kaplan_meier(np.array([1.0, 2.0, 2.0, 3.0]), np.array([1.0, 1.0, 0.0, 1.0]), np.ones(4))
    >>> curve.survival.round(4).tolist()
    [0.75, 0.5, 0.0]
    """
    times, place = np.unique(duration, return_inverse=True)
    events = np.bincount(place, weights=weight * is_event, minlength=len(times)).astype(np.float64)
    leaving = np.bincount(place, weights=weight, minlength=len(times)).astype(np.float64)
    at_risk = np.asarray(np.cumsum(leaving[::-1])[::-1], np.float64)
    survival = np.cumprod(1 - events / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(events / (at_risk * (at_risk - events)))
        log_survival = np.log(survival)
        reach = norm.ppf(0.5 + level / 2) * np.sqrt(greenwood) / log_survival
        low, high = (np.exp(-np.exp(np.log(-log_survival) + sign * reach)) for sign in (-1, 1))
    certain = (survival >= 1) | (survival <= 0)
    ends = [np.asarray(np.where(certain, survival, end), np.float64) for end in (low, high)]
    return Survival(np.asarray(times, np.float64), at_risk, events, np.asarray(survival, np.float64), ends[0], ends[1])
