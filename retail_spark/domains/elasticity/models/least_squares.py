"""Least squares from moments alone: pooled fits with two-way clustered errors, and many small fits at once.

A moment is the matrix W'W of a group of rows, where W holds every column (response, regressors, instruments) after
its effects were taken out. Whatever is linear in the columns needs no row again: coefficients, the scores of a
cluster, first stages, residuals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from retail_spark.stats.arrays import Array, Codes
from retail_spark.stats.clustered import meat
from retail_spark.stats.groups import by_group

PRICE = "price"


@dataclass(frozen=True)
class CellMoments:
    """Moments of the cells (store, period) of one member, in its columns."""

    columns: tuple[str, ...]
    stores: Codes
    periods: Codes
    cells: Array
    """(cells, columns, columns)."""
    rows: int

    @property
    def total(self) -> Array:
        summed: Array = self.cells.sum(axis=0)
        return summed

    def row(self, name: str) -> Array:
        """The linear combination of columns that is the column itself."""
        found: Array = np.eye(len(self.columns))[self.columns.index(name)]
        return found


@dataclass(frozen=True)
class Fit:
    """Coefficients of the terms, and their covariance clustered by store and period, and by store alone."""

    terms: tuple[str, ...]
    values: Array
    two_way: Array
    by_store: Array
    residual: Array
    """The residual as a linear combination of columns."""
    clusters: int
    """The smaller number of clusters."""

    def at(self, term: str) -> int:
        return self.terms.index(term)

    def of(self, weights: Array) -> tuple[float, float, float]:
        """Value, two-way error and error by store of a weighted sum of terms.

        Of few clusters a two-way variance can be negative: an error of 0 would be no error, the one by store stands.
        """
        two_way, by_store = (float(weights @ cov @ weights) for cov in (self.two_way, self.by_store))
        two_way = two_way if two_way > 0 or np.isnan(by_store) else by_store
        return float(weights @ self.values), max(two_way, 0.0) ** 0.5, max(by_store, 0.0) ** 0.5

    def unit(self, term: str) -> Array:
        """Weights that pick one term."""
        found: Array = np.eye(len(self.terms))[self.at(term)]
        return found

    @property
    def reach(self) -> float:
        """Half-width of a 95 % interval in standard errors: t with the smaller number of clusters less one."""
        return float(stats.t.ppf(0.975, max(self.clusters - 1, 1)))


def clustered(scores: Array, moments: CellMoments) -> tuple[Array, Array, int]:
    """The middle of the sandwich, two-way and by store, and the smaller number of clusters.

    Cameron, Gelbach and Miller (2011), CRV1: by store + by period - by both, times G / (G - 1) with the smaller G.
    Where that leaves a negative variance, the larger of the two one-way matrices stands. One store is no clustering:
    its scores sum up to zero, and so would the errors; there it is by period alone, and of stores nothing is known.
    """
    store, stores = meat(scores, moments.stores)
    period, periods = meat(scores, moments.periods)
    if stores == 1:
        return period * periods / max(periods - 1, 1), np.full_like(store, np.nan), periods
    fewest = min(stores, periods)
    factor = fewest / max(fewest - 1, 1)
    both = store + period - scores.T @ scores
    if np.any(np.diag(both) < 0):
        both = store if np.trace(store) > np.trace(period) else period
    return both * factor, store * stores / max(stores - 1, 1), fewest


def clustered_by(scores: Array, stores: Codes, periods: Codes) -> tuple[Array, Array, int]:
    """`clustered` from the scores of rows, of which several may share a cell."""
    cells, place = np.unique(np.stack([stores, periods]), axis=1, return_inverse=True)
    sums = by_group(scores, place.ravel(), cells.shape[1])
    return clustered(sums, CellMoments((), cells[0], cells[1], np.zeros(0), len(scores)))


def fit(moments: CellMoments, *, y: Array, x: Sequence[Array], z: Sequence[Array] | None, terms: Sequence[str]) -> Fit:
    """Least squares of y on x, or two-stage least squares with instruments z (the exogenous x among them).

    All are linear combinations of the moments' columns. Raises LinAlgError where x is collinear.
    """
    total = moments.total
    regressors = np.stack(x)
    used = regressors if z is None else _projected(total, regressors, np.stack(z))
    bread = np.linalg.inv(used @ total @ regressors.T)
    values = bread @ (used @ total @ y)
    residual = y - values @ regressors
    scores = (moments.cells @ residual) @ used.T
    middle, by_store, fewest = clustered(scores, moments)
    return Fit(tuple(terms), values, bread @ middle @ bread.T, bread @ by_store @ bread.T, residual, fewest)


def _projected(total: Array, regressors: Array, instruments: Array) -> Array:
    first = np.linalg.solve(instruments @ total @ instruments.T, instruments @ total @ regressors.T)
    projected: Array = first.T @ instruments
    return projected


def wald_f(found: Fit, terms: Sequence[str]) -> float:
    """Cluster-robust F that these terms are all zero; 0 where no covariance of theirs is positive definite.

    Of few clusters the two-way matrix can be indefinite (Cameron, Gelbach and Miller 2011, 2.3): then by store alone.
    """
    at = [found.at(term) for term in terms]
    values = found.values[at]
    for whole in (found.two_way, found.by_store):
        covariance = whole[np.ix_(at, at)]
        if not np.isfinite(covariance).all():
            continue
        spread = np.linalg.eigvalsh(covariance)
        if spread.min() > 1e-9 * max(spread.max(), 0.0):
            return float(values @ np.linalg.solve(covariance, values) / len(at))
    return 0.0


def overidentification_p(
    moments: CellMoments, found: Fit, *, y: Array, x: Sequence[Array], z: Sequence[Array]
) -> float:
    """p of Hansen's J after one step of efficient GMM from the two-stage residual."""
    instruments, regressors, total = np.stack(z), np.stack(x), moments.total
    scores = (moments.cells @ found.residual) @ instruments.T
    middle, _, _ = clustered(scores, moments)
    if np.linalg.eigvalsh(middle).min() <= 0:
        middle, _ = meat(scores, moments.periods)
    weight = np.linalg.inv(middle)
    cross = instruments @ total @ regressors.T
    values = np.linalg.solve(cross.T @ weight @ cross, cross.T @ weight @ (instruments @ total @ y))
    left = instruments @ total @ (y - values @ regressors)
    return float(stats.chi2.sf(left @ weight @ left, len(z) - len(x)))


def independent(total: Array, rows: Sequence[Array], *, share: float, least: float = 0.0) -> list[int]:
    """Which of the combinations keep more than `share` of their variance beside the ones before them.

    A sum of squares of `least` or less is what rounding leaves of a column that effects take away whole.
    """
    kept: list[int] = []
    for at, row in enumerate(rows):
        own = float(row @ total @ row)
        if own <= max(1e-12 * max(float(np.trace(total)), 1e-300), least):
            continue
        before = np.stack([rows[k] for k in kept]) if kept else np.zeros((0, len(row)))
        left = own
        if kept:
            cross = before @ total @ row
            left = own - float(cross @ np.linalg.solve(before @ total @ before.T, cross))
        if left > share * own:
            kept.append(at)
    return kept


def left_of(total: Array, row: Array, others: Sequence[Array]) -> float:
    """Share of the combination's variance that the others leave."""
    own = float(row @ total @ row)
    if own <= 0:
        return 0.0
    if not others:
        return 1.0
    rest = np.stack(others)
    cross = rest @ total @ row
    return 1 - float(cross @ np.linalg.pinv(rest @ total @ rest.T, hermitian=True) @ cross) / own


@dataclass(frozen=True)
class Small:
    """Many small regressions whose first regressor is the price."""

    values: Array
    """Coefficients; NaN where the row is not identified, 0 for a column that does not vary."""
    price_variance: Array
    """Variance of the price's coefficient for a residual variance of one; NaN where not identified."""
    left: Array
    """Share of the price's variance that the other columns leave."""


def solve_small(squares: Array, products: Array, *, share: float) -> Small:
    """Every group's coefficients from its moments X'X (groups, K, K) and X'y (groups, K), price first.

    Columns that do not vary in a group drop out; a price that the others explain but for `share` is not identified.
    """
    diagonal = np.einsum("gkk->gk", squares)
    varies = diagonal > 1e-12 * np.maximum(diagonal.max(axis=1, keepdims=True), 1e-300)
    scale = np.where(varies, np.sqrt(np.where(varies, diagonal, 1.0)), 1.0)
    both = varies[:, :, None] & varies[:, None, :]
    scaled = np.where(both, squares / (scale[:, :, None] * scale[:, None, :]), 0.0)
    dead = np.eye(squares.shape[1])[None] * (~varies)[:, :, None]
    inverse = np.linalg.pinv(scaled + dead, rcond=1e-9, hermitian=True)
    values = np.einsum("gkl,gl->gk", inverse, np.where(varies, products / scale, 0.0)) / scale
    left = _left_of_price(scaled + dead)
    is_sound = varies[:, 0] & (left > share)
    variance = np.where(is_sound, inverse[:, 0, 0] / scale[:, 0] ** 2, np.nan)
    return Small(np.where(is_sound[:, None], values, np.nan), variance, np.where(varies[:, 0], left, 0.0))


def _left_of_price(scaled: Array) -> Array:
    if scaled.shape[1] == 1:
        return np.ones(len(scaled))
    rest = np.linalg.pinv(scaled[:, 1:, 1:], rcond=1e-9, hermitian=True)
    cross = scaled[:, 1:, 0]
    left: Array = np.clip(1 - np.einsum("gk,gkl,gl->g", cross, rest, cross), 0.0, 1.0)
    return left
