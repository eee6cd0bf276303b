"""The rows of gold.forecasts. Plain pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd

from retail_spark.domains.forecast.intervals import quantiles
from retail_spark.domains.forecast.series.frame import Frame, Pools, block_of
from retail_spark.domains.forecast.series.panel import ATTRIBUTES, KEYS
from retail_spark.tables.values import QUANTILES


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
    found["mean"] = block_of(rows["mean_all"], count * horizon)
    for k, name in enumerate(QUANTILES):
        found[name] = drawn[:, k]
    found["model"] = np.repeat(rows["model_all"].to_numpy(), horizon)
    return found
