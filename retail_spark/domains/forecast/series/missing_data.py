"""What a period does not say: a mistaken number, a store without its file, a first week that is half a week."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_spark.stats.arrays import Array

Flags = npt.NDArray[np.bool_]
CLOSED, MISSING, SOLD = 0.0, 1.0, 2.0
"""States of a store in a period: nothing sold, nothing known, something sold."""
_FEWEST = 8  # sales that tell what is usual
_SPREADS = 6.0  # distances between the quartiles of the logarithms above the upper one
_MOST = 0.02  # share of the sales that may be mistakes: more of them are how the series is
_PRODUCTS = 5  # products that a store sells in most periods where it sells at all: by chance none has no sale
_FREQUENT = 0.75  # share of periods with a sale from which a first sale late in the week is a beginning
_LOOKED_AT = 8


def outliers(y: Array, products: npt.NDArray[np.int64], *, factor: float) -> Flags:
    """(N, T): quantities beyond reason for the series: `factor` times the upper quartile of its sales, and far outside
    their spread. What other stores of the product sold in the same period alike is no mistake. 0: none is.
    """
    if factor <= 0 or not y.size:
        return np.zeros(y.shape, dtype=bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.where(y > 0, np.log(y), np.nan)
    count = (~np.isnan(logs)).sum(axis=1)
    rows = np.sort(logs, axis=1)
    low, high = (_place(rows, count, share) for share in (0.25, 0.75))
    limit = high + np.maximum(np.log(factor), _SPREADS * (high - low))
    with np.errstate(invalid="ignore"):
        found = (logs > limit[:, None]) & (count >= _FEWEST)[:, None]
    found &= (found.sum(axis=1) <= np.maximum(_MOST * count, 1))[:, None]
    alike = np.zeros((int(products.max()) + 1, y.shape[1]))
    np.add.at(alike, products, found)
    return np.asarray(found & (alike[products] < 2))


def _place(rows: Array, count: npt.NDArray[np.int64], share: float) -> Array:
    at = np.floor(share * np.maximum(count - 1, 0)).astype(np.int64)
    return np.take_along_axis(rows, at[:, None], axis=1)[:, 0]


def store_states(sold: Array, *, season: int, closed_periods: int) -> Array:
    """(stores, T) states of how many products each store sold in each period.

    A store that sells `_PRODUCTS` as a rule, at such a time of the week, is not without any sale by chance: nothing is
    known of it then. Closed it is after `closed_periods` at the end without a sale.
    """
    columns = np.arange(sold.shape[1])
    is_sold = sold > 0
    count = is_sold.sum(axis=1)
    ranked = np.sort(np.where(is_sold, sold, np.inf), axis=1)
    usual = np.take_along_axis(ranked, (np.maximum(count - 1, 0) // 2)[:, None], axis=1)[:, 0]
    first = np.where(count > 0, is_sold.argmax(axis=1), sold.shape[1])[:, None]
    last = np.where(count > 0, sold.shape[1] - 1 - is_sold[:, ::-1].argmax(axis=1), -1)[:, None]
    inside = (columns >= first) & (columns <= last)
    is_usual = np.zeros(sold.shape, dtype=bool)
    for phase in range(season):
        part = columns % season == phase
        share = (is_sold & inside)[:, part].sum(axis=1) / np.maximum(inside[:, part].sum(axis=1), 1)
        is_usual[:, part] = (share >= 0.5)[:, None]
    until = np.where(last > sold.shape[1] - 1 - closed_periods, sold.shape[1], last)
    is_missing = ~is_sold & is_usual & (columns > first) & (columns <= until) & (usual >= _PRODUCTS)[:, None]
    return np.where(is_sold, SOLD, np.where(is_missing, MISSING, CLOSED))


def partial_first(y: Array, *, sold: npt.NDArray[np.int64], is_late: Flags, is_stores: Flags) -> Flags:
    """(N,): True where the period of column `sold` is only part of one, and so says too little.

    `is_late`: the first sale is after the first day of its period; `is_stores`: so is that of its store, in the same
    period. A product that sells in most periods began then, too; one that sells now and then was there before.
    """
    columns = np.arange(y.shape[1])
    after = (columns > sold[:, None]) & (columns <= sold[:, None] + _LOOKED_AT) & ~np.isnan(y)
    count = after.sum(axis=1)
    is_frequent = (count >= 2) & (((y > 0) & after).sum(axis=1) >= _FREQUENT * count)
    inside = (sold >= 0) & (sold < y.shape[1])
    return np.asarray(inside & is_late & (is_stores | is_frequent) & (count >= 1))


def store_rows(rows: pd.DataFrame, *, season: int, closed_periods: int) -> pd.DataFrame:
    """One row per store, of which there is one at least: store_state of its counts in `sold`."""
    found = store_states(np.stack(rows["sold"].to_list()), season=season, closed_periods=closed_periods)
    return pd.DataFrame({"store_id": rows["store_id"].to_numpy(), "store_state": list(found)})
