"""Models fitted to the histories: one groupBy to cells, then everything on the driver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.customers.histories import mean_repeat_spend
from retail_spark.domains.customers.models.beta_geometric import BetaGeometric
from retail_spark.domains.customers.models.cells import Cells
from retail_spark.domains.customers.models.gamma_gamma import GammaGamma
from retail_spark.domains.customers.models.pareto import Pareto
from retail_spark.domains.customers.served import WEEK, Recipe, ValueModel
from retail_spark.domains.customers.settings import JobSettings
from retail_spark.frames.hashing import chance_of

CELL = ("x", "t_x_days", "age_days")


@dataclass(frozen=True)
class Fitted:
    """The model, and rows of gold.customer_models."""

    model: ValueModel
    parameters: pd.DataFrame


def to_cells(histories: DataFrame) -> Cells:
    """The sufficient counts of all customers: as many rows as there are different histories, whatever their number."""
    counted = histories.groupBy(*CELL).agg(F.count(F.lit(1)).alias("customers")).toPandas().sort_values(list(CELL))
    columns = (counted[name].to_numpy(dtype=np.float64) for name in (*CELL, "customers"))
    x, t_x, age, customers = columns
    return Cells(x, t_x / WEEK, age / WEEK, customers)


def fit(histories: DataFrame, cells: Cells, *, settings: JobSettings, seed: int, compare: bool) -> Fitted | None:
    """The likelier of BG/NBD and MBG/NBD, with the spend model; None where too few customers came again.

    `compare` adds Pareto/NBD and standard errors to the parameters.
    """
    repeaters = float(cells.customers[cells.x > 0].sum())
    if repeaters < settings.fit.min_repeaters:
        return None
    timings = [BetaGeometric.fit(cells), BetaGeometric.fit(cells, modified=True)]
    best = max(timings, key=lambda model: model.log_likelihood(cells))
    spend, of_spend = _fit_spend(histories, settings=settings, seed=seed)
    value = settings.value
    recipe = Recipe(value.horizon_days, value.discount_per_year, value.draws, seed)
    model = ValueModel(best, spend, recipe)
    rows = []
    for timing in timings:
        errors = _errors(timing, cells, times=settings.fit.bootstrap if compare else 0, seed=seed)
        rows += _rows(timing, errors, timing.log_likelihood(cells), cells.total, is_used=timing is best)
    if compare:
        pareto = Pareto.fit(cells)
        rows += _rows(pareto, {}, pareto.log_likelihood(cells), cells.total, is_used=False)
    if spend is not None:
        likelihood = spend.log_likelihood(*(of_spend[n].to_numpy(np.float64) for n in ("x", "mean", "customers")))
        rows += _rows(spend, {}, likelihood, float(of_spend["customers"].sum()), is_used=True)
    return Fitted(model, pd.DataFrame(rows))


def _fit_spend(histories: DataFrame, *, settings: JobSettings, seed: int) -> tuple[GammaGamma | None, pd.DataFrame]:
    some = histories.select("customer_id", "x", mean_repeat_spend().alias("mean")).where(F.col("mean").isNotNull())
    total = some.count()
    if total < settings.fit.min_repeaters:
        return None, pd.DataFrame()
    share = settings.fit.max_spend_customers / total
    sampled = some if share >= 1 else some.where(chance_of("customer_id", seed=seed) < F.lit(share))
    rows = sampled.select("x", "mean").toPandas().sort_values(["x", "mean"])  # a bounded number of them
    most = float(np.quantile(rows["mean"], settings.value.spend_quantile, method="inverted_cdf"))
    rows = rows.assign(mean=rows["mean"].clip(upper=most), customers=1.0)
    return GammaGamma.fit(*(rows[name].to_numpy(np.float64) for name in ("x", "mean", "customers"))), rows


def _errors(model: BetaGeometric, cells: Cells, *, times: int, seed: int) -> dict[str, float]:
    """Standard errors by refits to customers drawn with replacement."""
    if times < 2:
        return {}
    rng = np.random.default_rng(seed)
    fits = [
        BetaGeometric.fit(cells.resampled(rng), modified=model.modified, start=model).parameters for _ in range(times)
    ]
    return {name: float(np.std([found[name] for found in fits], ddof=1)) for name in model.parameters}


def _rows(
    model: BetaGeometric | Pareto | GammaGamma,
    errors: dict[str, float],
    likelihood: float,
    customers: float,
    *,
    is_used: bool,
) -> list[dict[str, object]]:
    return [
        {"model": model.name, "parameter": name, "estimate": float(value), "std_error": errors.get(name),
         "log_likelihood": likelihood, "customers": round(customers), "is_used": is_used}
        for name, value in model.parameters.items()
    ]  # fmt: skip
