"""What store-products and products of sparse categories say of their elasticities, from Poisson fits with the zeros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.elasticity.estimate.estimate_rows import (
    ESTIMATE_SCHEMA,
    estimate_row,
    framed,
    guarded,
    reason_of,
)
from retail_spark.domains.elasticity.estimate.store_product_loglog import UNIT_SCHEMA
from retail_spark.domains.elasticity.models.least_squares import PRICE, Fit, clustered_by
from retail_spark.domains.elasticity.models.ppml import Panel, PoissonFit, fit_poisson
from retail_spark.domains.elasticity.panel.cells import UNIT
from retail_spark.domains.elasticity.settings import Effects, JobSettings
from retail_spark.frames.batches import fitted_to, names_of, repeated
from retail_spark.stats.arrays import Array, Codes
from retail_spark.stats.clustered import design_effect, precisions_of
from retail_spark.stats.groups import by_group, crossed

SPARSE_SCHEMA = (
    "what string, " + UNIT_SCHEMA + ", rows bigint, means array<double>, precisions array<double>, error string"
)
_RIDGE = 0.01
"""Precision of the prior of a product's slopes: they lie within some tens, far wider than any that data tell."""


@dataclass(frozen=True)
class SparseFit:
    """A Poisson fit of one group of products, with what each row belongs to."""

    rows: pd.DataFrame
    panel: Panel
    unit: Codes
    period: Codes
    fit: PoissonFit
    columns: tuple[str, ...]


def poisson_of(
    rows: pd.DataFrame,
    *,
    columns: Sequence[str],
    rounds: int,
    pooled: bool,
    effects: Effects = "store-product + period",
) -> SparseFit | None:
    """The fit by product, or of all together; None where nothing was sold. Units without a sale drop out."""
    rows = rows.sort_values(["product_id", "store_id", "period"])
    sold = rows.groupby(list(UNIT))["units"].transform("sum") > 0
    rows = rows[sold].reset_index(drop=True)
    if rows.empty:
        return None
    unit = rows.groupby(list(UNIT), sort=False).ngroup().to_numpy().astype(np.int64)
    period = pd.factorize(rows["period"], sort=True)[0].astype(np.int64)
    product = pd.factorize(rows["product_id"], sort=True)[0].astype(np.int64)
    level, moment = effect_codes(unit, period, product, effects)
    panel = Panel(
        rows["units"].to_numpy(dtype=np.float64),
        rows[list(columns)].to_numpy(dtype=np.float64),
        level,
        moment,
        np.zeros_like(product) if pooled else product,
    )
    fit = fit_poisson(panel, rounds=rounds, ridge=0.0 if pooled else _RIDGE)
    return SparseFit(rows, panel, unit, period, fit, tuple(columns))


def effect_codes(unit: Codes, period: Codes, product: Codes, effects: Effects) -> tuple[Codes, Codes]:
    """What has an intercept of its own, and what has an effect in time."""
    if effects == "store-product + period":
        return unit, period
    return (product if effects == "none" else unit), np.zeros_like(period)


def to_sparse(rows: DataFrame, *, columns: Sequence[str], settings: JobSettings) -> tuple[DataFrame, DataFrame]:
    """Units and products of sparse categories, from the Poisson fit of each (category, bucket)."""
    both = SPARSE_SCHEMA

    def finish(some: pd.DataFrame) -> pd.DataFrame:
        try:
            return sparse_rows(some, columns=columns, settings=settings)
        except Exception as error:
            return fitted_to(_failed(some, len(columns), reason_of(error)), both)

    needed = ["category", "bucket", *UNIT, "period", "units", *columns]
    fitted = rows.select(*needed).groupBy("category", "bucket").applyInPandas(finish, both)
    units = fitted.where("what = 'unit'").select("category", *UNIT, "squares", "products")
    products = fitted.where("what = 'product'").select("category", "product_id", "rows", "means", "precisions", "error")
    return units, products


def sparse_rows(some: pd.DataFrame, *, columns: Sequence[str], settings: JobSettings) -> pd.DataFrame:
    """Units and products of one bucket of products; none where nothing was sold."""
    found = poisson_of(some, columns=columns, rounds=settings.poisson_rounds, pooled=False, effects=settings.effects)
    if found is None:
        return pd.DataFrame(columns=names_of(SPARSE_SCHEMA))
    units, products = _sparse_frames(found)
    return fitted_to(pd.concat([units.assign(what="unit"), products.assign(what="product")]), SPARSE_SCHEMA)


def _failed(some: pd.DataFrame, size: int, reason: str) -> pd.DataFrame:
    """Units and products of which nothing is told, and why."""
    units = some[["category", *UNIT]].drop_duplicates(ignore_index=True)
    products = some[["category", "product_id"]].drop_duplicates(ignore_index=True)
    nothing, empty = np.zeros(size), np.zeros(size**2)
    units = units.assign(what="unit", squares=repeated(empty, len(units)), products=repeated(nothing, len(units)))
    products = products.assign(
        what="product",
        rows=0,
        means=repeated(nothing, len(products)),
        precisions=repeated(empty, len(products)),
        error=reason,
    )
    return pd.concat([units, products])


def _sparse_frames(found: SparseFit) -> tuple[pd.DataFrame, pd.DataFrame]:
    panel, fit, rows, unit = found.panel, found.fit, found.rows, found.unit
    groups = len(fit.slopes)
    residual = panel.y - fit.mean
    pearson = residual / np.sqrt(np.maximum(fit.mean, 1e-9))
    sizes = np.bincount(panel.group, minlength=groups)
    first = np.unique(unit, return_index=True)[1]
    of_unit = panel.group[first]
    free = np.maximum(sizes - np.bincount(of_unit, minlength=groups) - panel.x.shape[1], 1)
    variance = np.maximum(np.bincount(panel.group, pearson**2, minlength=groups) / free, 0.2)
    follows = np.r_[False, (unit[1:] == unit[:-1])]
    follows &= np.r_[False, np.diff(rows["period"].to_numpy()) == 1]
    pairs = np.where(follows, pearson * np.r_[0.0, pearson[:-1]], 0.0)
    near = np.bincount(panel.group, pairs, minlength=groups) / np.maximum(np.bincount(panel.group, follows, groups), 1)
    effect = design_effect(near / np.maximum(np.bincount(panel.group, pearson**2, groups) / sizes, 1e-12))
    scores = fit.net * residual[:, None]
    precisions = precisions_of(fit.information, variance, scores, group=panel.group, period=found.period)
    units = len(first)
    squares = crossed(fit.net, fit.mean, unit, units)
    products = np.einsum("ukl,ul->uk", squares, fit.slopes[of_unit]) + by_group(scores, unit, units)
    by = (variance * effect)[of_unit]
    unit_rows = rows.loc[first, ["category", *UNIT]].assign(
        squares=_flat(squares / by[:, None, None]), products=list(products / by[:, None])
    )
    product_first = np.unique(panel.group, return_index=True)[1]
    product_rows = rows.loc[product_first, ["category", "product_id"]].assign(
        rows=sizes, means=list(fit.slopes), precisions=_flat(precisions), error=""
    )
    return unit_rows, product_rows


def _flat(matrices: Sequence[Array] | Array) -> list[Any]:
    return [np.asarray(matrix).ravel() for matrix in matrices]


def to_sparse_pooled(rows: DataFrame, *, columns: Sequence[str], settings: JobSettings) -> DataFrame:
    """Rows of gold.elasticity_estimates: poisson, one fit a category, errors clustered by store and period.

    Of a category that is cut into buckets the first speaks for all.
    """

    def finish(some: pd.DataFrame) -> pd.DataFrame:
        return poisson_estimates(some, columns=columns, rounds=settings.poisson_rounds, effects=settings.effects)

    needed = ["category", *UNIT, "period", "units", *columns]
    first = rows.where(F.col("bucket") == 0).select(*needed)
    return first.groupBy("category").applyInPandas(guarded(finish, "poisson"), ESTIMATE_SCHEMA)


def poisson_estimates(
    some: pd.DataFrame, *, columns: Sequence[str], rounds: int, effects: Effects = "store-product + period"
) -> pd.DataFrame:
    """The pooled Poisson slopes of one category."""
    member, n = str(some["category"].iloc[0]), len(some)
    live = [name for name in columns if some[name].to_numpy().std() > 1e-6]
    found = poisson_of(some, columns=live, rounds=rounds, pooled=True, effects=effects) if PRICE in live else None
    told: dict[str, Any] = {"level": "category", "member": member, "estimator": "poisson", "n_obs": n}
    if found is None:
        return framed([estimate_row(**told, term=PRICE, value=None, status="no_price_variation")])
    fit = _as_fit(found)
    return framed(
        estimate_row(**told, term=term, value=fit.of(fit.unit(term)), reach=fit.reach, is_default=True)
        for term in fit.terms
    )


def _as_fit(found: SparseFit) -> Fit:
    rows, fit = found.rows, found.fit
    bread = np.linalg.pinv(fit.information[0], rcond=1e-9, hermitian=True)
    stores = pd.factorize(rows["store_id"])[0].astype(np.int64)
    scores = fit.net * (found.panel.y - fit.mean)[:, None]
    middle, by_store, fewest = clustered_by(scores, stores, found.period)
    two_way, one_way = bread @ middle @ bread, bread @ by_store @ bread
    return Fit(found.columns, fit.slopes[0], two_way, one_way, np.zeros(0), fewest)
