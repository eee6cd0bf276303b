"""Levels drawn together: what each was foretold by itself, adjusted so that all of them add up.

MinT with a diagonal of variances (WLS; Wickramasinghe, Athanasopoulos and Hyndman 2019) in its dual form: the bottom
moves by V C' (C V C' + U)^-1 (a - C b), where b and V are means and variances of the bottom, a and U those of the
levels above, and C says who adds up to whom. C is sparse and the system has a row an upper member; it is solved by
conjugate gradients, so no matrix is ever dense.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import cg

from retail_spark.stats.arrays import Array

_ROUNDS = 8
_PRECISION = 1e-10


def reconcile(bottom: Array, variance: Array, *, sums: csr_array, upper: Array, upper_variance: Array) -> Array:
    """The bottom, moved towards what the levels above say; never negative.

    `sums` is C, (members above, bottom), ones. A series that would fall below 0 is held there, and the others are
    moved again. What the levels above are then is `sums` times the answer, so that all add up.
    """
    free = np.ones(len(bottom), dtype=bool)
    found = bottom
    for _ in range(_ROUNDS):
        weights = np.where(free, variance, 0.0)
        start = np.where(free, bottom, 0.0)
        system = (sums * weights[None, :]) @ sums.T + diags_array(upper_variance)
        gap = upper - sums @ start
        moved, _ = cg(system.tocsr(), gap, rtol=_PRECISION, maxiter=2000, M=diags_array(1 / system.diagonal()))
        found = start + weights * (sums.T @ moved)
        below = free & (found < 0)
        if not below.any():
            break
        free &= ~below
    return np.asarray(np.maximum(found, 0.0))


def sums_of(members: Mapping[str, npt.NDArray[np.str_]]) -> tuple[csr_array, list[tuple[str, str]]]:
    """C, and (level, member) of each of its rows. `members` is level -> the member of every bottom series."""
    rows, columns = [], []
    names: list[tuple[str, str]] = []
    for level, of in members.items():
        codes, found = pd.factorize(of, sort=True)
        rows.append(codes + len(names))
        columns.append(np.arange(len(of)))
        names += [(level, str(member)) for member in found]
    row, column = np.concatenate(rows), np.concatenate(columns)
    return csr_array((np.ones(len(row)), (row, column)), shape=(len(names), len(column) // len(members))), names


def reconciled_rows(rows: pd.DataFrame, *, levels: list[str]) -> pd.DataFrame:
    """One date: the bottom's rows with their reconciled mean.

    Takes bottom rows (level empty; a column of members for each of `levels`; mean, variance and status) and rows
    above them (level, member, mean, variance). A member above without a forecast of its own has no say. A bottom row
    that failed stays as it is: what lies above was forecast without it.
    """
    every = rows[rows["level"] == ""].sort_values(["store_id", "product_id"]).reset_index(drop=True)
    bottom = every[every["status"] != "failed"].reset_index(drop=True)
    failed = every[every["status"] == "failed"].assign(reconciled=lambda found: found["mean"])
    if not len(bottom):
        return failed
    sums, names = sums_of({level: bottom[f"in_{level}"].to_numpy(dtype=str) for level in levels})
    above = rows[rows["level"] != ""].set_index(["level", "member"])[["mean", "variance"]]
    told = above.reindex(pd.MultiIndex.from_tuples(names)).to_numpy()
    has_say = np.isfinite(told).all(axis=1)
    base, spread = bottom["mean"].to_numpy(), bottom["variance"].to_numpy()
    moved = base
    if has_say.any():
        spread_above = np.maximum(told[has_say, 1], 1e-9)
        moved = reconcile(base, spread, sums=sums[has_say], upper=told[has_say, 0], upper_variance=spread_above)
    return pd.concat([bottom.assign(reconciled=moved), failed], ignore_index=True)
