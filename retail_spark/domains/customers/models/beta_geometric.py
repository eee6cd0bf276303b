"""BG/NBD (Fader, Hardie and Lee 2005) and MBG/NBD (Batislam, Denizel and Filiztekin 2007).

Customers buy at a rate of their own (gamma: r, alpha) and leave after a purchase with a chance of their own (beta: a,
b); in MBG/NBD they may leave after the first purchase already, so that who bought once need not be alive.
Time is in weeks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import minimize
from scipy.special import digamma, gammaln, hyp2f1

from retail_spark.domains.customers.models.cells import Array, Cells

_START = np.log([0.5, 5.0, 0.8, 2.5])
_BOUNDS = [(-12.0, 12.0)] * 4
_CLOSE_TO_ONE = 1e-5


@dataclass(frozen=True)
class BetaGeometric:
    """The four parameters, and whether the first purchase may be the last one (MBG/NBD)."""

    r: float
    alpha: float
    a: float
    b: float
    modified: bool = False
    NAMES: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")

    @property
    def name(self) -> str:
        """bg_nbd or mbg_nbd."""
        return "mbg_nbd" if self.modified else "bg_nbd"

    @property
    def parameters(self) -> dict[str, float]:
        """Name -> value."""
        return {name: getattr(self, name) for name in self.NAMES}

    @classmethod
    def fit(cls, cells: Cells, *, modified: bool = False, start: BetaGeometric | None = None) -> BetaGeometric:
        """The parameters of highest likelihood, by exact gradients. Raises ValueError where no maximum is found."""
        known = cells.customers > 0
        cells = Cells(cells.x[known], cells.t_x[known], cells.age[known], cells.customers[known])
        scale = max(cells.total, 1.0)

        def loss(logs: Array) -> tuple[float, Array]:
            values = np.exp(logs)
            r, alpha, a, b = values.tolist()
            model = cls(r, alpha, a, b, modified)
            each, gradient = model._log_likelihood(cells.x, cells.t_x, cells.age)
            return -float(cells.customers @ each) / scale, -(gradient @ cells.customers) * values / scale

        first = _START if start is None else np.log([start.parameters[name] for name in cls.NAMES])
        found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=_BOUNDS,
                         options={"maxiter": 2_000, "ftol": 1e-14, "gtol": 1e-9})  # fmt: skip
        if not np.isfinite(found.fun) or (not found.success and np.abs(found.jac).max() > 1e-4):
            raise ValueError(f"the likelihood has no maximum that could be found: {found.message}")
        r, alpha, a, b = np.exp(found.x).tolist()
        return cls(r, alpha, a, b, modified)

    def log_likelihood(self, cells: Cells) -> float:
        """Of all customers."""
        return float(cells.customers @ self._log_likelihood(cells.x, cells.t_x, cells.age)[0])

    def _log_likelihood(self, x: Array, t_x: Array, age: Array) -> tuple[Array, Array]:
        """By cell, and its gradient by the four parameters (4 x cells)."""
        r, alpha, a, b = self.r, self.alpha, self.a, self.b
        later, ever = (1.0, True) if self.modified else (0.0, False)
        alive = -(r + x) * np.log(alpha + age)
        gone = np.log(a) - np.log(np.where(x + later > 0, b + x + later - 1, 1.0)) - (r + x) * np.log(alpha + t_x)
        gone = np.where((x > 0) | ever, gone, -np.inf)
        both = np.logaddexp(alive, gone)
        each = (gammaln(r + x) - gammaln(r) + r * np.log(alpha)
                + gammaln(a + b) + gammaln(b + x + later) - gammaln(b) - gammaln(a + b + x + later) + both)  # fmt: skip
        is_gone = np.exp(gone - both)
        is_alive = 1 - is_gone
        by_rate = r / alpha - (r + x) * (is_alive / (alpha + age) + is_gone / (alpha + t_x))
        by_r = digamma(r + x) - digamma(r) + np.log(alpha)
        by_r = by_r - is_alive * np.log(alpha + age) - is_gone * np.log(alpha + t_x)
        by_a = digamma(a + b) - digamma(a + b + x + later) + is_gone / a
        by_b = digamma(a + b) + digamma(b + x + later) - digamma(b) - digamma(a + b + x + later)
        by_b = by_b - is_gone / np.where((x > 0) | ever, b + x + later - 1, 1.0)
        return each, np.vstack([by_r, by_rate, by_a, by_b])

    def p_alive(self, x: Array, t_x: Array, age: Array) -> Array:
        """The chance that the customer has not left, share 0..1."""
        later = 1.0 if self.modified else 0.0
        odds = np.log(self.a) - np.log(np.where(x + later > 0, self.b + x + later - 1, 1.0))
        odds = odds + (self.r + x) * (np.log(self.alpha + age) - np.log(self.alpha + t_x))
        alive: Array = np.where((x > 0) | self.modified, 1 / (1 + np.exp(np.minimum(odds, 700.0))), 1.0)
        return alive

    def expected_purchases(self, x: Array, t_x: Array, age: Array, *, weeks: float | Array) -> Array:
        """Purchases in the coming weeks, by what is known of the customer."""
        r, alpha, b = self.r, self.alpha, self.b
        a = self.a if abs(self.a - 1) > _CLOSE_TO_ONE else 1 + _CLOSE_TO_ONE  # the formula has a hole at 1
        later = 1.0 if self.modified else 0.0
        ratio = (alpha + age) / (alpha + age + weeks)
        curve = hyp2f1(r + x, b + x + later, a + b + x + later - 1, weeks / (alpha + age + weeks))
        rest = 1 - np.exp((r + x) * np.log(ratio)) * curve
        found = (a + b + x + later - 1) / (a - 1) * rest * self.p_alive(x, t_x, age)
        return np.asarray(np.maximum(found, 0.0))

    def p_purchase(self, x: Array, t_x: Array, age: Array, *, weeks: float) -> Array:
        """The chance of at least one purchase in the coming weeks, share 0..1."""
        none = np.exp((self.r + x) * (np.log(self.alpha + age) - np.log(self.alpha + age + weeks)))
        return np.asarray(self.p_alive(x, t_x, age) * (1 - none))

    def weeks_to_next(self, x: Array, t_x: Array, age: Array) -> Array:
        """Weeks by which the next purchase has come with a chance of one half; NaN where it may never come."""
        alive = self.p_alive(x, t_x, age)
        left = np.where(alive > 0.5, 1 - 0.5 / np.maximum(alive, 0.5), np.nan)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            weeks = (self.alpha + age) * (np.exp(-np.log(left) / (self.r + x)) - 1)
        return np.where(np.isfinite(weeks), weeks, np.nan)

    def drawn_purchases(
        self, x: Array, t_x: Array, age: Array, *, weeks: float, draws: int, rng: np.random.Generator
    ) -> Array:
        """Draws of the purchases in the coming weeks (customers x draws): who is alive, at what rate, until when."""
        shape = (len(x), draws)
        is_alive = rng.random(shape) < self.p_alive(x, t_x, age)[:, None]
        rate = rng.gamma((self.r + x)[:, None], 1 / (self.alpha + age)[:, None], shape)
        leaves = rng.beta(self.a, (self.b + x + (1.0 if self.modified else 0.0))[:, None], shape)
        until = rng.geometric(np.clip(leaves, 1e-12, 1.0))
        return np.where(is_alive, np.minimum(rng.poisson(rate * weeks), until), 0).astype(np.float64)
