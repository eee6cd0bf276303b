"""Poisson pseudo maximum likelihood with store-product and period effects, for units that are mostly zero or one.

    E[units] = exp(a(store-product) + d(period) + x'b(group))

Zero sales stay in, and the slopes are consistent for the conditional mean whatever the distribution of units
(Gourieroux, Monfort and Trognon 1984; Santos Silva and Tenreyro 2006). Many groups with slopes of their own are fitted
at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from retail_spark.stats.arrays import Array, Codes
from retail_spark.stats.groups import by_group, crossed, padded

_LARGEST = 25.0
"""A slope beyond this is separation: no finite one fits, and nothing is told of it."""
_ALTERNATIONS = 4


@dataclass(frozen=True)
class Panel:
    """Rows of the panel: units, columns (price first), and the codes from 0 of unit, period and slope group."""

    y: Array
    x: Array
    unit: Codes
    period: Codes
    group: Codes


@dataclass(frozen=True)
class PoissonFit:
    """Slopes by group (groups, K); means and the columns net of both effects, by row; and X'WX by group.

    Of a slope that has run off to its bound nothing is told: its columns of `net` and `information` are 0.
    """

    slopes: Array
    mean: Array
    net: Array
    information: Array
    converged: bool


def fit_poisson(panel: Panel, *, rounds: int, tolerance: float = 1e-7, ridge: float = 0.0) -> PoissonFit:
    """Newton steps for the slopes on columns net of both effects, and the effects in closed form between them.

    Units without a sale have no effect and must be left out before. A group of few rows may have no finite slopes
    (nothing was sold where it was promoted): a `ridge`, the precision of a normal prior around 0, gives it some, and
    keeps it from spoiling the effects of all (a weak prior, as in Gelman et al. 2008).
    """
    live = np.union1d([0], np.flatnonzero((panel.x != panel.x[:1]).any(axis=0)))
    fit = _fit(replace(panel, x=panel.x[:, live]), rounds=rounds, tolerance=tolerance, ridge=ridge)
    return _widened(fit, live, panel.x.shape[1])


def _fit(panel: Panel, *, rounds: int, tolerance: float, ridge: float) -> PoissonFit:
    groups, size = int(panel.group.max()) + 1, panel.x.shape[1]
    slopes, change = np.zeros((groups, size)), np.inf
    d = np.zeros(int(panel.period.max()) + 1)
    net = panel.x.copy()
    mean, information = np.zeros_like(panel.y), np.zeros((groups, size, size))
    sold_unit = np.bincount(panel.unit, panel.y)
    sold_period = np.bincount(panel.period, panel.y)
    for _ in range(rounds):
        index = np.exp(np.clip(np.einsum("nk,nk->n", panel.x, slopes[panel.group]), -30, 30))
        for _ in range(_ALTERNATIONS):
            shifted = index * np.exp(d[panel.period])
            a = sold_unit / np.maximum(np.bincount(panel.unit, shifted), 1e-300)
            level = index * a[panel.unit]
            d = np.log(np.maximum(sold_period, 1e-12) / np.maximum(np.bincount(panel.period, level), 1e-300))
        mean = level * np.exp(d[panel.period])
        net = net_of(net, mean, panel, alternations=_ALTERNATIONS)
        information = crossed(net, mean, panel.group, groups)
        score = by_group(net * (panel.y - mean)[:, None], panel.group, groups) - ridge * slopes
        inverse = np.linalg.pinv(information + ridge * np.eye(size), rcond=1e-9, hermitian=True)
        step = np.clip(np.einsum("gkl,gl->gk", inverse, score), -1.0, 1.0)
        before, slopes = slopes, np.clip(slopes + step, -_LARGEST, _LARGEST)
        change = float(np.abs(slopes - before).max())
        if change < tolerance:
            break
    is_told = np.abs(slopes) < _LARGEST
    information = information * (is_told[:, :, None] & is_told[:, None, :])
    return PoissonFit(slopes, mean, net * is_told[panel.group], information, change < tolerance)


def _widened(fit: PoissonFit, live: Codes, size: int) -> PoissonFit:
    """The same with the columns that do not vary, of which nothing is told."""
    slopes, net = (padded(values, live, size, axes=1) for values in (fit.slopes, fit.net))
    return replace(fit, slopes=slopes, net=net, information=padded(fit.information, live, size, axes=2))


def net_of(columns: Array, weights: Array, panel: Panel, *, alternations: int) -> Array:
    """The columns less their weighted means by unit and by period, in turn."""
    net = columns
    per_unit = np.maximum(np.bincount(panel.unit, weights), 1e-300)
    per_period = np.maximum(np.bincount(panel.period, weights), 1e-300)
    for _ in range(alternations):
        net = net - _means(net, weights, panel.period, per_period)[panel.period]
        net = net - _means(net, weights, panel.unit, per_unit)[panel.unit]
    return net


def _means(columns: Array, weights: Array, codes: Codes, total: Array) -> Array:
    sums = [np.bincount(codes, columns[:, k] * weights, minlength=len(total)) for k in range(columns.shape[1])]
    return np.stack(sums, axis=1) / total[:, None]
