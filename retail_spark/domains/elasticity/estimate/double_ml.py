"""Double machine learning of a category's elasticity: what boosting cannot foretell of price moves what it cannot
foretell of units (Chernozhukov and others 2018, partially linear model), cross-fitted over blocks of periods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.elasticity.estimate.estimate_rows import ESTIMATE_SCHEMA, estimate_row, framed, guarded
from retail_spark.domains.elasticity.models.least_squares import PRICE, Fit, clustered_by
from retail_spark.domains.elasticity.panel.cells import UNIT
from retail_spark.domains.elasticity.settings import JobSettings
from retail_spark.frames.hashing import chance_of
from retail_spark.stats.arrays import Array, Codes

_LEAST_ROWS = 200


def to_double_ml(rows: DataFrame, *, controls: Sequence[str], settings: JobSettings, seed: int) -> DataFrame:
    """Rows of gold.elasticity_estimates: double_ml, one a category; y and price net of two-way effects come in.

    Of a large category whole store-products are drawn, by hash.
    """
    per = rows.groupBy("category").agg(F.count(F.lit(1)).alias("_rows"))
    share = F.lit(float(settings.ml_rows)) / F.col("_rows")
    chance = chance_of(*UNIT, seed=seed)
    drawn = rows.join(F.broadcast(per), on="category", how="inner").where(chance < share)

    def finish(some: pd.DataFrame) -> pd.DataFrame:
        return double_ml_rows(some, controls=controls, settings=settings, seed=seed)

    needed = drawn.select("category", *UNIT, "period", "y", PRICE, *controls)
    return needed.groupBy("category").applyInPandas(guarded(finish, "double_ml"), ESTIMATE_SCHEMA)


def double_ml_rows(some: pd.DataFrame, *, controls: Sequence[str], settings: JobSettings, seed: int) -> pd.DataFrame:
    """The estimate of one category, or why there is none."""
    some = some.sort_values([*UNIT, "period"])
    told: dict[str, Any] = {
        "level": "category", "member": str(some["category"].iloc[0]), "estimator": "double_ml", "term": PRICE,
        "n_obs": len(some),
    }  # fmt: skip
    period = pd.factorize(some["period"], sort=True)[0].astype(np.int64)
    if len(some) < _LEAST_ROWS or period.max() + 1 < 2 * settings.ml_folds:
        return framed([estimate_row(**told, value=None, status="too_few_weeks")])
    if float(some[PRICE].std()) < 1e-6:
        return framed([estimate_row(**told, value=None, status="no_price_variation")])
    codes = [pd.factorize(some[name], sort=True)[0].astype(np.float64) for name in UNIT]
    features = np.column_stack([*codes, period, some[list(controls)].to_numpy(dtype=np.float64)])
    fold = period * settings.ml_folds // (int(period.max()) + 1)
    left = [residual(features, some[name].to_numpy(), fold, settings=settings, seed=seed) for name in ("y", PRICE)]
    fit = partially_linear(left[0], left[1], codes[0].astype(np.int64), period)
    return framed([estimate_row(**told, value=fit.of(fit.unit(PRICE)), reach=fit.reach)])


def partially_linear(y: Array, price: Array, stores: Codes, periods: Codes) -> Fit:
    """Residual on residual, errors clustered by store and period."""
    bread = np.array([[1 / float(price @ price)]])
    slope = bread[0] * float(price @ y)
    residual = y - slope[0] * price
    middle, by_store, fewest = clustered_by((price * residual)[:, None], stores, periods)
    return Fit((PRICE,), slope, bread @ middle @ bread, bread @ by_store @ bread, np.zeros(0), fewest)


def residual(features: Array, target: Array, fold: Codes, *, settings: JobSettings, seed: int) -> Array:
    """What a booster that saw only the other folds leaves of the target."""
    import xgboost

    parameters = {"max_depth": settings.ml_depth, "eta": 0.15, "subsample": 0.7, "lambda": 5.0, "nthread": 1,
                  "seed": seed, "tree_method": "hist", "objective": "reg:squarederror"}  # fmt: skip
    left = np.empty_like(target, dtype=np.float64)
    for number in np.unique(fold):
        is_out = fold == number
        train = xgboost.DMatrix(features[~is_out], target[~is_out])
        booster = xgboost.train(parameters, train, num_boost_round=settings.ml_trees)
        left[is_out] = target[is_out] - booster.predict(xgboost.DMatrix(features[is_out]))
    return left
