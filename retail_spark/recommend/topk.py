"""The k best of every row of a score matrix, in numpy: exact, vectorised, with ties decided by place."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Integers = npt.NDArray[np.integer[Any]]

ABSENT = np.float32(-1)
"""The score of what may not be in the list, and of a list's empty end. Every other score is 0 or more."""
_NOISE_BITS = 4
"""Lowest bits of a float32 score that are rounded away before ranking: products whose scores differ by less than a
millionth are ties, decided by product_id, and the order of a sum inside BLAS or Spark decides nothing."""
_SLACK = np.float32(1 - 4e-6)
_GROUPS = 512


def best_places(
    scores: Floats, *, k: int, categories: Integers | None = None, quota: int | None = None
) -> tuple[Ints, Floats]:
    """Places and scores (each n x k) of the k highest scores of each row, ties by place; ABSENT where a list ends.

    With a `quota`, at most so many of one of `categories` (one code a column) enter a row: the greedy list in the
    order of scores. Only entries that can be among the best are sorted.
    """
    n, width = scores.shape
    k = min(k, width)
    if quota is None or categories is None:
        return _padded(*_sorted(scores, _candidates(scores, k)), n=n, k=k)
    wanted, todo = k, np.arange(n)
    places, best = np.zeros((n, k), dtype=np.int32), np.full((n, k), ABSENT, dtype=np.float32)
    while len(todo):
        wanted = min(4 * wanted, width)
        row, place, score = _sorted(scores[todo], _candidates(scores[todo], wanted))
        kept = _within_quota(row, categories[place], quota)
        found = _padded(row[kept], place[kept], score[kept], n=len(todo), k=k)
        places[todo], best[todo] = found
        todo = todo[:0] if wanted == width else todo[found[1][:, -1] < 0]
    return places, best


def merged(
    rows: Integers, codes: Integers, scores: Floats, *, n: int, k: int, categories: Integers, quota: int | None
) -> tuple[Ints, Floats]:
    """The k best of each of n rows out of flat entries (row, code, score), ties by code; as `best_places`.

    `categories` holds one code for each entry.
    """
    order = np.lexsort((codes, -scores, rows))
    order = order[scores[order] >= 0]
    if quota is not None:
        order = order[_within_quota(rows[order], categories[order], quota)]
    return _padded(rows[order], codes[order], scores[order], n=n, k=k)


def without_noise(scores: Floats) -> Floats:
    """Scores with the lowest bits rounded away; order is kept."""
    half, mask = np.int32(1 << (_NOISE_BITS - 1)), np.int32(-(1 << _NOISE_BITS))
    return ((scores.view(np.int32) + half) & mask).view(np.float32)


def _candidates(scores: Floats, k: int) -> Integers:
    """Flat places of all entries that can be among the k best of their row, ties included.

    The k-th highest of the maxima of disjoint groups is no more than the k-th highest of all: what lies below it
    is out, and two passes over the matrix find the rest.
    """
    n, width = scores.shape
    groups = max(_GROUPS, 8 * k)
    size = width // groups
    if size < 2:
        bar = np.partition(scores, width - k, axis=1)[:, width - k]
    else:
        highest = scores[:, : groups * size].reshape(n, size, groups).max(axis=1)
        bar = np.partition(highest, groups - k, axis=1)[:, groups - k]
    bar = np.maximum(bar * _SLACK, np.float32(0))
    return np.flatnonzero(scores >= bar[:, None])


def _sorted(scores: Floats, flat: Integers) -> tuple[Integers, Integers, Floats]:
    """Row, place and score of the flat entries, by row, then the highest first, then place."""
    row, place = np.divmod(flat, scores.shape[1])
    found = without_noise(scores.ravel()[flat])
    order = np.lexsort((place, -found, row))
    return row[order], place[order], found[order]


def _within_quota(row: Integers, category: Integers, quota: int) -> npt.NDArray[np.bool_]:
    """True for the first `quota` entries of each (row, category), in the order given (rows together)."""
    order = np.lexsort((np.arange(len(row)), category, row))
    starts = np.ones(len(row), dtype=bool)
    starts[1:] = (row[order][1:] != row[order][:-1]) | (category[order][1:] != category[order][:-1])
    inside = np.arange(len(row)) - np.maximum.accumulate(np.where(starts, np.arange(len(row)), 0))
    kept = np.empty(len(row), dtype=bool)
    kept[order] = inside < quota
    return kept


def _padded(row: Integers, place: Integers, score: Floats, *, n: int, k: int) -> tuple[Ints, Floats]:
    """The first k entries of each row, as n x k; place 0 and score ABSENT where there are fewer."""
    start = np.searchsorted(row, np.arange(n))
    at = np.arange(len(row)) - start[row]
    kept = at < k
    places, scores = np.zeros((n, k), dtype=np.int32), np.full((n, k), ABSENT, dtype=np.float32)
    places[row[kept], at[kept]] = place[kept]
    scores[row[kept], at[kept]] = score[kept]
    return places, scores
