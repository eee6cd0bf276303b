"""Models whose form is searched for, by statsforecast: AutoETS and AutoTheta, series by series inside one call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from retail_spark.domains.forecast.series.panel import filled_forward
from retail_spark.stats.arrays import Array

_LONGEST_SEASON = 24  # AutoETS knows no longer one
_SEASONS = 26  # of a season that is searched, the last ones that count: more cost time and say little
_FEWEST = 6
_LOG = logging.getLogger(__name__)


@cache
def _model(name: str, season: int) -> Any:
    """AutoETS searches all its forms, of seasons only additive ones: on logarithms they are the others."""
    from statsforecast.models import AutoETS, AutoTheta

    if name == "auto_ets" and season > 1:
        return AutoETS(season_length=season, model="AZA")
    return {"auto_ets": AutoETS, "auto_theta": AutoTheta}[name](season_length=season)


def searched(name: str, y: Array, *, cuts: Sequence[int], reach: int, season: int) -> Array:
    """(cuts, N, reach); NaN for a series that the model cannot take. A season too long to be searched is left out."""
    found = np.full((len(cuts), len(y), reach), np.nan)
    filled = _filled(y, season=season)
    longest = season * _SEASONS if 1 < season <= _LONGEST_SEASON else y.shape[1]
    first = np.where(np.isnan(y), 0, 1).argmax(axis=1)
    for k, cut in enumerate(cuts):
        for row in range(len(y)):
            known = filled[row, max(first[row], cut - longest) : cut]
            length = season if season <= _LONGEST_SEASON and len(known) >= 2 * season + 2 else 1
            if len(known) >= _FEWEST and np.isfinite(known).all():
                found[k, row] = _forecast(_model(name, length), known, reach)
    return found


def _filled(y: Array, *, season: int) -> Array:
    """Gaps take the value one season before where the season is one that is searched, else the last one."""
    filled = y.copy()
    if 1 < season <= _LONGEST_SEASON:
        for t in range(season, y.shape[1]):
            filled[:, t] = np.where(np.isnan(filled[:, t]), filled[:, t - season], filled[:, t])
    return filled_forward(filled)


def _forecast(model: Any, known: Array, reach: int) -> Array | float:
    """What the model says, NaN where it fails: it is one candidate of many, and its neighbours go on."""
    try:
        return np.asarray(model.forecast(y=np.ascontiguousarray(known), h=reach)["mean"], dtype=np.float64)
    except (ValueError, ArithmeticError, RuntimeError, IndexError, NotImplementedError) as error:
        _LOG.debug("a series was left out: %s", error)
        return np.nan
