"""Pareto/NBD (Schmittlein, Morrison and Colombo 1987), by the formulas of Fader and Hardie (2005). Time is in weeks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, hyp2f1

from retail_spark.domains.customers.models.cells import Array, Cells

_START = np.log([0.5, 10.0, 0.5, 10.0])
_BOUNDS = [(-8.0, 8.0)] * 4


@dataclass(frozen=True)
class Pareto:
    """Customers buy at rates (gamma: r, alpha) and leave at rates (gamma: s, beta), both their own."""

    r: float
    alpha: float
    s: float
    beta: float
    name: ClassVar[str] = "pareto_nbd"
    NAMES: ClassVar[tuple[str, ...]] = ("r", "alpha", "s", "beta")

    @property
    def parameters(self) -> dict[str, float]:
        """Name -> value."""
        return {name: getattr(self, name) for name in self.NAMES}

    @classmethod
    def fit(cls, cells: Cells) -> Pareto:
        """The parameters of highest likelihood. Raises ValueError where no maximum is found."""
        scale = max(cells.total, 1.0)

        def loss(logs: Array) -> float:
            found = -cls(*np.exp(logs)).log_likelihood(cells) / scale
            return found if np.isfinite(found) else 1e9

        found = minimize(loss, _START, method="L-BFGS-B", bounds=_BOUNDS, options={"maxiter": 500})
        found = minimize(loss, found.x, method="Nelder-Mead", bounds=_BOUNDS,
                         options={"maxiter": 4_000, "xatol": 1e-7, "fatol": 1e-12})  # fmt: skip
        if not np.isfinite(found.fun) or found.fun >= 1e9:
            raise ValueError(f"the likelihood has no maximum that could be found: {found.message}")
        return cls(*np.exp(found.x))

    def log_likelihood(self, cells: Cells) -> float:
        """Of all customers."""
        r, alpha, s, beta = self.r, self.alpha, self.s, self.beta
        x, age = cells.x, cells.age
        alive = -(r + x) * np.log(alpha + age) - s * np.log(beta + age)
        gone = np.log(s) - np.log(r + s + x) + self._log_a0(x, cells.t_x, age)
        each = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + np.logaddexp(alive, gone)
        return float(cells.customers @ each)

    def _log_a0(self, x: Array, t_x: Array, age: Array) -> Array:
        most, least = max(self.alpha, self.beta), min(self.alpha, self.beta)
        power = self.r + self.s + x
        other = self.s + 1 if self.alpha >= self.beta else self.r + x

        def term(time: Array) -> Array:
            curve = hyp2f1(power, other, power + 1, (most - least) / (most + time))
            return np.asarray(np.log(curve) - power * np.log(most + time))

        first, second = term(t_x), term(age)
        with np.errstate(divide="ignore"):
            return np.asarray(first + np.log1p(-np.exp(np.minimum(second - first, 0.0))))

    def p_alive(self, x: Array, t_x: Array, age: Array) -> Array:
        """The chance that the customer has not left, share 0..1."""
        odds = np.log(self.s) - np.log(self.r + self.s + x) + self._log_a0(x, t_x, age)
        odds = odds + (self.r + x) * np.log(self.alpha + age) + self.s * np.log(self.beta + age)
        return np.asarray(1 / (1 + np.exp(np.minimum(odds, 700.0))))

    def expected_purchases(self, x: Array, t_x: Array, age: Array, *, weeks: float | Array) -> Array:
        """Purchases in the coming weeks, by what is known of the customer."""
        s = self.s if abs(self.s - 1) > 1e-6 else 1 + 1e-6  # the formula has a hole at 1
        left = 1 - np.exp((s - 1) * (np.log(self.beta + age) - np.log(self.beta + age + weeks)))
        rate = (self.r + x) * (self.beta + age) / ((self.alpha + age) * (s - 1))
        return np.asarray(rate * left * self.p_alive(x, t_x, age))
