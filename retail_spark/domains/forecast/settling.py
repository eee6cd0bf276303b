"""From what candidates said to what is published: the choice, intervals from past errors, and how well it held.

Everything here is a plain function of pandas: a row a series, arrays in columns. The job calls it inside Spark, the
registered model without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from retail_spark.domains.forecast.backtest import CLASSES, NEW, Tried, class_of, try_all
from retail_spark.domains.forecast.features.matrix import Codes, Days
from retail_spark.domains.forecast.models.global_booster import Booster
from retail_spark.domains.forecast.recipe import REFERENCE, Recipe
from retail_spark.domains.forecast.select import Prior, choose, picked, score
from retail_spark.domains.forecast.series.availability import open_shares
from retail_spark.domains.forecast.series.panel import ATTRIBUTES, KEYS, Array, Panel, to_panel
from retail_spark.domains.forecast.series.periods import easter
from retail_spark.tables.values import QUANTILES

ALL = "*"
POLICY = "policy"
MARK = "fingerprint"
"""Column of packed series and of what was tried: all that the local models of a product are told, as a hash."""
KEPT = "kept"
"""Column of packed series: what the local models are known to say, an array a series, or NULL."""
SHARES = tuple(QUANTILES.values())
Pools = Mapping[str, Array]
"""Class (ALL for every one) -> (horizon, SHARES) quantiles of errors, by the scale of the series; NaN: too few."""
_BOUNDS = {"coverage_80": (1, 3), "coverage_95": (0, 4)}
"""Interval -> places of its ends in SHARES."""
_FIGURES = ("rmsse", "pinball", "bias", "wape")


@dataclass(frozen=True)
class Frame:
    """What every batch of series must know: the recipe, the time, the calendar."""

    recipe: Recipe
    end: int
    periods: int
    events: Sequence[int] = ()
    """Periods that hold a holiday of all stores."""
    codes: Codes = field(default_factory=dict)
    buckets: int = 8
    """Groups of products, and Spark partitions they are spread over."""
    store_events: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Store -> its periods that hold a holiday, where they are not those of all."""

    @property
    def cuts(self) -> tuple[int, ...]:
        return self.recipe.cuts(self.periods)

    @property
    def windows(self) -> int:
        return len(self.cuts) - 1

    def panel(self, packed: pd.DataFrame) -> Panel:
        """The panel of a batch, in the order of its keys, so that no shuffle changes a sum."""
        rows = packed.sort_values(list(KEYS)).reset_index(drop=True)
        gaps, future = self.recipe.gaps, self.recipe.reach
        shares = open_shares(rows, end=self.end, periods=self.periods, future=future, clock=self.recipe.clock)
        return to_panel(
            rows, end=self.end, periods=self.periods, future=future, gaps=gaps,
            outlier_factor=self.recipe.outlier_factor, open_share=shares,
        )  # fmt: skip

    def days(self, panel: Panel) -> Days:
        clock, numbers = self.recipe.clock, panel.numbers
        years = range(clock.first_day(int(numbers[0])).year, clock.first_day(int(numbers[-1])).year + 2)
        easters = [clock.period_of(easter(year)) for year in years] if self.recipe.easter else []
        whole = Days.of(numbers, clock=clock, events=self.events, easters=easters)
        own = {
            store: self.store_events[store] for store in sorted(set(panel.keys["store_id"]) & set(self.store_events))
        }
        return whole.of_stores(panel.keys["store_id"], numbers=numbers, events=own) if own else whole


def tried_rows(packed: pd.DataFrame, frame: Frame, boosters: Sequence[Booster]) -> pd.DataFrame:
    """What every candidate says at every cut; TRIED's columns."""
    packed = packed.sort_values(list(KEYS)).reset_index(drop=True)
    panel = frame.panel(packed)
    kept = _kept(packed[KEPT], frame) if KEPT in packed else None
    tried = try_all(panel, frame.days(panel), recipe=frame.recipe, boosters=boosters, kept=kept)
    broken: Any = list(panel.broken)
    set_aside: Any = _set_aside(panel, frame)
    return panel.keys.assign(
        **{MARK: packed.get(MARK)}, broken=broken, set_aside=set_aside, classes=list(tried.classes.T),
        values=list(tried.values.transpose(2, 0, 1, 3).reshape(panel.size, -1)),
        actual=list(tried.actual.transpose(1, 0, 2).reshape(panel.size, -1)),
        scale=list(tried.scale.T), instead=list(tried.instead.T),
        open=list(tried.open.transpose(1, 0, 2).reshape(panel.size, -1)),
    )  # fmt: skip


def _set_aside(panel: Panel, frame: Frame) -> list[str | None]:
    """What was taken for a mistake, in words; None for most series."""
    found: list[str | None] = [None] * panel.size
    is_wrong = ~np.isnan(panel.set_aside)
    for n in np.flatnonzero(is_wrong.any(axis=1)):
        parts = [
            f"{panel.set_aside[n, t]:g} in the {frame.recipe.frequency} of {frame.recipe.clock.first_day(number)}"
            for t, number in zip(np.flatnonzero(is_wrong[n]), panel.numbers[:panel.periods][is_wrong[n]], strict=True)
        ]  # fmt: skip
        found[n] = f"set aside as beyond reason: {', '.join(parts)}"
    return found


def _kept(column: pd.Series, frame: Frame) -> Array:
    width = len(frame.cuts) * len(frame.recipe.models) * frame.recipe.horizon
    return np.stack([np.full(width, np.nan) if v is None else np.asarray(v, dtype=np.float64) for v in column])


def _tried(rows: pd.DataFrame, frame: Frame) -> Tried:
    names, horizon, cuts = frame.recipe.candidates, frame.recipe.horizon, len(frame.cuts)
    count = len(rows)
    return Tried(
        names=names,
        values=_block(rows["values"], count, cuts, len(names), horizon).transpose(1, 2, 0, 3),
        actual=_block(rows["actual"], count, cuts - 1, horizon).transpose(1, 0, 2),
        scale=_block(rows["scale"], count, cuts).T,
        classes=np.stack([np.asarray(names, dtype=str) for names in rows["classes"]], axis=1)
        if count
        else np.empty((cuts, 0), dtype=str),
        instead=_block(rows["instead"], count, cuts).T,
        open=_block(rows["open"], count, cuts, horizon).transpose(1, 0, 2),
    )


def _block(column: pd.Series, *shape: int) -> Array:
    flat = np.concatenate([np.asarray(v, dtype=np.float64) for v in column]) if len(column) else np.empty(0)
    return flat.reshape(shape)


def prior_sums(rows: pd.DataFrame, frame: Frame) -> pd.DataFrame:
    """Sums and counts of log scores by (span, class, candidate); span is `early` (without the last window) or `all`."""
    tried, parts = _tried(rows, frame), []
    for span, windows in _spans(frame).items():
        own = score(tried, windows=windows).of(frame.recipe.select_by)
        classes = [class_of(str(name)) for name in tried.classes[len(windows)]]
        for m, name in enumerate(tried.names):
            parts.append(pd.DataFrame({"span": span, "demand_class": classes, "model": name, "s": own[:, m]}))
    long = pd.concat(parts, ignore_index=True).dropna(subset="s")
    found = long.groupby(["span", "demand_class", "model"])["s"].agg(["sum", "count"]).reset_index()
    return found.rename(columns={"sum": "total", "count": "series"}).astype({"series": "float64"})


def _spans(frame: Frame) -> dict[str, range]:
    return {"early": range(max(frame.windows - 1, 0)), "all": range(frame.windows)}


def priors_of(sums: pd.DataFrame) -> dict[str, Prior]:
    """Span -> class -> candidate -> mean log score; what a class does not tell is the mean of all."""
    found: dict[str, dict[str, dict[str, float]]] = {"early": {}, "all": {}}
    for keys in (["span", "demand_class", "model"], ["span", "model"]):
        whole = sums.groupby(keys)[["total", "series"]].sum().reset_index()
        for row in whole.to_dict("records"):
            for demand_class in (row["demand_class"],) if "demand_class" in row else CLASSES:
                scores = found[row["span"]].setdefault(demand_class, {})
                scores.setdefault(row["model"], float(row["total"] / row["series"]))
    return dict(found)


def chosen_rows(rows: pd.DataFrame, frame: Frame, priors: Mapping[str, Prior]) -> pd.DataFrame:
    """The choice of every series: for what lies ahead by all windows, and for the last window by those before it."""
    rows = rows.reset_index(drop=True)
    tried, spans, recipe = _tried(rows, frame), _spans(frame), frame.recipe
    broken, set_aside = ([None if b is None or b != b else str(b) for b in rows[n]] for n in ("broken", "set_aside"))
    scores = {span: score(tried, windows=windows) for span, windows in spans.items()}
    at = {"early": max(frame.windows - 1, 0), "all": frame.windows}
    choices = {
        span: choose(tried, scores[span], prior=priors.get(span, {}), recipe=recipe, broken=broken, at=at[span])
        for span in spans
    }
    found: Any = rows[[*KEYS, *ATTRIBUTES, "classes"]].copy()
    found["demand_class"] = [class_of(str(name)) for name in tried.classes[frame.windows]]
    for span, choice in choices.items():
        found[f"model_{span}"] = choice.names(tried)
        found[f"mean_{span}"] = list(picked(tried, choice, at=at[span]))
        errors = [(tried.actual[w] - picked(tried, choice, at=w)) / tried.scale[w][:, None] for w in spans[span]]
        blank = np.empty((len(rows), 0))
        found[f"errors_{span}"] = list(np.concatenate(errors, axis=1) if errors else blank)
        found[f"scale_{span}"] = tried.scale[at[span]]
        found[f"open_{span}"] = list(tried.open[at[span]])
    failed = choices["all"].failed
    found["reason"], found["error"] = choices["all"].reason, [f or s for f, s in zip(failed, set_aside, strict=True)]
    found["status"] = ["failed" if f else "outlier" if s else "ok" for f, s in zip(failed, set_aside, strict=True)]
    last = max(frame.windows - 1, 0)
    found["actual"] = list(tried.actual[last]) if frame.windows else list(np.full((len(rows), recipe.horizon), np.nan))
    found["reference"] = list(np.nan_to_num(tried.values[last, tried.names.index(REFERENCE)]))
    found["history"] = list(tried.actual.transpose(1, 0, 2).reshape(len(rows), -1))
    picks = [picked(tried, choices["all"], at=w) for w in range(frame.windows)]
    found["backtest"] = list(np.concatenate(picks, axis=1) if picks else np.empty((len(rows), 0)))
    for name in _FIGURES:
        found[name] = list(getattr(scores["all"], name))
    return pd.DataFrame(found)


def pools_of(rows: pd.DataFrame, frame: Frame, *, span: str, fewest: int) -> Pools:
    """Quantiles of past errors by the class at the cut and step, and by step alone; a class with few errors is NaN.

    All new series are a class as well, NEW, beside those of each age.
    """
    usable = rows[rows["status"] != "failed"]
    windows = frame.windows - (span == "early")
    errors = _block(usable[f"errors_{span}"], len(usable), windows, frame.recipe.horizon)
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
    mean = _block(rows[f"mean_{span}"], len(rows), horizon)
    scale = rows[f"scale_{span}"].to_numpy(dtype=np.float64)
    zero = np.zeros((horizon, len(SHARES)))
    windows = frame.windows - (span == "early")
    classes = [str(list(names)[max(windows, 0)]) for names in rows["classes"]]
    lent = {name: _lent(pools, name, blank=zero) for name in set(classes)}
    drawn = np.stack([lent[name] for name in classes]) if classes else zero[None]
    if windows >= frame.recipe.own_residuals and len(rows):
        errors = _block(rows[f"errors_{span}"], len(rows), windows, horizon)
        own = _conformal(errors)
        drawn = np.where(np.isnan(own), drawn, own)
    share = _block(rows[f"open_{span}"], len(rows), horizon)
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


def forecast_rows(rows: pd.DataFrame, frame: Frame, pools: Pools) -> pd.DataFrame:
    """One row per series and period ahead: the columns of gold.forecasts, and ATTRIBUTES."""
    count, recipe = len(rows), frame.recipe
    horizon = recipe.horizon
    drawn = quantiles(rows, frame, pools, span="all").reshape(count * horizon, -1)
    names = [*KEYS, *ATTRIBUTES, "status", "error"]
    found = rows.loc[np.repeat(rows.index, horizon), names].reset_index(drop=True)
    dates = [recipe.clock.first_day(frame.end + lead) for lead in recipe.leads]
    found["date"] = dates * count
    found["step"] = np.tile(list(recipe.leads), count)
    found["mean"] = _block(rows["mean_all"], count * horizon)
    for k, name in enumerate(QUANTILES):
        found[name] = drawn[:, k]
    found["model"] = np.repeat(rows["model_all"].to_numpy(), horizon)
    return found


def accuracy_rows(rows: pd.DataFrame, frame: Frame, pools: Pools) -> pd.DataFrame:
    """One row per series and candidate: the columns of gold.forecast_accuracy."""
    names, count = list(frame.recipe.candidates), len(rows)
    found = rows.loc[np.repeat(rows.index, len(names)), [*KEYS, "demand_class", "status", "error"]]
    found = found.reset_index(drop=True)
    found["model"] = names * count
    for figure in _FIGURES:
        found[figure] = _block(rows[figure], count * len(names))
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
    actual = _block(rows["actual"], len(rows), frame.recipe.horizon)
    known = ~np.isnan(actual)
    found = {}
    for name, (low, high) in _BOUNDS.items():
        inside = (known & (actual >= drawn[:, :, low]) & (actual <= drawn[:, :, high])).sum(axis=1)
        found[name] = np.where(known.any(axis=1), inside / np.maximum(known.sum(axis=1), 1), np.nan)
    return found


def coverage_by_step(rows: pd.DataFrame, frame: Frame, pools: Pools) -> pd.DataFrame:
    """Share of the last window inside the intervals that were drawn before it, by step."""
    drawn = quantiles(rows, frame, pools, span="early")
    actual = _block(rows["actual"], len(rows), frame.recipe.horizon)
    known = (~np.isnan(actual)).sum(axis=0)
    found: dict[str, Any] = {"step": list(frame.recipe.leads)}
    for name, (low, high) in _BOUNDS.items():
        inside = ((actual >= drawn[:, :, low]) & (actual <= drawn[:, :, high])).sum(axis=0)
        found[name] = inside / np.maximum(known, 1)
    return pd.DataFrame(found)


def examples(rows: pd.DataFrame, frame: Frame) -> pd.DataFrame:
    """The series foretold worst, typically and best in the last window: label, actual, foretold."""
    actual = _block(rows["actual"], len(rows), frame.recipe.horizon)
    foretold = _block(rows["mean_early"], len(rows), frame.recipe.horizon)
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
    actual = _block(rows["actual"], count, horizon)
    known = ~np.isnan(actual)
    truth = np.where(known, actual, 0.0)
    points = known.sum(axis=1).astype(np.float64)
    inside = coverage(rows, frame, pools)
    sums = {"units": truth.sum(axis=1), "points": points}
    for who, column in ((POLICY, "mean_early"), ("reference", "reference")):
        errors = np.where(known, _block(rows[column], count, horizon) - truth, 0.0)
        sums |= {f"absolute_{who}": np.abs(errors).sum(axis=1), f"error_{who}": errors.sum(axis=1)}
    sums |= {name: np.nan_to_num(values) * points for name, values in inside.items()}
    keys = rows[list(KEYS)].astype(str).agg("|".join, axis=1)
    bucket = pd.util.hash_pandas_object(keys, index=False).to_numpy() % np.uint64(buckets)
    found = pd.DataFrame({"bucket": bucket.astype("int32"), "category": rows["category"].to_numpy(), **sums})
    return found.groupby(["bucket", "category"]).sum().reset_index()
