"""How well the policy and its intervals did in the held-out window. Plain pandas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from retail_spark.domains.forecast.intervals import quantiles
from retail_spark.domains.forecast.recipe import REFERENCE
from retail_spark.domains.forecast.series.frame import Frame, Pools, block_of
from retail_spark.domains.forecast.series.panel import KEYS, Array

POLICY = "policy"
_BOUNDS = {"coverage_80": (1, 3), "coverage_95": (0, 4)}
"""Interval -> places of its ends in SHARES."""
FIGURES = ("rmsse", "pinball", "bias", "wape")


def accuracy_rows(rows: pd.DataFrame, frame: Frame, pools: Pools) -> pd.DataFrame:
    """One row per series and candidate: the columns of gold.forecast_accuracy."""
    names, count = list(frame.recipe.candidates), len(rows)
    found = rows.loc[np.repeat(rows.index, len(names)), [*KEYS, "demand_class", "status", "error"]]
    found = found.reset_index(drop=True)
    found["model"] = names * count
    for figure in FIGURES:
        found[figure] = block_of(rows[figure], count * len(names))
    reference = np.repeat(found["wape"].to_numpy().reshape(count, -1)[:, names.index(REFERENCE)], len(names))
    found["fva"] = reference - found["wape"]
    inside = coverage(rows, frame, pools)
    found["is_chosen"] = found["model"] == np.repeat(rows["model_all"].to_numpy(), len(names))
    for name, values in inside.items():
        found[name] = np.where(found["is_chosen"], np.repeat(values, len(names)), np.nan)
    found["reason"] = np.where(found["is_chosen"], np.repeat(rows["reason"].to_numpy(), len(names)), "")
    found["windows"] = frame.windows
    special = rows[~rows["model_all"].isin(names)]
    return pd.concat([found, _special(special, frame)], ignore_index=True)


def _special(rows: pd.DataFrame, frame: Frame) -> pd.DataFrame:
    """What is no candidate but was chosen all the same: zero and the fallback."""
    found = rows[[*KEYS, "demand_class", "status", "error", "reason"]].copy()
    found["model"], found["is_chosen"], found["windows"] = rows["model_all"], True, frame.windows
    return found


def coverage(rows: pd.DataFrame, frame: Frame, pools: Pools) -> dict[str, Array]:
    """Share of each series' last window inside the intervals that were drawn before it; NaN where none is known."""
    drawn = quantiles(rows, frame, pools, span="early")
    actual = block_of(rows["actual"], len(rows), frame.recipe.horizon)
    known = ~np.isnan(actual)
    found = {}
    for name, (low, high) in _BOUNDS.items():
        inside = (known & (actual >= drawn[:, :, low]) & (actual <= drawn[:, :, high])).sum(axis=1)
        found[name] = np.where(known.any(axis=1), inside / np.maximum(known.sum(axis=1), 1), np.nan)
    return found


def coverage_by_step(rows: pd.DataFrame, frame: Frame, pools: Pools) -> pd.DataFrame:
    """Share of the last window inside the intervals that were drawn before it, by step."""
    drawn = quantiles(rows, frame, pools, span="early")
    actual = block_of(rows["actual"], len(rows), frame.recipe.horizon)
    known = (~np.isnan(actual)).sum(axis=0)
    found: dict[str, Any] = {"step": list(frame.recipe.leads)}
    for name, (low, high) in _BOUNDS.items():
        inside = ((actual >= drawn[:, :, low]) & (actual <= drawn[:, :, high])).sum(axis=0)
        found[name] = inside / np.maximum(known, 1)
    return pd.DataFrame(found)


def examples(rows: pd.DataFrame, frame: Frame) -> pd.DataFrame:
    """The series foretold worst, typically and best in the last window: label, actual, foretold."""
    actual = block_of(rows["actual"], len(rows), frame.recipe.horizon)
    foretold = block_of(rows["mean_early"], len(rows), frame.recipe.horizon)
    units = np.nansum(actual, axis=1)
    wape = np.nansum(np.abs(actual - foretold), axis=1) / np.where(units > 0, units, np.inf)
    order = np.flatnonzero(units > 0)[np.argsort(-wape[units > 0], kind="stable")]
    places = [("worst", 0), ("typical", len(order) // 2), ("best", len(order) - 1)] if len(order) else []
    told = []
    for word, place in places:
        n = int(order[place])
        row = rows.iloc[n]
        label = f"{word}: {row['store_id']} / {row['product_id']}, {row['model_early']}, WAPE {wape[n]:.0%}"
        told.append({"label": label, "actual": actual[n], "foretold": foretold[n]})
    return pd.DataFrame(told, columns=["label", "actual", "foretold"])


def measured_rows(rows: pd.DataFrame, frame: Frame, pools: Pools, *, buckets: int) -> pd.DataFrame:
    """Sums over the last window by (bucket of series, category): units, errors of policy and reference, inside."""
    horizon, count = frame.recipe.horizon, len(rows)
    actual = block_of(rows["actual"], count, horizon)
    known = ~np.isnan(actual)
    truth = np.where(known, actual, 0.0)
    points = known.sum(axis=1).astype(np.float64)
    inside = coverage(rows, frame, pools)
    sums = {"units": truth.sum(axis=1), "points": points}
    for who, column in ((POLICY, "mean_early"), ("reference", "reference")):
        errors = np.where(known, block_of(rows[column], count, horizon) - truth, 0.0)
        sums |= {f"absolute_{who}": np.abs(errors).sum(axis=1), f"error_{who}": errors.sum(axis=1)}
    sums |= {name: np.nan_to_num(values) * points for name, values in inside.items()}
    keys = rows[list(KEYS)].astype(str).agg("|".join, axis=1)
    bucket = pd.util.hash_pandas_object(keys, index=False).to_numpy() % np.uint64(buckets)
    found = pd.DataFrame({"bucket": bucket.astype("int32"), "category": rows["category"].to_numpy(), **sums})
    return found.groupby(["bucket", "category"]).sum().reset_index()
