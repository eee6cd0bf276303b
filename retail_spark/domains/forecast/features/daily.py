"""What the global model sees of days alone: weekdays, holidays that were, and when the store is open."""

from __future__ import annotations

import numpy as np

from retail_spark.domains.forecast.series.panel import Ints, Panel
from retail_spark.stats.arrays import Array

WINDOWS = (28, 91, 364)
_SAME = (1, 2, 4, 8)
_PROMOTED = 26  # same weekdays among which those with the same promotion are looked for
_SUNDAYS = 4
NAMES: tuple[str, ...] = (
    "weekday", *(f"mean_{k}_days" for k in WINDOWS), *(f"weekday_mean_{k}" for k in _SAME), "weekday_same_promotion",
    "weekday_same_count", "weekday_of_product", "sundays", "events_mean", "open", "open_before", "open_after",
)  # fmt: skip


def daily_features(
    panel: Panel, y: Array, level: Array, products: Ints, is_event: Array, *, target: int, last: int
) -> dict[str, Array]:
    """NAMES but the weekday and the windows, (N,) each, as known at column `last`; what is sold is less the level.

    `y` (N, T) are logarithms, `level` (N,) that of the last period, `is_event` (N, T + F) or (T + F,).
    """
    columns = np.arange(target - 7 * -(-(target - last) // 7), -1, -7)[:_PROMOTED]
    values = y[:, columns] - level[:, None]
    found = {f"weekday_mean_{k}": _mean(values[:, :k]) for k in _SAME}
    found["weekday_of_product"] = _of_product(found["weekday_mean_8"], products)
    found |= _same_promotion(panel, values, columns, target=target, last=last)
    sunday = last - (int(panel.numbers[last]) - 3) % 7
    sundays = np.arange(sunday, -1, -7)[:_SUNDAYS]
    found["sundays"] = _mean(y[:, sundays] - level[:, None])
    events = np.broadcast_to(is_event, panel.open.shape)[:, : last + 1] > 0
    found["events_mean"] = _mean(np.where(events, y[:, : last + 1], np.nan)) - level
    after = min(target + 1, panel.open.shape[1] - 1)
    for name, column in (("open", target), ("open_before", max(target - 1, 0)), ("open_after", after)):
        found[name] = panel.open[:, column]
    return found


def _same_promotion(panel: Panel, values: Array, columns: Ints, *, target: int, last: int) -> dict[str, Array]:
    """Mean of the last same weekdays that were promoted as the target is, and the logarithm of how many there were."""
    start = int(columns.min()) if len(columns) else last
    told = [panel.covariate(name, cut=last + 1, start=start, stop=target + 1) for name in ("promotion", "deal")]
    is_promoted = (told[0] > 0) | (told[1] > 0)
    same = (is_promoted[:, columns - start] == is_promoted[:, -1:]) & ~np.isnan(values)
    taken = np.where(same & (np.cumsum(same, axis=1) <= _SAME[-1]), values, np.nan)
    count = (~np.isnan(taken)).sum(axis=1)
    return {"weekday_same_promotion": _mean(taken), "weekday_same_count": np.log1p(count)}


def _mean(values: Array) -> Array:
    """(N,): mean of the known values of each row; NaN where none is."""
    count = (~np.isnan(values)).sum(axis=1)
    return np.where(count > 0, np.nansum(values, axis=1) / np.maximum(count, 1), np.nan)


def _of_product(values: Array, products: Ints) -> Array:
    """The mean over all stores of the product."""
    is_known = ~np.isnan(values)
    total = np.bincount(products, weights=np.nan_to_num(values))
    count = np.bincount(products, weights=is_known.astype(np.float64))
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)[products]
