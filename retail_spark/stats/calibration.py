"""From margins to probabilities: Platt's logistic curve, or isotonic steps drawn straight. numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from retail_spark.stats.arrays import Array

_SMALLEST = 1e-4
_SLOPE_PRIOR = 5.0
_LEAST_SLOPE = 0.2
"""A slice whose order the first booster got wrong must not turn the order of the second into noise."""


@dataclass(frozen=True)
class Calibration:
    """A rising curve from margin to probability.

    platt: 1 / (1 + exp(-(slope x margin + intercept))); isotonic: straight lines through the points, flat beyond.
    """

    kind: str
    slope: float = 1.0
    intercept: float = 0.0
    margins: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()

    def __call__(self, margins: Array) -> Array:
        """Probabilities, never quite 0 or 1."""
        if self.kind == "isotonic":
            found = np.interp(margins, self.margins, self.shares)
        else:
            found = sigmoid(self.slope * margins + self.intercept)
        return np.clip(found, _SMALLEST, 1 - _SMALLEST)

    def to_json(self) -> dict[str, Any]:
        """JSON values; `from_json` reads them back."""
        return {
            "kind": self.kind, "slope": self.slope, "intercept": self.intercept,
            "margins": list(self.margins), "shares": list(self.shares),
        }  # fmt: skip

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Calibration:
        """What `to_json` wrote."""
        return cls(**{**given, "margins": tuple(given["margins"]), "shares": tuple(given["shares"])})


IDENTITY = Calibration("none")


def sigmoid(margins: Array) -> Array:
    """1 / (1 + exp(-margin)), without overflow."""
    small = np.exp(-np.abs(margins))
    return np.where(margins >= 0, 1 / (1 + small), small / (1 + small))


def calibrate(margins: Array, labels: Array, weights: Array, *, kind: str, prior: float = 0.0) -> Calibration:
    """The curve that fits these margins and labels (0 or 1); the identity where the labels are all alike.

    `prior` draws Platt's curve to the identity as if so many of the lines, as a share of them, had told it. It grows
    with the lines: what one slice missed is the drift of its time in part, which no number of lines averages out.

    Platt (1999), with his targets drawn away from 0 and 1; isotonic by pooling adjacent violators.
    """
    late = float(np.sum(weights * labels))
    total = float(np.sum(weights))
    if kind == "none" or late <= 0 or late >= total:
        return IDENTITY
    if kind == "isotonic":
        heard = weights > 0
        return _isotonic(margins[heard], labels[heard], weights[heard])
    high, low = (late + 1) / (late + 2), 1 / (total - late + 2)
    return _platt(margins, np.where(labels > 0.5, high, low), weights, prior=prior * total)


def _platt(margins: Array, targets: Array, weights: Array, *, prior: float) -> Calibration:
    """Slope and intercept, both drawn to the identity (1 and 0); the slope the more: what moves from year to year is
    how many are late, not how well the margins tell them apart."""
    design = np.column_stack([margins, np.ones_like(margins)])
    ridge = np.array([_SLOPE_PRIOR, 1.0]) * max(prior, 1e-6)
    slope, intercept = fit_logistic(design, targets, weights, ridge=ridge, start=np.array([1.0, 0.0]))
    return Calibration("platt", slope=max(float(slope), _LEAST_SLOPE), intercept=float(intercept))


def fit_logistic(design: Array, targets: Array, weights: Array, *, ridge: Array, start: Array) -> Array:
    """Coefficients of a logistic curve by Newton's method, each drawn to its start by its ridge."""
    beta = start
    for _ in range(100):
        found = sigmoid(design @ beta)
        gradient = design.T @ (weights * (found - targets)) + ridge * (beta - start)
        curvature = (design * (weights * found * (1 - found))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        beta = beta - step
        if np.abs(step).max() < 1e-10:
            break
    return beta


def _isotonic(margins: Array, labels: Array, weights: Array) -> Calibration:
    order = np.argsort(margins, kind="stable")
    blocks: list[list[float]] = []  # share, weight, sum of margins
    for margin, label, weight in zip(margins[order], labels[order], weights[order], strict=True):
        blocks.append([float(label), float(weight), float(margin * weight)])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            share, own, moment = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + share * own) / (last[1] + own)
            last[1], last[2] = last[1] + own, last[2] + moment
    middles = tuple(moment / own for _, own, moment in blocks)
    return Calibration("isotonic", margins=middles, shares=tuple(block[0] for block in blocks))
