"""Sequential detection of a changed rate, by Shiryaev-Roberts sums of likelihood ratios. numpy only.

Under "nothing changed" a sum R = (1 + R before) x likelihood ratio grows by one a day on average, whatever the ratio,
and R minus the days is a martingale: so a chart that tells a change when R passes A is wrong at most once in A days
(Pollak 1985). The mean of several such sums, one a size of change, is one as well. No detector sees a change sooner,
on the mean, than log(A) over what a day tells (Lorden 1971): `fewest_days` says how long that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retail_spark.stats.arrays import Array

Days = npt.NDArray[np.int64]
_LEAST, _MOST = 0.005, 0.995
_WEIGHT_AFTER = 2.0
"""Shipments that the rate of all weighs once a member has changed: it is not what it was, nor like the others."""
_OVERSHOOT = 0.9
"""A sum jumps past its threshold, so alarms are rarer than the bound says; found by simulation over one to 35 shipments
a week (tests/benchmarks/suppliers_changes.py), it spends what may be spent and no more."""
_YEAR_DAYS = 365.25


@dataclass(frozen=True)
class Rule:
    """What is looked for, and how seldom it may be seen where it is not."""

    odds_ratio: float
    """Change of the odds; its square is looked for as well."""
    years: float
    """Years of a member that hold one false alarm, over all charts together."""
    min_known: int
    """Shipments that must be known before."""
    prior_weight: float
    """Shipments that the rate of all weighs."""


@dataclass(frozen=True)
class History:
    """Shipments of a member, one entry per day and lane, by rising day: how many, and how many of them are yes."""

    day: Days
    shipments: Array
    yes: Array
    base: Array
    """The rate of all members before that day."""
    peers: Array
    """The odds of other members at that time over those expected of them; 1 where nothing is told."""


@dataclass(frozen=True)
class Alarm:
    """A change that was told."""

    is_up: bool
    changed_day: int
    """Of the first shipments that seem to be changed."""
    seen_day: int
    """Of the last shipments that were needed to tell it."""


def detect(history: History, *, rule: Rule, shares: tuple[float, float]) -> list[Alarm]:
    """The alarms of a member, in order. `shares` of its false alarms are for a rise and for a fall of the rate.

    After an alarm all begins anew: what came from the change on is what is usual then.
    """
    days, first = np.unique(history.day, return_index=True)
    if not len(days):
        return []
    a_year = len(days) / max(float(days[-1] - days[0]), 30.0) * _YEAR_DAYS
    bound = max(_OVERSHOOT * a_year * rule.years, 10.0)
    found: list[Alarm] = []
    begin = resume = 0
    while True:
        weight = min(_WEIGHT_AFTER, rule.prior_weight) if found else rule.prior_weight
        ready, gains = _gains(history, first, begin=begin, rule=rule, weight=weight)
        start = max(ready, resume)
        crossings = [
            (at + start, change + start, is_up)
            for is_up, share in zip((True, False), shares, strict=True)
            for change, at in first_crossing(
                [g[start - begin :] for g in gains[is_up]], threshold=np.log(bound / share)
            )
        ]
        if not crossings:
            return found
        at, change, is_up = min(crossings)
        found.append(Alarm(is_up, int(days[change]), int(days[at])))
        begin, resume = change, at + 1


def _gains(
    history: History, first: Days, *, begin: int, rule: Rule, weight: float
) -> tuple[int, dict[bool, list[Array]]]:
    """The day from which on enough is known, and the log likelihood ratios of each day from `begin` on.

    What is usual is learned from `begin` on. `first` is the first row of each day.
    """
    rows, starts = slice(int(first[begin]), None), first[begin:] - first[begin]
    shipments, yes, peers = history.shipments[rows], history.yes[rows], history.peers[rows]
    of_day, yes_of_day = np.add.reduceat(shipments, starts), np.add.reduceat(yes, starts)
    known, known_yes = np.cumsum(of_day) - of_day, np.cumsum(yes_of_day) - yes_of_day
    lanes = np.diff(np.r_[starts, len(shipments)])
    p = np.repeat(known_yes, lanes) + weight * history.base[rows]
    p = np.clip(p / (np.repeat(known, lanes) + weight), _LEAST, _MOST)
    found = {}
    for is_up in (True, False):
        own = _beside(p, peers, is_up=is_up)
        found[is_up] = [np.add.reduceat(_gain(yes, shipments, own, r), starts) for r in _ratios(rule, is_up=is_up)]
    return begin + int(np.searchsorted(known, rule.min_known)), found


def _ratios(rule: Rule, *, is_up: bool) -> tuple[float, float]:
    r = rule.odds_ratio if is_up else 1 / rule.odds_ratio
    return r, r * r


def _beside(p: Array, peers: Array, *, is_up: bool) -> Array:
    """What is expected: p, or what peers suffer (enjoy) at the same time, where that explains a rise (fall)."""
    odds = p / (1 - p) * peers
    shared = odds / (1 + odds)
    return np.clip(np.maximum(p, shared) if is_up else np.minimum(p, shared), _LEAST, _MOST)


def _gain(yes: Array, shipments: Array, p: Array, r: float) -> Array:
    """Log likelihood ratio of "the odds are r times as large"."""
    return np.asarray(yes * np.log(r) - shipments * np.log(1 - p + p * r))


def log_sums(gains: Array) -> Array:
    """log R day by day, R = (1 + R before) x exp(gain), from R = 0."""
    total = np.cumsum(gains)
    before = np.r_[0.0, total[:-1]]
    return np.asarray(total + np.logaddexp.accumulate(-before))


def first_crossing(gains: list[Array], *, threshold: float) -> list[tuple[int, int]]:
    """Place of the change (after which the likeliest sum rose most) and of the day that passed; none: empty."""
    if not len(gains[0]):
        return []
    heights = np.array([log_sums(gain) for gain in gains])
    passed = np.flatnonzero(np.logaddexp.reduce(heights) - np.log(len(gains)) > threshold)
    if not len(passed):
        return []
    at = int(passed[0])
    likeliest = gains[int(np.argmax(heights[:, at]))]
    return [(int(np.argmin(np.r_[0.0, np.cumsum(likeliest[:at])])), at)]


def fewest_days(rate: float, changed: float, *, shipments_a_day: float, years: float, share: float) -> float:
    """Lorden's bound on the mean days to a change of the rate, both rates known, at one false alarm in years / share.

    log of the days that bring a shipment in that time, over the Kullback-Leibler divergence of a day.
    """
    told = changed * np.log(changed / rate) + (1 - changed) * np.log((1 - changed) / (1 - rate))
    with_shipment = 1 - np.exp(-shipments_a_day)
    return float(np.log(with_shipment * _YEAR_DAYS * years / share) / (told * shipments_a_day))


SHARES: Mapping[tuple[str, str], tuple[float, float]] = {
    ("supplier", "late"): (0.5, 1 / 6),
    ("supplier", "slow"): (1 / 6, 1 / 6),
    ("lane", "late"): (0.75, 0.25),
}
"""(level, chart) -> shares of the member's false alarms for up and down: what costs most may be wrong most often."""
