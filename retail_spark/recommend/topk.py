"""The k best of every customer, in numpy: exact, vectorised, ties decided by place, and never a whole score matrix."""

from __future__ import annotations

from dataclasses import dataclass
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
_ROWS, _WIDTH, _GROUPS = 128, 4096, 64
"""Customers and products of one matrix product, 2 MB that stay in the cache; groups whose maxima bound a row's k-th."""


@dataclass(frozen=True)
class Entries:
    """Scores as flat entries: of row, for the product at place."""

    row: Integers
    place: Integers
    score: Floats

    def only(self, chosen: npt.NDArray[Any]) -> Entries:
        """The entries at these places, or where the flags are set."""
        return Entries(self.row[chosen], self.place[chosen], self.score[chosen])


@dataclass(frozen=True)
class Board:
    """Scores of n customers for m products: max(0, left @ right) + popular, plus what `own` adds or takes away.

    `right` is rank x m; None for both factors means that nobody has any affinity. `own` are entries sorted by row with
    the whole score of products bought before; with `leaves_out` these products may not be in the list at all.
    """

    n: int
    left: Floats | None
    right: Floats | None
    popular: Floats
    own: Entries
    leaves_out: bool

    def best(self, k: int, *, categories: Integers | None = None, quota: int | None = None) -> tuple[Ints, Floats]:
        """Places and scores (each n x k) of the k best of each row, ties by place; ABSENT where a list ends.

        With a `quota`, at most so many of one of `categories` (one code a product) enter a row: the greedy list in
        the order of scores.
        """
        width = len(self.popular)
        if quota is None or categories is None:
            return _padded(self._candidates(k), n=self.n, k=k)
        wanted = k
        while True:
            wanted = min(4 * wanted, width)
            found = self._candidates(wanted)
            kept = found.only(_within_quota(found.row, categories[found.place], quota))
            if wanted == width or (np.bincount(kept.row, minlength=self.n) >= k).all():
                return _padded(kept, n=self.n, k=k)

    def _candidates(self, k: int) -> Entries:
        """Every entry that can be among the k best of its row, by row, then the highest first, then place."""
        k = min(k, len(self.popular))
        parts = [] if self.leaves_out else [self.own]
        bar = np.zeros(self.n, dtype=np.float32)
        if self.left is not None and self.right is not None:
            tiles = [
                np.ascontiguousarray(self.right[:, at : at + _WIDTH]) for at in range(0, len(self.popular), _WIDTH)
            ]
            room = np.empty(_ROWS * _WIDTH, dtype=np.float32), np.empty(_ROWS * _WIDTH, dtype=np.bool_)
            for first in range(0, self.n, _ROWS):
                rows = slice(first, min(first + _ROWS, self.n))
                open_, bar[rows] = self._by_affinity(self.left[rows], tiles, rows=rows, k=k, room=room)
                parts.append(open_)
        parts.append(self._by_popularity(np.flatnonzero(bar <= self.popular.max(initial=0)), k))
        return _sorted(_union([part for part in parts if len(part.row)]))

    def _by_affinity(
        self,
        left: Floats,
        tiles: list[Floats],
        *,
        rows: slice,
        k: int,
        room: tuple[Floats, npt.NDArray[np.bool_]],
    ) -> tuple[Entries, Floats]:
        """Entries above the bar, and the bar itself: no more than the k-th best of a row, and 0 or more.

        The k-th highest of the maxima of disjoint groups is no more than the k-th highest of all, so what lies
        below it is out; only the few entries above leave the matrix. `room` is where a tile's scores and flags go:
        fresh memory for each would cost a third of the product.
        """
        n = rows.stop - rows.start
        mine = self.own.only(slice(*np.searchsorted(self.own.row, (rows.start, rows.stop))))  # type: ignore[arg-type]
        best = np.full((n, k), -np.inf, dtype=np.float32)
        bar = np.zeros(n, dtype=np.float32)
        has_popular = bool(self.popular.any())
        found = []
        for number, tile in enumerate(tiles):
            at, width = number * _WIDTH, tile.shape[1]
            scores = np.matmul(left, tile, out=room[0][: n * width].reshape(n, width))
            if has_popular:
                scores += self.popular[at : at + width]
            if self.leaves_out:
                here = (mine.place >= at) & (mine.place < at + width)
                scores[mine.row[here] - rows.start, mine.place[here] - at] = -np.inf
            if number & (number + 1) == 0:  # at tiles 0, 1, 3, 7, ...: each bar serves as many as came before it
                best = _k_best(np.concatenate([best, _group_maxima(scores, k)], axis=1), k)
                bar = np.maximum(best.min(axis=1) * _SLACK, np.float32(0))
            flags = np.greater_equal(scores, bar[:, None], out=room[1][: n * width].reshape(n, width))
            row, place = np.divmod(np.flatnonzero(flags), width)
            found.append(Entries(row, place + at, scores[row, place]))
        joined = found[0] if len(found) == 1 else _union(found, unique=True)
        kept = joined.only(joined.score >= bar[joined.row])
        return Entries(kept.row + rows.start, kept.place, np.maximum(kept.score, self.popular[kept.place])), bar

    def _by_popularity(self, rows: Integers, k: int) -> Entries:
        """The best of each row by popularity alone: what is there for products without affinity.

        Where such a product has an affinity after all, its entry by affinity is higher and wins, or lies below the
        bar and decides nothing.
        """
        order = np.lexsort((np.arange(len(self.popular)), -without_noise(self.popular)))
        bought = np.bincount(self.own.row, minlength=self.n) if self.leaves_out else np.zeros(self.n, dtype=np.int64)
        counts = np.minimum(k + bought[rows], len(order))
        row = np.repeat(rows, counts)
        place = order[np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)]
        entries = Entries(row, place, self.popular[place])
        if not self.leaves_out:
            return entries
        width = len(self.popular)
        seen = np.sort(self.own.row.astype(np.int64) * width + self.own.place)
        keys = row.astype(np.int64) * width + place
        at = np.minimum(np.searchsorted(seen, keys), max(len(seen) - 1, 0))
        return entries.only(seen[at] != keys) if len(seen) else entries


def merged(
    entries: Entries, *, n: int, k: int, categories: Integers | None = None, quota: int | None = None
) -> tuple[Ints, Floats]:
    """The k best of each of n rows out of the best of its parts, ties by place; `categories` has one code an entry."""
    order = np.lexsort((entries.place, -entries.score, entries.row))
    order = order[entries.score[order] >= 0]
    if quota is not None and categories is not None:
        order = order[_within_quota(entries.row[order], categories[order], quota)]
    return _padded(entries.only(order), n=n, k=k)


def without_noise(scores: Floats) -> Floats:
    """Scores with the lowest bits rounded away; order is kept."""
    half, mask = np.int32(1 << (_NOISE_BITS - 1)), np.int32(-(1 << _NOISE_BITS))
    return ((np.ascontiguousarray(scores).view(np.int32) + half) & mask).view(np.float32)


def _group_maxima(scores: Floats, k: int) -> Floats:
    """The maxima of disjoint groups of each row's entries: at least 3 k groups, or every entry for itself."""
    groups = max(_GROUPS, 3 * k)
    size = scores.shape[1] // groups
    if size < 2:
        return scores
    highest = scores[:, : groups * size].reshape(len(scores), size, groups).max(axis=1)
    return np.concatenate([highest, scores[:, groups * size :]], axis=1)


def _k_best(values: Floats, k: int) -> Floats:
    width = values.shape[1]
    return values if width <= k else np.partition(values, width - k, axis=1)[:, width - k :]


def _union(parts: list[Entries], *, unique: bool = False) -> Entries:
    """All entries; of several for one product of a row the highest, unless they are known to be `unique`."""
    if not parts:
        return Entries(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    whole = Entries(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "place", "score")))
    if unique or len(parts) == 1:
        return whole
    order = np.lexsort((-whole.score, whole.place, whole.row))
    row, place = whole.row[order], whole.place[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (row[1:] != row[:-1]) | (place[1:] != place[:-1])
    return whole.only(order[first])


def _sorted(entries: Entries) -> Entries:
    quiet = Entries(entries.row, entries.place, without_noise(entries.score.astype(np.float32)))
    return quiet.only(np.lexsort((quiet.place, -quiet.score, quiet.row)))


def _within_quota(row: Integers, category: Integers, quota: int) -> npt.NDArray[np.bool_]:
    """True for the first `quota` entries of each (row, category), in the order given (rows together)."""
    order = np.lexsort((np.arange(len(row)), category, row))
    starts = np.ones(len(row), dtype=bool)
    starts[1:] = (row[order][1:] != row[order][:-1]) | (category[order][1:] != category[order][:-1])
    inside = np.arange(len(row)) - np.maximum.accumulate(np.where(starts, np.arange(len(row)), 0))
    kept = np.empty(len(row), dtype=bool)
    kept[order] = inside < quota
    return kept


def _padded(entries: Entries, *, n: int, k: int) -> tuple[Ints, Floats]:
    """The first k entries of each row, as n x k; place 0 and score ABSENT where there are fewer."""
    start = np.searchsorted(entries.row, np.arange(n))
    at = np.arange(len(entries.row)) - start[entries.row]
    kept = at < k
    places, scores = np.zeros((n, k), dtype=np.int32), np.full((n, k), ABSENT, dtype=np.float32)
    places[entries.row[kept], at[kept]] = entries.place[kept]
    scores[entries.row[kept], at[kept]] = entries.score[kept]
    return places, scores
