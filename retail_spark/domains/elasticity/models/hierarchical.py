"""Empirical Bayes in two levels: a store-product's coefficients are drawn to its product's, these to the category's.

    b_i ~ N(m_j, T1) for the store-products i of product j,     m_j ~ N(mu, T2) for the products of a category.

T1 and T2 are found by EM on the moments (Dempster, Laird and Rubin 1977). What a product's pooled rows say of m_j comes
with a covariance clustered by period: stores share the shocks of a week, so that many stores are not many experiments.
What a store-product's rows say of b_i is discounted by the design effect of errors that follow on each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retail_spark.stats.arrays import Array, Codes
from retail_spark.stats.groups import by_group, padded

_START = 0.1
_FLOOR = 1e-6
_LEAST = 1e-9  # information, in units of a slope: a unit with less has an error of thirty thousand


@dataclass(frozen=True)
class Shrunk:
    """Posterior means and covariances of units, products and the category."""

    units: Array
    unit_covariance: Array
    products: Array
    product_covariance: Array
    centre: Array
    centre_covariance: Array
    between_units: Array
    between_products: Array
    rounds: int

    def widened(self, live: Codes, size: int) -> Shrunk:
        """The same with the columns that nothing is told of: 0."""
        matrices = ("unit_covariance", "product_covariance", "centre_covariance", "between_units", "between_products")
        found = {name: padded(getattr(self, name), live, size, axes=2) for name in matrices}
        found |= {name: padded(getattr(self, name), live, size, axes=1) for name in ("units", "products", "centre")}
        return Shrunk(**found, rounds=self.rounds)


def shrink(
    squares: Array, products: Array, product_of: Codes, means: Array, precisions: Array, *, rounds: int
) -> Shrunk:
    """Posterior of every unit and product of one category.

    `squares` (units, K, K) and `products` (units, K) are X'X and X'y over the residual variance; `means` (J, K) and
    `precisions` (J, K, K) what the pooled rows of each product say; a column they tell nothing of has precision 0.
    """
    is_told = squares.any(axis=(0, 1)) | precisions.any(axis=(0, 1))
    live = np.union1d([0], np.flatnonzero(is_told))
    block = (slice(None), live[:, None], live)
    found = _shrunk(
        squares[block], products[:, live], product_of, means[:, live], precisions[block], rounds=rounds
    )  # fmt: skip
    return found.widened(live, means.shape[1])


def _shrunk(
    all_squares: Array, all_products: Array, all_of: Codes, means: Array, precisions: Array, *, rounds: int
) -> Shrunk:
    """EM over the units that tell something: the others lie where their product does and would only slow it down."""
    size, shares = means.shape[1], _shares(all_squares, all_of, len(means))
    tells = np.flatnonzero(np.einsum("nkk->n", all_squares) > _LEAST)
    squares, products, product_of = all_squares[tells], all_products[tells], all_of[tells]
    t1, t2 = np.eye(size) * _START, np.eye(size) * _START
    done = 0
    for done in range(1, rounds + 1):  # noqa: B007
        heard = _loosened(precisions, t1, shares)
        told = np.einsum("jkl,jl->jk", heard, means)
        centre, centre_cov = _centre(told, heard, t2)
        m, m_cov, pull = _products(told, heard, t2, centre)
        own, pulled = _units(squares, t1)
        b = np.einsum("nkl,nl->nk", own, products) + np.einsum("nkl,nl->nk", pulled, m[product_of])
        apart = b - m[product_of]
        unsure = _unsure(own, pulled, product_of, t1, t2, len(means))
        spread = (apart.T @ apart + own.sum(axis=0) + unsure + _FLOOR * np.eye(size)) / len(b) if len(b) else t1
        off = m - centre
        through = (pull @ centre_cov @ pull.transpose(0, 2, 1)).sum(axis=0)
        between = (off.T @ off + m_cov.sum(axis=0) + through + _START * _FLOOR * np.eye(size)) / len(m)
        change = max(float(np.abs(spread - t1).max()), float(np.abs(between - t2).max()))
        t1, t2 = spread, between
        if change < 1e-7:
            break
    heard = _loosened(precisions, t1, shares)
    told = np.einsum("jkl,jl->jk", heard, means)
    centre, centre_cov = _centre(told, heard, t2)
    m, m_cov, pull = _products(told, heard, t2, centre)
    m_cov = m_cov + pull @ centre_cov @ pull.transpose(0, 2, 1)
    own, pulled = _units(all_squares, t1)
    b = np.einsum("nkl,nl->nk", own, all_products) + np.einsum("nkl,nl->nk", pulled, m[all_of])
    b_cov = own + pulled @ m_cov[all_of] @ pulled.transpose(0, 2, 1)
    return Shrunk(b, b_cov, m, m_cov, centre, centre_cov, t1, t2, done)


def _shares(squares: Array, product_of: Codes, products: int) -> Array:
    """Sum of squared weights of the units in their product's pooled price slope: one over how many they are worth."""
    weight = squares[:, 0, 0]
    total = np.bincount(product_of, weight, minlength=products)
    own: Array = weight / np.where(total > 0, total, 1.0)[product_of]
    shares = by_group(own**2, product_of, products)
    return np.where(shares > 0, shares, 1.0)


def _loosened(precisions: Array, t1: Array, shares: Array) -> Array:
    """What pooled rows say of m_j: their units are only a sample of the product's, spread by T1 around it."""
    apart = np.linalg.inv(t1[None] * shares[:, None, None])
    loosened: Array = precisions - precisions @ np.linalg.inv(precisions + apart) @ precisions
    return loosened


def _centre(told: Array, precisions: Array, t2: Array) -> tuple[Array, Array]:
    """The category's mean by generalised least squares, and its covariance."""
    # (V + T2)^-1 = P - P (P + T2^-1)^-1 P, which holds for a precision P that is not of full rank, too
    shrunk = precisions @ np.linalg.inv(precisions + np.linalg.inv(t2))
    weights = precisions - shrunk @ precisions
    left = told - np.einsum("jkl,jl->jk", shrunk, told)
    total = weights.sum(axis=0)
    covariance = np.linalg.inv(total + 1e-4 * np.eye(len(t2)))
    return covariance @ left.sum(axis=0), covariance


def _products(told: Array, precisions: Array, t2: Array, centre: Array) -> tuple[Array, Array, Array]:
    """Posterior mean and covariance of every product given the centre, and how much of the centre is in it."""
    prior = np.linalg.inv(t2)
    covariance = np.linalg.inv(precisions + prior)
    means = np.einsum("jkl,jl->jk", covariance, told + prior @ centre)
    return means, covariance, covariance @ prior


def _units(squares: Array, t1: Array) -> tuple[Array, Array]:
    prior = np.linalg.inv(t1)
    own = np.linalg.inv(squares + prior)
    return own, own @ prior


def _unsure(own: Array, pulled: Array, product_of: Codes, t1: Array, t2: Array, products: int) -> Array:
    """What the spread of units gains because their product's mean is itself estimated, from them alone.

    Shocks that the units of a product share are not in it: they move units and mean alike.
    """
    prior = np.linalg.inv(t1)
    told = np.asarray(prior - prior @ own @ prior, dtype=np.float64)
    summed = by_group(told, product_of, products)
    covariance = np.linalg.inv(summed + np.linalg.inv(t2))
    apart = pulled - np.eye(len(t1))
    unsure: Array = (apart @ covariance[product_of] @ apart.transpose(0, 2, 1)).sum(axis=0)
    return unsure
