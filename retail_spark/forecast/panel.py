"""Many series as one block of numbers: a row a series, a column a period, NaN where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
KEYS = ("store_id", "product_id")
ATTRIBUTES = ("category", "region")
PAID = ("price", "promotion", "display", "deal")
PLANNED = tuple(f"planned_{name}" for name in PAID)
ENORMOUS = 1e12
"""Units a period from which a value is no sale but a mistake."""
NEVER = 2**31


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
    """Mean price of store and category: planned, else paid."""
    end: int
    is_closed: npt.NDArray[np.bool_]
    """No product of the store sold of late, or the product has left the range."""
    broken: Sequence[str | None]
    """What is wrong with a series that cannot be taken as it is."""

    @property
    def size(self) -> int:
        return len(self.y)

    @property
    def periods(self) -> int:
        return int(self.y.shape[1])

    @property
    def numbers(self) -> Ints:
        """The period of each column, the future ones included."""
        width = self.peer_y.shape[1]
        return np.arange(width, dtype=np.int64) + (self.end - self.periods + 1)

    def covariate(self, name: str, *, cut: int, start: int, stop: int) -> Array:
        """(N, stop - start): a PAID as known when `cut` periods were: later plans and later sales are hidden.

        A price that is not known is the last one of these columns that was; the other shares are 0 then.
        """
        part = slice(start, stop)
        planned = self.planned[name][:, part]
        told = np.where(self.known[:, part] <= cut - 1, planned, np.nan)
        past = np.where(np.isnan(planned), self.paid[name][:, part], planned)
        told[:, : cut - start] = past[:, : cut - start]
        return filled_forward(told) if name == "price" else np.nan_to_num(told)

    def rows(self, chosen: npt.NDArray[np.bool_] | Ints) -> Panel:
        """Those series alone."""
        index = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        return replace(
            self,
            keys=self.keys.iloc[index].reset_index(drop=True),
            y=self.y[index], first=self.first[index], known=self.known[index], is_closed=self.is_closed[index],
            paid={k: v[index] for k, v in self.paid.items()}, planned={k: v[index] for k, v in self.planned.items()},
            peer_y=self.peer_y[index], peer_price=self.peer_price[index], broken=[self.broken[i] for i in index],
        )  # fmt: skip


def to_panel(packed: pd.DataFrame, *, end: int, periods: int, future: int, gaps: str = "zero") -> Panel:
    """The panel of packed series: a row a series, its periods and what is known of each as arrays.

    Between the first period listed and the end, a period without a row is 0 (`gaps` zero) or unknown (missing);
    a period out of stock is unknown. A broken series (nothing finite, enormous) is emptied and named, no more.
    """
    count, start = len(packed), end - periods + 1
    blank: dict[str, Array] = {
        name: np.full((count, periods + future), np.nan) for name in ("y", "out", *PAID, *PLANNED, "known")
    }
    lengths = packed["period"].map(len).to_numpy(dtype=np.int64)
    row = np.repeat(np.arange(count), lengths)
    column = _flat(packed["period"]).astype(np.int64) - start
    inside = (column >= 0) & (column < periods + future)
    for name in blank:
        blank[name][row[inside], column[inside]] = _flat(packed["quantity" if name == "y" else name])[inside]
    first = np.clip(packed["first"].to_numpy(dtype=np.int64) - start, 0, periods)
    y = blank["y"][:, :periods]
    broken = _broken(y)
    is_listed = np.arange(periods) >= first[:, None]
    y = np.where(np.isnan(y) & is_listed & (gaps == "zero"), 0.0, np.maximum(y, 0.0))
    y = np.where(is_listed & ~(blank["out"][:, :periods] > 0), y, np.nan)
    y[[reason is not None for reason in broken]] = np.nan
    known = blank["known"] - start
    peer_y, peer_price = (_aligned(packed, name, periods + future) for name in ("peer_y", "peer_price"))
    return Panel(
        keys=packed[[*KEYS, *ATTRIBUTES]].reset_index(drop=True), y=y, first=first,
        paid={name: blank[name] for name in PAID},
        planned={name: blank[f"planned_{name}"] for name in PAID},
        known=np.where(np.isnan(known), NEVER, known).astype(np.int64),
        peer_y=peer_y, peer_price=peer_price, end=end,
        is_closed=packed["is_closed"].to_numpy(dtype=bool), broken=broken,
    )  # fmt: skip


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
