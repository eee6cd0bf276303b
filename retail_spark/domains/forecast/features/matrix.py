"""What the global model sees of a series: its past up to the last known period, and what is planned for the target.

A row is (series, target period, lead): lead is how many periods before the target the last known one lies. Nothing
later than that has any part in it, plans only where they were known by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retail_spark.domains.forecast.features.daily import NAMES as DAILY
from retail_spark.domains.forecast.features.daily import WINDOWS as DAILY_WINDOWS
from retail_spark.domains.forecast.features.daily import daily_features
from retail_spark.domains.forecast.features.promotions import NAMES as PROMOTIONS
from retail_spark.domains.forecast.features.promotions import promotions
from retail_spark.domains.forecast.recipe import Recipe
from retail_spark.domains.forecast.series.panel import PAID, Ints, Panel, trailing_mean
from retail_spark.domains.forecast.series.periods import Clock
from retail_spark.stats.arrays import Array

Codes = Mapping[str, Mapping[str, int]]
"""Attribute -> value -> number; a value that is not there is NaN."""
CODED = ("product_id", "store_id", "category", "region")
_LAGS = (1, 2, 3, 4)
_WINDOWS = (4, 8, 13, 26, 52)
_HARMONICS = (1, 2, 3)
_LEVEL = 13
_USUAL, _MEMORY = 26, 104  # periods in which a price is usual, and in which promotions are remembered
_WIDTHS = {"price": 0.06, "promotion": 0.3, "display": 0.3, "deal": 0.5}  # of the kernel; price in logarithms
_SHRINK = 3.0  # known periods that the level of the peers weighs
NAMES: tuple[str, ...] = (
    "lead", "age", "level", *(f"lag_{k}" for k in _LAGS), *(f"mean_{k}" for k in _WINDOWS), "deviation_13", "zeros_13",
    "last_year", "last_year_around", "peers_recent", "peers_last_year", *PAID, *(f"{n}_before" for n in PAID),
    *(f"{n}_last" for n in PAID), "price_to_usual", "price_to_last", "price_to_peers", "promotion_mean", "deal_mean",
    "usual_promoted", "similar", "similar_count", "peers_price_to_usual", *PROMOTIONS,
    "year_sin_1", "year_cos_1", "year_sin_2", "year_cos_2", "year_sin_3", "year_cos_3",
    "is_event", "event_before", "event_after", "to_event", "since_event", "to_easter", *CODED,
)  # fmt: skip
"""The features of weeks and months; those of days have more behind them."""
LEVEL_AT = NAMES.index("level")


def names_of(frequency: str) -> tuple[str, ...]:
    """The features of a frequency, in their order."""
    return (*NAMES, *DAILY) if frequency == "day" else NAMES


@dataclass(frozen=True)
class Days:
    """What the calendar says of each column of a panel: (periods + future,), or (N, periods + future) by store."""

    by_name: Mapping[str, Array]

    @classmethod
    def of(cls, numbers: Ints, *, clock: Clock, events: Sequence[int], easters: Sequence[int]) -> Days:
        """`events` and `easters` are the periods that hold a holiday, and Easter; they may lie anywhere."""
        year = clock.day_of_year(numbers)
        found: dict[str, Array] = {
            f"year_{kind}_{k}": f(2 * np.pi * k * year) for k in _HARMONICS for kind, f in _WAVES.items()
        }
        found |= _event_features(numbers, events)
        found["weekday"] = ((numbers + 3) % 7).astype(np.float64)  # of days alone: 1970 began on a Thursday
        near = np.array([min((e - n for e in easters), key=abs, default=99) for n in numbers], dtype=np.float64)
        found["to_easter"] = np.clip(near, -6, 6)
        return cls(found)

    def of_stores(self, stores: pd.Series, *, numbers: Ints, events: Mapping[str, Sequence[int]]) -> Days:
        """With the holidays of each series' own store, where `events` knows it."""
        codes, names = pd.factorize(stores)
        own = [_event_features(numbers, events[name]) if name in events else self.by_name for name in names]
        found = {name: np.stack([by_name[name] for by_name in own])[codes] for name in _EVENTS}
        return Days({**self.by_name, **found})

    def rows(self, index: Ints) -> Days:
        """Those series alone."""
        return Days({name: v[index] if v.ndim == 2 else v for name, v in self.by_name.items()})


_WAVES = {"sin": np.sin, "cos": np.cos}


_EVENTS = ("is_event", "to_event", "since_event", "event_before", "event_after")


def _event_features(numbers: Ints, events: Sequence[int]) -> dict[str, Array]:
    """_EVENTS of each period."""
    to, since = _distances(numbers, events)
    found = {"is_event": (to == 0).astype(float), "to_event": to, "since_event": since}
    return found | {"event_before": (since == 1).astype(float), "event_after": (to == 1).astype(float)}


def _distances(numbers: Ints, events: Sequence[int]) -> tuple[Array, Array]:
    """Periods to the next event and since the last, 0 at one, 26 at most."""
    at = np.sort(np.asarray(list(events), dtype=np.int64))
    if not len(at):
        return np.full(len(numbers), 26.0), np.full(len(numbers), 26.0)
    after, before = np.searchsorted(at, numbers), np.searchsorted(at, numbers, side="right") - 1
    ahead = np.where(after < len(at), at[np.minimum(after, len(at) - 1)] - numbers, 26)
    behind = np.where(before >= 0, numbers - at[np.maximum(before, 0)], 26)
    return np.clip(ahead, 0, 26).astype(np.float64), np.clip(behind, 0, 26).astype(np.float64)


@dataclass(frozen=True)
class Past:
    """What is counted once for a panel, each (N, T): column t tells of all periods up to t, t included."""

    y: Array
    level: Array
    ratio: Array
    """y less the level before it."""
    windows: Mapping[int, Array]
    by_name: Mapping[str, Array]
    product: Ints
    """(N,): a number for the product of each series."""

    @classmethod
    def of(cls, panel: Panel, *, frequency: str = "week") -> Past:
        length = 28 if frequency == "day" else _LEVEL  # whole weeks, or the level would know the weekday
        windows = (*_WINDOWS, *DAILY_WINDOWS) if frequency == "day" else _WINDOWS
        y = np.log1p(panel.y)
        peers = np.log1p(panel.peer_y[:, : panel.periods])
        recent_peers = trailing_mean(peers, length=length)
        count = np.cumsum(~np.isnan(y), axis=1)
        own = trailing_mean(y, length=length)
        for longer in (52, y.shape[1]):
            own = np.where(np.isnan(own), trailing_mean(y, length=longer), own)
        few = np.minimum(count, _LEVEL)
        shrunk = (few * np.nan_to_num(own) + _SHRINK * recent_peers) / (few + _SHRINK)
        level = np.where(few >= 2 * _SHRINK, own, np.where(np.isnan(shrunk), own, shrunk))
        with np.errstate(invalid="ignore"):
            zeros = trailing_mean(np.where(np.isnan(y), np.nan, (y == 0).astype(float)), length=_LEVEL)
            spread = trailing_mean(y**2, length=_LEVEL) - trailing_mean(y, length=_LEVEL) ** 2
            deviation = np.sqrt(np.maximum(spread, 0))
        names = {"deviation_13": deviation, "zeros_13": zeros, "peers_recent": recent_peers, "peers": peers,
                 "age": np.minimum(count, 104).astype(float)}  # fmt: skip
        level = np.nan_to_num(level)
        ratio = y - np.concatenate([level[:, :1], level[:, :-1]], axis=1)
        product = pd.factorize(panel.keys["product_id"])[0].astype(np.int64)
        return cls(y, level, ratio, {k: trailing_mean(y, length=k) for k in dict.fromkeys(windows)}, names, product)

    def rows(self, index: Ints) -> Past:
        """Those series alone: whole products."""
        return Past(
            self.y[index], self.level[index], self.ratio[index],
            {k: v[index] for k, v in self.windows.items()}, {k: v[index] for k, v in self.by_name.items()},
            np.unique(self.product[index], return_inverse=True)[1].astype(np.int64),
        )  # fmt: skip


def matrix(panel: Panel, past: Past, days: Days, *, target: int, lead: int, codes: Codes, recipe: Recipe) -> Array:
    """(N, len(names_of)): the rows of one target column at one lead. What is relative to the level is marked so."""
    last, year = target - lead, recipe.clock.year
    level = past.level[:, last]
    found: dict[str, Array] = {"lead": np.full(panel.size, float(lead)), "level": level}
    found["age"] = past.by_name["age"][:, last]
    for k in _LAGS:
        found[f"lag_{k}"] = _at(past.y, last + 1 - k) - level
    for k, values in past.windows.items():
        found[f"mean_{k}"] = found[f"mean_{k}_days"] = values[:, last] - level
    found |= {name: past.by_name[name][:, last] for name in ("deviation_13", "zeros_13")}
    found["peers_recent"] = past.by_name["peers_recent"][:, last] - level
    before = target - year
    found["last_year"] = _at(past.y, before, until=last) - level
    around = np.stack([_at(past.y, before + k, until=last) for k in (-1, 0, 1)])
    found["last_year_around"] = _mean_of_known(around) - level
    found["peers_last_year"] = _at(past.by_name["peers"], before, until=last) - past.by_name["peers_recent"][:, last]
    found |= _prices(panel, past, target=target, last=last)
    found |= {n: np.broadcast_to(values[..., target], panel.size) for n, values in days.by_name.items()}
    if recipe.frequency == "day":
        found |= daily_features(panel, past.y, level, past.product, days.by_name["is_event"], target=target, last=last)
    for name in CODED:
        found[name] = np.asarray(panel.keys[name].map(codes.get(name, {})), dtype=np.float64)
    return np.column_stack([found[name] for name in names_of(recipe.frequency)]).astype(np.float64)


def _at(values: Array, column: int, *, until: int | None = None) -> Array:
    is_there = 0 <= column < values.shape[1] and (until is None or column <= until)
    return values[:, column] if is_there else np.full(len(values), np.nan)


def _mean_of_known(values: Array) -> Array:
    count = (~np.isnan(values)).sum(axis=0)
    return np.where(count > 0, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan)


def _logs(prices: Array) -> Array:
    """Logarithms; NaN where there is no price above 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(prices > 0, np.log(prices), np.nan)


def _prices(panel: Panel, past: Past, *, target: int, last: int) -> dict[str, Array]:
    """Price and promotion at the target as known at `last`, and how they stand to what was usual."""
    found = {}
    start = max(last - _MEMORY + 1, 0)
    told = {name: panel.covariate(name, cut=last + 1, start=start, stop=target + 1) for name in PAID}
    now, then = target - start, last - start
    for name, values in told.items():
        found[name], found[f"{name}_before"] = values[:, now], values[:, max(now - 1, 0)]
        found[f"{name}_last"] = values[:, then]
    recent = slice(max(then - _USUAL + 1, 0), then + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = _logs(told["price"])
        usual = _mean_of_known(logs[:, recent].T)
        peers = _logs(panel.peers_ahead(target=target, last=last))
        peers_usual = _mean_of_known(_logs(panel.peer_price[:, start : last + 1][:, recent]).T)
        promoted = told["promotion"][:, recent] + told["deal"][:, recent] > 0
        past_y = np.where(promoted, past.y[:, start : last + 1][:, recent], np.nan)
    found["price"] = logs[:, now]
    found["price_before"], found["price_last"] = logs[:, max(now - 1, 0)] - usual, logs[:, then] - usual
    found["price_to_usual"] = logs[:, now] - usual
    found["price_to_last"] = logs[:, now] - logs[:, then]
    found["price_to_peers"] = logs[:, now] - peers
    found["peers_price_to_usual"] = peers - peers_usual
    found["promotion_mean"] = told["promotion"][:, recent].mean(axis=1)
    found["deal_mean"] = told["deal"][:, recent].mean(axis=1)
    found["usual_promoted"] = _mean_of_known(past_y.T) - past.level[:, last]
    told = told | {"price": logs}
    found |= _similar(told, past.ratio[:, start : last + 1], now=now)
    return found | promotions(told, past.ratio[:, start : last + 1], past.product)


def _similar(told: Mapping[str, Array], ratio: Array, *, now: int) -> dict[str, Array]:
    """What the series sold in the past at such a price and promotion: a kernel's mean, and how much it rests on."""
    distance = np.zeros_like(ratio)
    for name, width in _WIDTHS.items():
        values = told[name]
        off = (values[:, : ratio.shape[1]] - values[:, now][:, None]) / width
        distance += np.nan_to_num(off) ** 2
    weight = np.where(np.isnan(ratio), 0.0, np.exp(-0.5 * distance))
    total = weight.sum(axis=1)
    return {"similar": (weight * np.nan_to_num(ratio)).sum(axis=1) / (total + 0.3), "similar_count": np.log1p(total)}
