"""Models whose form is searched for, by statsforecast: AutoETS and AutoTheta, series by series inside one call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from retail_spark.forecast.panel import Array, filled_forward

_LONGEST_SEASON = 24  # AutoETS knows no longer one
_FEWEST = 6
_LOG = logging.getLogger(__name__)


@cache
def _model(name: str, season: int) -> Any:
    from statsforecast.models import AutoETS, AutoTheta

    return {"auto_ets": AutoETS, "auto_theta": AutoTheta}[name](season_length=season)


def searched(name: str, y: Array, *, cuts: Sequence[int], reach: int, season: int) -> Array:
    """(cuts, N, reach); NaN for a series that the model cannot take. A season too long to be searched is left out."""
    found = np.full((len(cuts), len(y), reach), np.nan)
    filled, first = filled_forward(y), np.where(np.isnan(y), 0, 1).argmax(axis=1)
    for k, cut in enumerate(cuts):
        for row in range(len(y)):
            known = filled[row, first[row] : cut]
            length = season if season <= _LONGEST_SEASON and len(known) >= 2 * season + 2 else 1
            if len(known) >= _FEWEST and np.isfinite(known).all():
                found[k, row] = _forecast(_model(name, length), known, reach)
    return found


def _forecast(model: Any, known: Array, reach: int) -> Array | float:
    """What the model says, NaN where it fails: it is one candidate of many, and its neighbours go on."""
    try:
        return np.asarray(model.forecast(y=np.ascontiguousarray(known), h=reach)["mean"], dtype=np.float64)
    except (ValueError, ArithmeticError, RuntimeError, IndexError, NotImplementedError) as error:
        _LOG.debug("a series was left out: %s", error)
        return np.nan
