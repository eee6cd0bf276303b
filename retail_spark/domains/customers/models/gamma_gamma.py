"""Gamma-Gamma: what a purchase is worth, shrunk to the whole by how few there were (Fader and Hardie 2013)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

from retail_spark.domains.customers.models.cells import Array

_START = np.log([5.0, 4.0, 15.0])
_BOUNDS = [(-8.0, 14.0)] * 3


@dataclass(frozen=True)
class GammaGamma:
    """Single amounts vary around a customer's mean (gamma: p); means vary between customers (q, v)."""

    p: float
    q: float
    v: float
    name: ClassVar[str] = "gamma_gamma"
    NAMES: ClassVar[tuple[str, ...]] = ("p", "q", "v")

    @property
    def parameters(self) -> dict[str, float]:
        """Name -> value."""
        return {name: getattr(self, name) for name in self.NAMES}

    @classmethod
    def fit(cls, x: Array, mean: Array, customers: Array) -> GammaGamma:
        """The parameters of highest likelihood, by exact gradients.

        Args:
            x: purchases whose mean is known, above 0.
            mean: their mean amount, above 0.
            customers: how many customers are like this.

        Raises:
            ValueError: where no maximum is found.
        """
        scale, size = float(customers.sum()), float(customers @ mean / customers.sum())

        def loss(logs: Array) -> tuple[float, Array]:
            values = np.exp(logs)
            each, gradient = cls(*values)._log_likelihood(x, mean / size)
            return -float(customers @ each) / scale, -(gradient @ customers) * values / scale

        found = minimize(loss, _START - np.array([0.0, 0.0, np.log(size)]), jac=True, method="L-BFGS-B",
                         bounds=[*_BOUNDS[:2], (-14.0, 14.0)],
                         options={"maxiter": 5_000, "ftol": 1e-15, "gtol": 1e-10})  # fmt: skip
        if not np.isfinite(found.fun) or (not found.success and np.abs(found.jac).max() > 1e-4):
            raise ValueError(f"the likelihood has no maximum that could be found: {found.message}")
        p, q, v = np.exp(found.x)
        return cls(p, q, v * size)  # the unit of money is the data's

    def _log_likelihood(self, x: Array, mean: Array) -> tuple[Array, Array]:
        p, q, v = self.p, self.q, self.v
        px, total = p * x, v + x * mean
        each = (gammaln(px + q) - gammaln(px) - gammaln(q) + q * np.log(v) + (px - 1) * np.log(mean)
                + px * np.log(x) - (px + q) * np.log(total))  # fmt: skip
        by_p = x * (digamma(px + q) - digamma(px) + np.log(mean) + np.log(x) - np.log(total))
        by_q = digamma(px + q) - digamma(q) + np.log(v) - np.log(total)
        by_v = q / v - (px + q) / total
        return each, np.vstack([by_p, by_q, by_v])

    def log_likelihood(self, x: Array, mean: Array, customers: Array) -> float:
        """Of all customers."""
        return float(customers @ self._log_likelihood(x, mean)[0])

    def expected_spend(self, x: Array, mean: Array) -> Array:
        """The mean amount of a purchase to come: the customer's own, shrunk to that of all where x is small.

        `x` of 0 gives the mean of all; NaN where the parameters allow none (q not above 1).
        """
        if self.q <= 1:
            return np.where(x > 0, mean, np.nan)
        return self.p * (self.v + x * np.where(x > 0, mean, 0.0)) / (self.p * x + self.q - 1)
