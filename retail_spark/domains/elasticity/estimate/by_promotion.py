"""Regressions by product and promotion, without effects: every product has two intercepts and two price slopes.

It is the regression of log units on log price by brand and feature with all interactions, which is that of every group
alone but for the residual variance: they share one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from scipy import stats

from retail_spark.domains.elasticity.estimate.estimate_rows import ESTIMATE_SCHEMA, estimate_row, framed, guarded
from retail_spark.domains.elasticity.models.least_squares import PRICE, clustered_by
from retail_spark.domains.elasticity.panel.cells import UNIT

PROMOTED = "price_promoted"
_LEAST_ROWS = 4
_LEAST_SPREAD = 1e-6


def to_by_promotion(rows: DataFrame) -> DataFrame:
    """Rows of gold.elasticity_estimates: by_promotion, two terms a product. A category is fitted by one task."""
    needed = rows.where("NOT is_sparse").select("category", *UNIT, "period", "y", PRICE, "on_promotion")
    return needed.groupBy("category").applyInPandas(guarded(by_promotion_rows, "by_promotion"), ESTIMATE_SCHEMA)


def by_promotion_rows(some: pd.DataFrame) -> pd.DataFrame:
    """Slopes of one category: term price where nothing is promoted, price_promoted where something is."""
    some = some.sort_values([*UNIT, "period"], ignore_index=True)
    keys = pd.DataFrame({"product_id": some["product_id"], "is_promoted": some["on_promotion"] > 0})
    codes = keys.groupby(["product_id", "is_promoted"], sort=True).ngroup().to_numpy()
    groups = keys.drop_duplicates().sort_values(["product_id", "is_promoted"], ignore_index=True)
    counts = np.bincount(codes)
    x, y = (_centred(some[name].to_numpy(dtype=np.float64), codes, counts) for name in (PRICE, "y"))
    squares = np.bincount(codes, x**2)
    is_told = (counts >= _LEAST_ROWS) & (np.sqrt(squares / counts) > _LEAST_SPREAD)
    slopes = np.where(is_told, np.bincount(codes, x * y) / np.where(is_told, squares, 1.0), 0.0)
    residual = y - slopes[codes] * x
    free = max(len(some) - len(groups) - int(is_told.sum()), 1)
    plain = np.sqrt(float(residual @ residual) / free / np.where(is_told, squares, 1.0))
    stores, periods = (pd.factorize(some[name], sort=True)[0].astype(np.int64) for name in ("store_id", "period"))
    found = []
    for at, group in enumerate(groups.to_dict("records")):
        told: dict[str, Any] = {
            "level": "product", "member": str(group["product_id"]), "estimator": "by_promotion",
            "term": PROMOTED if group["is_promoted"] else PRICE, "n_obs": int(counts[at]),
        }  # fmt: skip
        if not is_told[at]:
            status = "too_few_weeks" if counts[at] < _LEAST_ROWS else "no_price_variation"
            found.append(estimate_row(**told, value=None, status=status))
            continue
        mine = codes == at
        middle, by_store, fewest = clustered_by(
            (x[mine] * residual[mine])[:, None], _coded(stores[mine]), _coded(periods[mine])
        )
        errors = [float(np.sqrt(max(whole[0, 0], 0.0)) / squares[at]) for whole in (middle, by_store)]
        reach = float(stats.t.ppf(0.975, max(fewest - 1, 1)))
        value = (float(slopes[at]), errors[0], errors[1])
        found.append(estimate_row(**told, value=value, reach=reach) | {"std_error_plain": float(plain[at])})
    return framed(found)


def _centred(values: np.ndarray, codes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.asarray(values - (np.bincount(codes, values) / counts)[codes])


def _coded(codes: np.ndarray) -> np.ndarray:
    return np.asarray(np.unique(codes, return_inverse=True)[1], dtype=np.int64)
