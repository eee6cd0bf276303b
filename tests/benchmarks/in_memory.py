"""The job's own numpy on rows in memory: what Spark does by groupBy is done by pandas, the rest is the same code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from retail_spark.domains.elasticity.estimate.posterior import shrunk_rows
from retail_spark.domains.elasticity.estimate.store_product_loglog import products_from, units_from
from retail_spark.domains.elasticity.panel.fixed_effects import period_effects

UNIT = ["store_id", "product_id"]


def net_of_effects(rows: pd.DataFrame, columns: Sequence[str], *, periods: bool) -> pd.DataFrame:
    """The columns net of store-product effects and, where asked, of category-period effects."""
    parts = []
    for _, some in rows.groupby("category", sort=True):
        unit = some.groupby(UNIT, sort=False).ngroup().to_numpy()
        period = pd.factorize(some["period"], sort=True)[0]
        values = _centred(some[list(columns)].to_numpy(dtype=np.float64), unit)
        if periods:
            presence = np.zeros((unit.max() + 1, period.max() + 1))
            presence[unit, period] = 1.0
            effects = period_effects(presence, _sums(values, unit), _sums(values, period))
            values = _centred(values - effects[period], unit)
        parts.append(some.assign(**dict(zip(columns, values.T, strict=True))))
    return pd.concat(parts)


def shrunk_of(net: pd.DataFrame, columns: Sequence[str], *, rounds: int = 500) -> pd.DataFrame:
    """Posterior of units, products and categories; `columns` without y, price first."""
    both = ["y", *columns]
    parts = []
    for category, some in net.groupby("category", sort=True):
        some = some.sort_values([*UNIT, "period"])
        counts = some.drop_duplicates(UNIT).groupby("product_id").size().rename("units")
        weeks = _moments(some, ["product_id", "period"], both).join(counts, on="product_id").assign(category=category)
        products = products_from(weeks, len(both))
        told = products[["product_id", "variance"]].join(_serial(some, products, columns), on="product_id")
        moments = _moments(some, UNIT, both).merge(told, on="product_id").assign(category=category)
        parts.append(shrunk_rows(units_from(moments, len(both)), products, size=len(columns), rounds=rounds))
    return pd.concat(parts, ignore_index=True)


def cells_of(some: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Moments of the cells (store, period) of one category, as Spark hands them over."""
    cells = _moments(some, ["store_id", "period"], list(columns))
    return cells.assign(level="category", member=some["category"].iloc[0])


def _moments(rows: pd.DataFrame, keys: list[str], columns: list[str]) -> pd.DataFrame:
    codes = rows.groupby(keys, sort=True).ngroup().to_numpy()
    values = rows[columns].to_numpy()
    upper = np.triu_indices(len(columns))
    crossed = _sums(values[:, upper[0]] * values[:, upper[1]], codes)
    table = rows[keys].iloc[np.unique(codes, return_index=True)[1]].reset_index(drop=True)
    return table.assign(rows=np.bincount(codes), sums=list(_sums(values, codes)), crossed=list(crossed))


def _serial(rows: pd.DataFrame, fitted: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    slopes = pd.DataFrame(np.stack(fitted["means"]), fitted["product_id"]).reindex(rows["product_id"]).to_numpy()
    left = rows["y"].to_numpy() - (rows[list(columns)].to_numpy() * slopes).sum(axis=1)
    unit = rows.groupby(UNIT, sort=False).ngroup().to_numpy()
    follows = np.r_[False, (np.diff(unit) == 0) & (np.diff(rows["period"].to_numpy()) == 1)]
    pairs = (
        pd.Series(np.where(follows, left * np.r_[0.0, left[:-1]], np.nan)).groupby(rows["product_id"].to_numpy()).mean()
    )
    squares = pd.Series(left**2).groupby(rows["product_id"].to_numpy()).mean()
    return (pairs / squares).rename("serial")


def _sums(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return np.stack([np.bincount(codes, column) for column in values.T], axis=1)


def _centred(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return values - (_sums(values, codes) / np.bincount(codes)[:, None])[codes]
