"""When something can be sold at all: days on which a store is closed, first and last days of products."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from retail_spark.domains.forecast.series.periods import Clock
from retail_spark.stats.arrays import Array

OPENING = ("closed", "introduced", "discontinued")
"""Columns of packed series that tell of it."""
_EPOCH = date(1970, 1, 1)


def open_shares(packed: pd.DataFrame, *, end: int, periods: int, future: int, clock: Clock) -> Array:
    """(N, periods + future): share of each period's days on which the series can be sold; 1 where nothing is said.

    Reads the columns that are there: `closed` (an array a series, share of days), `introduced` and `discontinued`
    (first and last day in range, days since 1970). The range counts for what lies ahead; a series that sold before
    its day of introduction is on sale already.
    """
    shares = np.ones((len(packed), periods + future))
    if "closed" in packed:
        for row, closed in enumerate(packed["closed"]):
            if closed is not None:
                shares[row] -= np.nan_to_num(np.asarray(closed, dtype=np.float64))
    days = [(clock.first_day(end + k) - _EPOCH).days for k in range(1, future + 2)]
    first, after = np.array(days[:-1], dtype=np.float64), np.array(days[1:], dtype=np.float64)
    if "introduced" in packed:
        is_new = (packed["first"] > end).to_numpy()
        since = packed["introduced"].to_numpy(dtype=np.float64)
        start = np.where(is_new & ~np.isnan(since), since, -np.inf)[:, None]
        until = packed["discontinued"].to_numpy(dtype=np.float64) + 1
        stop = np.where(np.isnan(until), np.inf, until)[:, None]
        shares[:, periods:] *= np.clip(np.minimum(after, stop) - np.maximum(first, start), 0.0, None) / (after - first)
    return np.clip(shares, 0.0, 1.0)
