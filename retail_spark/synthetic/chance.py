"""Chance by hashing: every draw is a function of (seed, what, keys) alone.

So a value never depends on the number of cores or partitions, on the order of rows, or on a second computation of
the same row, as it would with rand(). Each draw hashes its keys with xxhash64 and turns 53 of the 64 bits into a
uniform number strictly between 0 and 1.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import reduce
from operator import add

from pyspark.sql import Column
from pyspark.sql import functions as F


@dataclass(frozen=True)
class Chance:
    """The dice of one retailer. `what` names a draw, so that two draws with the same keys are independent."""

    seed: int

    def bits(self, what: str, *keys: Column) -> Column:
        """64 random bits as a BIGINT. Keys are whole numbers; their width does not matter."""
        digest = hashlib.blake2b(f"{self.seed}:{what}".encode(), digest_size=8).digest()
        salt = F.lit(int.from_bytes(digest, "big", signed=True)).cast("bigint")
        return F.xxhash64(salt, *[key.cast("bigint") for key in keys])

    def uniform(self, what: str, *keys: Column) -> Column:
        """Uniform between 0 and 1, neither of them reached."""
        return uniform_of(self.bits(what, *keys))

    def happens(self, what: str, probability: float | Column, *keys: Column) -> Column:
        """True with the probability."""
        return self.uniform(what, *keys) < probability

    def pick(self, what: str, choices: int | Column, *keys: Column) -> Column:
        """A whole number from 0 to choices - 1, all equally likely."""
        return F.floor(self.uniform(what, *keys) * choices).cast("int")

    def normal(self, what: str, *keys: Column) -> Column:
        """Standard normal, by Box and Muller."""
        radius = F.sqrt(F.lit(-2.0) * F.ln(self.uniform(what, *keys)))
        return radius * F.cos(F.lit(2 * math.pi) * self.uniform(f"{what}/angle", *keys))

    def lognormal(self, what: str, spread: float, *keys: Column) -> Column:
        """Lognormal with mean 1; `spread` is the standard deviation of its logarithm."""
        return F.exp(F.lit(spread) * self.normal(what, *keys) - F.lit(spread * spread / 2))

    def geometric(self, what: str, mean: float | Column, *keys: Column) -> Column:
        """A count from 0 with P(at least k) = q^k, q = mean / (1 + mean). `mean` above 0."""
        expected = F.lit(float(mean)) if isinstance(mean, int | float) else mean
        ratio = expected / (F.lit(1.0) + expected)
        uniform = self.uniform(what, *keys)
        # Most draws are 0: the logarithms are only taken for the others.
        return F.when(uniform > ratio, F.lit(0)).otherwise(F.floor(F.ln(uniform) / F.ln(ratio)).cast("int"))

    def negative_binomial(self, what: str, mean: Column, shape: int, *keys: Column) -> Column:
        """A count with the mean and variance mean + mean^2 / shape, as a sum of `shape` geometric counts."""
        share = mean / F.lit(float(shape))
        draws = [self.geometric(f"{what}/{part}", share, *keys) for part in range(shape)]
        return sum(draws[1:], draws[0])


def uniform_of(bits: Column) -> Column:
    """64 random bits as a uniform number strictly between 0 and 1."""
    return (F.shiftrightunsigned(bits, 11).cast("double") + F.lit(0.5)) * F.lit(2.0**-53)


def label(prefix: str, index: Column, width: int) -> Column:
    """An id such as P000012; wider numbers stay whole."""
    digits = index.cast("string")
    return F.concat(F.lit(prefix), F.lpad(digits, F.greatest(F.length(digits), F.lit(width)), F.lit("0")))


def one_of(names: tuple[str | None, ...] | tuple[str, ...], index: Column) -> Column:
    """The name at the index, from 0."""
    return F.element_at(F.array(*[F.lit(name) for name in names]), index.cast("int") + F.lit(1))


def shares_of(weights: Column) -> Column:
    """An array of positive weights, scaled to add up to 1."""
    total = F.aggregate(weights, F.lit(0.0), lambda sum_, weight: sum_ + weight)
    return F.transform(weights, lambda weight: weight / total)


def cuts_of(shares: Column) -> Column:
    """Cumulated shares: what a uniform number is compared with to choose by them."""
    start = F.struct(F.lit(0.0).alias("sum"), F.array().cast("array<double>").alias("cuts"))

    def next_cut(so_far: Column, share: Column) -> Column:
        upto = so_far["sum"] + share
        return F.struct(upto.alias("sum"), F.concat(so_far["cuts"], F.array(upto)).alias("cuts"))

    return F.aggregate(shares, start, next_cut, lambda done: done["cuts"])


def draw_of(cuts: Column, uniform: Column, *, choices: int) -> Column:
    """The choice, from 0, that a uniform number falls on."""
    above = [(uniform > F.element_at(cuts, at + 1)).cast("int") for at in range(choices - 1)]
    return reduce(add, above)
