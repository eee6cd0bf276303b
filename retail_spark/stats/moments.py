"""Means and covariances of a group, from values or from exact sums that Spark made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations_with_replacement

import numpy as np

from retail_spark.stats.arrays import Array


@dataclass(frozen=True)
class ExactSums:
    """How many units, the sum of each variable and of each product of two, without any rounding: they can be added.

    >>> one = ExactSums.of_values([[1.0], [2.0]])
    >>> (one + one).moments.mean.tolist()
    [1.5]
    """

    count: int
    first: tuple[Fraction, ...]
    """The sum of each variable."""
    second: tuple[Fraction, ...]
    """The sum of the products of each pair, in the order of `pairs`."""

    @classmethod
    def none(cls, variables: int) -> ExactSums:
        """The sums over no unit at all."""
        return cls(0, (Fraction(0),) * variables, (Fraction(0),) * len(pairs(variables)))

    @classmethod
    def of_values(cls, rows: Sequence[Sequence[float]]) -> ExactSums:
        """The sums over units (rows) of variables (columns)."""
        exact = [[Fraction(value) for value in row] for row in rows]
        variables = len(exact[0])
        first = tuple(sum((row[n] for row in exact), Fraction(0)) for n in range(variables))
        second = tuple(sum((row[a] * row[b] for row in exact), Fraction(0)) for a, b in pairs(variables))
        return cls(len(exact), first, second)

    def __add__(self, other: ExactSums) -> ExactSums:
        return ExactSums(
            self.count + other.count,
            tuple(a + b for a, b in zip(self.first, other.first, strict=True)),
            tuple(a + b for a, b in zip(self.second, other.second, strict=True)),
        )

    @cached_property
    def moments(self) -> Moments:
        """Means and covariances; the division is the only rounding. Raises ValueError below two units."""
        if self.count < 2:
            raise ValueError("a variance needs two units")
        size = len(self.first)
        covariance = np.empty((size, size))
        for (a, b), product in zip(pairs(size), self.second, strict=True):
            centred = product - self.first[a] * self.first[b] / self.count
            covariance[a, b] = covariance[b, a] = float(centred / (self.count - 1))
        return Moments(self.count, np.array([float(total / self.count) for total in self.first]), covariance)


@dataclass(frozen=True)
class Moments:
    """Count, means (variables) and sample covariances (variables x variables) of a group of units."""

    count: int
    mean: Array
    covariance: Array

    @classmethod
    def of_values(cls, values: Array) -> Moments:
        """From an array of units x variables.

        >>> Moments.of_values(np.array([[1.0], [3.0]])).covariance.tolist()
        [[2.0]]
        """
        return cls(len(values), values.mean(axis=0), np.atleast_2d(np.cov(values, rowvar=False, ddof=1)))

    def __add__(self, other: Moments) -> Moments:
        """The moments of both groups together (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        apart = other.mean - self.mean
        within = (self.count - 1) * self.covariance + (other.count - 1) * other.covariance
        between = np.outer(apart, apart) * (self.count * other.count / count)
        return Moments(count, self.mean + apart * (other.count / count), (within + between) / (count - 1))


def pairs(variables: int) -> list[tuple[int, int]]:
    """The pairs of variables, each with itself as well.

    >>> pairs(2)
    [(0, 0), (0, 1), (1, 1)]
    """
    return list(combinations_with_replacement(range(variables), 2))
