"""Intervals from past errors: conformal quantiles by class and step. Plain pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd

from retail_spark.domains.forecast.backtest import NEW
from retail_spark.domains.forecast.series.frame import ALL, SHARES, Frame, Pools, block_of
from retail_spark.domains.forecast.series.panel import Array


def pools_of(rows: pd.DataFrame, frame: Frame, *, span: str, fewest: int) -> Pools:
    """Quantiles of past errors by the class at the cut and step, and by step alone; a class with few errors is NaN.

    All new series are a class as well, NEW, beside those of each age.
    """
    usable = rows[rows["status"] != "failed"]
    windows = frame.windows - (span == "early")
    errors = block_of(usable[f"errors_{span}"], len(usable), windows, frame.recipe.horizon)
    classes = np.array([list(names)[:windows] for names in usable["classes"]], dtype=str).reshape(len(usable), windows)
    is_new = np.char.startswith(classes, NEW)
    found = {}
    for name in (ALL, NEW, *sorted(set(classes.ravel()))):
        by_step = errors if name == ALL else errors[is_new if name == NEW else classes == name]
        by_step = by_step.reshape(-1, frame.recipe.horizon)
        known = [values[~np.isnan(values)] for values in by_step.T]
        found[name] = np.array(
            [np.quantile(v, SHARES) if len(v) >= max(fewest, 1) else np.full(len(SHARES), np.nan) for v in known]
        )
    return found


def quantiles(rows: pd.DataFrame, frame: Frame, pools: Pools, *, span: str) -> Array:
    """(N, horizon, SHARES) units: the mean and what was erred before, by step; never below 0.

    A series with `own_residuals` windows has quantiles of its own; else its class, else all series lend theirs. New
    series lend by their age. A mean lies inside its own intervals.
    """
    horizon = frame.recipe.horizon
    mean = block_of(rows[f"mean_{span}"], len(rows), horizon)
    scale = rows[f"scale_{span}"].to_numpy(dtype=np.float64)
    zero = np.zeros((horizon, len(SHARES)))
    windows = frame.windows - (span == "early")
    classes = [str(list(names)[max(windows, 0)]) for names in rows["classes"]]
    lent = {name: _lent(pools, name, blank=zero) for name in set(classes)}
    drawn = np.stack([lent[name] for name in classes]) if classes else zero[None]
    if windows >= frame.recipe.own_residuals and len(rows):
        errors = block_of(rows[f"errors_{span}"], len(rows), windows, horizon)
        own = _conformal(errors)
        drawn = np.where(np.isnan(own), drawn, own)
    share = block_of(rows[f"open_{span}"], len(rows), horizon)
    values = np.maximum(mean[:, :, None] + (scale[:, None] * share)[:, :, None] * drawn, 0.0)
    values = np.maximum.accumulate(values, axis=2)
    middle = SHARES.index(0.5)
    values[:, :, :middle] = np.minimum(values[:, :, :middle], mean[:, :, None])
    values[:, :, middle + 1 :] = np.maximum(values[:, :, middle + 1 :], mean[:, :, None])
    is_zero = (rows[f"model_{span}"] == "zero").to_numpy()
    return np.where(is_zero[:, None, None], 0.0, values)


def _lent(pools: Pools, name: str, *, blank: Array) -> Array:
    """What a class lends; where it has too little, all new series for a new one, and all series in the end."""
    found = np.full_like(blank, np.nan)
    for pool in (name, NEW, ALL) if name.startswith(NEW) else (name, ALL):
        found = np.where(np.isnan(found), pools.get(pool, np.nan), found)
    return np.nan_to_num(found)


def _conformal(errors: Array) -> Array:
    """(N, horizon, SHARES) of (N, windows, horizon), each tail with the one point more that split conformal asks."""
    count = errors.shape[1]
    widened = [min(1.0, s * (count + 1) / count) if s > 0.5 else max(0.0, 1 - (1 - s) * (count + 1) / count)
               if s < 0.5 else s for s in SHARES]  # fmt: skip
    return np.moveaxis(np.quantile(errors, widened, axis=1), 0, -1)
