"""What every candidate predicts at every cut, what its class erred, and which one a series takes. Plain pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from retail_spark.domains.forecast.accuracy import FIGURES
from retail_spark.domains.forecast.backtest import CLASSES, Tried, class_of, try_all
from retail_spark.domains.forecast.models.global_booster import Booster
from retail_spark.domains.forecast.recipe import REFERENCE
from retail_spark.domains.forecast.select import Prior, choose, picked, score
from retail_spark.domains.forecast.series.frame import KEPT, MARK, Frame, block_of
from retail_spark.domains.forecast.series.panel import ATTRIBUTES, KEYS, Array, Panel


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
        values=block_of(rows["values"], count, cuts, len(names), horizon).transpose(1, 2, 0, 3),
        actual=block_of(rows["actual"], count, cuts - 1, horizon).transpose(1, 0, 2),
        scale=block_of(rows["scale"], count, cuts).T,
        classes=np.stack([np.asarray(names, dtype=str) for names in rows["classes"]], axis=1)
        if count
        else np.empty((cuts, 0), dtype=str),
        instead=block_of(rows["instead"], count, cuts).T,
        open=block_of(rows["open"], count, cuts, horizon).transpose(1, 0, 2),
    )


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
    for name in FIGURES:
        found[name] = list(getattr(scores["all"], name))
    return pd.DataFrame(found)
