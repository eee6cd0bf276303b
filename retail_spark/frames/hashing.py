"""Samples by hash: the same rows on one core, on two and on a cluster."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

_BUCKETS = 1_000_003


def chance_of(*keys: str, seed: int) -> Column:
    """A number in 0..1 that depends on the columns `keys` and the seed alone: below a share, for that share of keys."""
    return F.pmod(F.xxhash64(F.lit(seed), *keys), F.lit(_BUCKETS)) / F.lit(float(_BUCKETS))
