"""Many series as one block of numbers: a row a series, a column a period, NaN where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_spark.domains.forecast.series.missing_data import MISSING, SOLD, outliers, partial_first
from retail_spark.stats.arrays import Array

Ints = npt.NDArray[np.int64]
KEYS = ("store_id", "product_id")
ATTRIBUTES = ("category", "region")
PAID = ("price", "promotion", "display", "deal")
PLANNED = tuple(f"planned_{name}" for name in PAID)
ENORMOUS = 1e12
"""Units a period from which a value is no sale but a mistake."""
NEVER = 2**31
PEERS = ("peer_y", "peer_price", "peer_plan", "peer_known")
"""Columns of packed series that tell of store and category, a value a period."""
_REGULAR = 0.8  # quantile of late prices that is the regular one: promotions lie below it
_RECENT = 13  # periods whose prices tell the regular one ahead


@dataclass(frozen=True)
class Panel:
    """N series over the T periods up to `end`, and F further ones of which plans may be known.

    Column j of every array is period end - T + 1 + j. `y` is (N, T); the rest is (N, T + F).
    """

    keys: pd.DataFrame
    """KEYS and ATTRIBUTES, a row a series."""
    y: Array
    first: Ints
    """Column from which on a series is listed."""
    paid: Mapping[str, Array]
    """PAID: what was in force, told by the sales themselves: known for the past alone."""
    planned: Mapping[str, Array]
    """PAID: what was planned."""
    known: Ints
    """Column at whose end the plan of a period was known; NEVER where there is none."""
    peer_y: Array
    """Mean units of the listed series of store and category."""
    peer_price: Array
    """Mean price of store and category: planned, else paid; known for the past alone."""
    peer_plan: Array
    """Mean of the prices that were planned for store and category."""
    peer_known: Ints
    """Column at whose end all of these plans were known; NEVER where there is none."""
    end: int
    is_closed: npt.NDArray[np.bool_]
    """No product of the store sold of late, or the product has left the range."""
    broken: Sequence[str | None]
    """What is wrong with a series that cannot be taken as it is."""
    set_aside: Array
    """(N, T): the quantities that are taken for mistakes; NaN elsewhere."""
    store_state: Array
    """(N, T): what is known of the store, a state of `unknown`."""
    open: Array
    """(N, T + F): share of a period's days on which the series can be sold."""

    @property
    def size(self) -> int:
        return len(self.y)

    @property
    def periods(self) -> int:
        return int(self.y.shape[1])

    @property
    def numbers(self) -> Ints:
        """The period of each column, the future ones included."""
        width = self.open.shape[1]
        return np.arange(width, dtype=np.int64) + (self.end - self.periods + 1)

    def covariate(self, name: str, *, cut: int, start: int, stop: int) -> Array:
        """(N, stop - start): a PAID as known when `cut` periods were: later plans and later sales are hidden.

        A past price that is not known is the last one before it that was; ahead, where no plan is known, the regular
        price holds. The other shares are 0 where they are not known.
        """
        part = slice(start, stop)
        planned = self.planned[name][:, part]
        told = np.where(self.known[:, part] <= cut - 1, planned, np.nan)
        past = np.where(np.isnan(planned), self.paid[name][:, part], planned)
        told[:, : cut - start] = past[:, : cut - start]
        return _with_regular(told, known=cut - start) if name == "price" else np.nan_to_num(told)

    def peers_ahead(self, *, target: int, last: int) -> Array:
        """(N,): the peers' price at `target` as known at the end of `last`: what was planned by then, else the last."""
        is_told = (self.peer_known[:, target] <= last) & ~np.isnan(self.peer_plan[:, target])
        return np.where(is_told, self.peer_plan[:, target], self.peer_price[:, last])

    def opened(self) -> Panel:
        """Units as they would be if all days of each period were open; a period without an open day is unknown."""
        if (self.open == 1.0).all():
            return self
        share = np.where(self.open > 0, self.open, np.nan)
        return replace(self, y=self.y / share[:, : self.periods], peer_y=self.peer_y / share)

    def rows(self, chosen: npt.NDArray[np.bool_] | Ints) -> Panel:
        """Those series alone."""
        index = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        return replace(
            self,
            keys=self.keys.iloc[index].reset_index(drop=True),
            y=self.y[index], first=self.first[index], known=self.known[index], is_closed=self.is_closed[index],
            paid={k: v[index] for k, v in self.paid.items()}, planned={k: v[index] for k, v in self.planned.items()},
            peer_y=self.peer_y[index], peer_price=self.peer_price[index], peer_plan=self.peer_plan[index],
            peer_known=self.peer_known[index], broken=[self.broken[i] for i in index],
            set_aside=self.set_aside[index], store_state=self.store_state[index], open=self.open[index],
        )  # fmt: skip


def to_panel(
    packed: pd.DataFrame,
    *,
    end: int,
    periods: int,
    future: int,
    gaps: str = "zero",
    outlier_factor: float = 0.0,
    open_share: Array | None = None,
) -> Panel:
    """The panel of packed series: a row a series, its periods and what is known of each as arrays.

    Between the first period listed and the end, a period without a row is 0 (`gaps` zero) or unknown (missing);
    a period out of stock is unknown, and so is one without an open day (`open_share`, 1 where it is left out), unless
    something was sold in it, and what `unknown` finds: mistakes, gaps of the store, half a first period. A broken
    series (nothing finite, enormous) is emptied and named, no more.
    """
    count, start = len(packed), end - periods + 1
    blank = _blank(packed, start=start, width=periods + future)
    first = np.clip(packed["first"].to_numpy(dtype=np.int64) - start, 0, periods)
    y = blank["y"][:, :periods]
    broken = _broken(y)
    is_listed = np.arange(periods) >= first[:, None]
    y = np.where(np.isnan(y) & is_listed & (gaps == "zero"), 0.0, np.maximum(y, 0.0))
    y = np.where(is_listed & ~(blank["out"][:, :periods] > 0), y, np.nan)
    y[[reason is not None for reason in broken]] = np.nan
    state = _aligned(packed, "store_state", periods) if "store_state" in packed else np.full(y.shape, SOLD)
    y, set_aside = _only_told(packed, y, state=state, start=start, outlier_factor=outlier_factor)
    y, shares = _only_open(y, np.ones((count, periods + future)) if open_share is None else open_share)
    peers = {name: _aligned(packed, name, periods + future) for name in PEERS}
    return Panel(
        keys=packed[[*KEYS, *ATTRIBUTES]].reset_index(drop=True), y=y, first=first,
        paid={name: blank[name] for name in PAID},
        planned={name: blank[f"planned_{name}"] for name in PAID},
        known=_columns(blank["known"], start), peer_y=peers["peer_y"], peer_price=peers["peer_price"],
        peer_plan=peers["peer_plan"], peer_known=_columns(peers["peer_known"], start), end=end,
        is_closed=packed["is_closed"].to_numpy(dtype=bool), broken=broken,
        set_aside=set_aside, store_state=state, open=shares,
    )  # fmt: skip


def _only_told(
    packed: pd.DataFrame, y: Array, *, state: Array, start: int, outlier_factor: float
) -> tuple[Array, Array]:
    """y without what `unknown` finds to say nothing, and the mistakes among it."""
    y = np.where((y == 0) & (state == MISSING), np.nan, y)
    is_wrong = outliers(y, pd.factorize(packed["product_id"])[0].astype(np.int64), factor=outlier_factor)
    set_aside = np.where(is_wrong, y, np.nan)
    y = np.where(is_wrong, np.nan, y)
    if "sold_from" in packed:
        never = start + y.shape[1]
        sold = packed["sold_from"].fillna(never).to_numpy(dtype=np.int64) - start
        told = {name: packed[name].to_numpy(dtype=bool) for name in ("is_late", "is_stores")}
        half = np.flatnonzero(partial_first(y, sold=sold, **told))
        y[half, sold[half]] = np.nan
    return y, set_aside


def _columns(periods: Array, start: int) -> Ints:
    """Periods as columns of the panel; NEVER for NaN."""
    return np.where(np.isnan(periods), NEVER, periods - start).astype(np.int64)


def _blank(packed: pd.DataFrame, *, start: int, width: int) -> dict[str, Array]:
    """(N, width) for each of what is told by period; NaN where a period has no row."""
    blank: dict[str, Array] = {
        name: np.full((len(packed), width), np.nan) for name in ("y", "out", *PAID, *PLANNED, "known")
    }
    lengths = packed["period"].map(len).to_numpy(dtype=np.int64)
    row = np.repeat(np.arange(len(packed)), lengths)
    column = _flat(packed["period"]).astype(np.int64) - start
    inside = (column >= 0) & (column < width)
    for name in blank:
        blank[name][row[inside], column[inside]] = _flat(packed["quantity" if name == "y" else name])[inside]
    return blank


def _only_open(y: Array, shares: Array) -> tuple[Array, Array]:
    """Units without the closed periods, and the open shares; a period in which something was sold was open."""
    known, found = y.shape[1], shares.copy()
    found[:, :known][(shares[:, :known] <= 0) & (np.nan_to_num(y) > 0)] = 1.0
    return np.where(found[:, :known] > 0, y, np.nan), found


def _flat(column: pd.Series) -> Array:
    parts = [np.asarray(values, dtype=np.float64) for values in column]
    return np.concatenate(parts) if parts else np.empty(0)


def _aligned(packed: pd.DataFrame, name: str, width: int) -> Array:
    """An array column that covers the panel's own periods already."""
    rows = [np.full(width, np.nan) if v is None else np.asarray(v, dtype=np.float64) for v in packed[name]]
    return np.vstack(rows) if rows else np.empty((0, width))


def _broken(y: Array) -> list[str | None]:
    is_infinite = np.atleast_1d(np.isinf(y).any(axis=1))
    with np.errstate(invalid="ignore"):
        is_enormous = np.atleast_1d((np.abs(y) > ENORMOUS).any(axis=1))
    return [
        "a quantity is infinite" if i else f"a quantity is beyond {ENORMOUS:g}" if e else None
        for i, e in zip(is_infinite, is_enormous, strict=True)
    ]


def filled_forward(values: Array) -> Array:
    """NaN takes the last value before it along a row; before the first value, that first value."""
    is_known = ~np.isnan(values)
    last = np.maximum.accumulate(np.where(is_known, np.arange(values.shape[1]), -1), axis=1)
    first = np.where(is_known.any(axis=1), is_known.argmax(axis=1), 0)
    return np.take_along_axis(values, np.where(last < 0, first[:, None], last), axis=1)


def _with_regular(prices: Array, *, known: int) -> Array:
    """Prices without gaps: the first `known` columns filled forward, the later ones by the regular price.

    Regular is what was charged in most of the last 13 columns (promotions lie below it), or the last price if that is
    higher: a rise stays.
    """
    filled = filled_forward(prices)
    if not 0 < known < prices.shape[1]:
        return filled
    regular = np.fmax(upper_price(filled[:, max(known - _RECENT, 0) : known]), filled[:, known - 1])
    ahead = np.arange(prices.shape[1]) >= known
    was_priced = np.asarray(~np.isnan(prices[:, :known]).all(axis=1))
    return np.where(ahead & np.isnan(prices) & was_priced[:, None], regular[:, None], filled)


def upper_price(prices: Array) -> Array:
    """The _REGULAR quantile of the known values of a row, itself one of them; NaN where none is."""
    count = (~np.isnan(prices)).sum(axis=1)
    place = np.maximum(np.ceil(_REGULAR * count).astype(np.int64) - 1, 0)
    return np.take_along_axis(np.sort(prices, axis=1), place[:, None], axis=1)[:, 0]


def trailing_mean(values: Array, *, length: int) -> Array:
    """Mean of the known values among the last `length` columns, each column's own included; NaN where none is."""
    is_known = ~np.isnan(values)
    total = np.cumsum(np.where(is_known, values, 0.0), axis=1)
    count = np.cumsum(is_known, axis=1).astype(np.float64)
    total[:, length:], count[:, length:] = (
        total[:, length:] - total[:, :-length],
        count[:, length:] - count[:, :-length],
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0.5, total / count, np.nan)
