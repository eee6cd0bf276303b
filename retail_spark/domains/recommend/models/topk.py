"""The k best of every customer, in numpy: exact, vectorised, ties decided by place, and never a whole score matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
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
_SLACK, _ZERO = np.float32(1 - 4e-6), np.float32(0)
_LOW = np.int64((1 << 27) - 1)
"""The 27 bits of a score without sign and noise, and of a place: a block holds fewer than 134 million products."""
_ROWS, _WIDTH, _GROUPS = 256, 32_768, 256
"""Customers and products of one matrix product, 32 MB at most; groups whose maxima bound a row's k-th."""


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
        tiles = []
        if self.left is not None and self.right is not None:
            starts = range(0, len(self.popular), _WIDTH)
            tiles = [np.ascontiguousarray(self.right[:, at : at + _WIDTH]) for at in starts]
        room = np.empty(_ROWS * _WIDTH, dtype=np.float32), np.empty(_ROWS * _WIDTH, dtype=np.bool_)
        chunks = [slice(first, min(first + _ROWS, self.n)) for first in range(0, self.n, _ROWS)]
        return _joined([self._best_of(rows, tiles, k=k, room=room) for rows in chunks])

    def _best_of(
        self, rows: slice, tiles: list[Floats], *, k: int, room: tuple[Floats, npt.NDArray[np.bool_]]
    ) -> Entries:
        """The candidates of a few rows."""
        ends = np.searchsorted(self.own.row, (rows.start, rows.stop))
        here = slice(*ends)
        mine = Entries(self.own.row[here] - rows.start, self.own.place[here], self.own.score[here])
        n = rows.stop - rows.start
        parts = [] if self.leaves_out else [mine]
        bar = np.zeros(n, dtype=np.float32)
        if self.left is not None and tiles:
            open_, bar = self._by_affinity(self.left[rows], tiles, mine=mine, k=k, room=room)
            parts.append(open_)
        needs_more = np.flatnonzero(bar <= self.popular.max(initial=0))
        if len(needs_more):
            parts.append(self._by_popularity(needs_more, mine, n=n, k=k))
        found = _in_order([part for part in parts if len(part.row)])
        return Entries(found.row + rows.start, found.place, found.score)

    def _by_affinity(
        self,
        left: Floats,
        tiles: list[Floats],
        *,
        mine: Entries,
        k: int,
        room: tuple[Floats, npt.NDArray[np.bool_]],
    ) -> tuple[Entries, Floats]:
        """Entries above the bar, and the bar itself: no more than the k-th best of a row, and 0 or more.

        The k-th highest of the maxima of disjoint groups is no more than the k-th highest of all, so what lies
        below it is out; only the few entries above leave the matrix. `room` is where a tile's scores and flags go:
        fresh memory for each would cost a third of the product.
        """
        n = len(left)
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
                scores[mine.row[here], mine.place[here] - at] = -np.inf
            if number & (number + 1) == 0:  # at tiles 0, 1, 3, 7, ...: each bar serves as many as came before it
                best = _k_best(np.concatenate([best, _group_maxima(scores, k)], axis=1), k)
                bar = np.maximum(best.min(axis=1) * _SLACK, np.float32(0))
            flags = np.greater_equal(scores, bar[:, None], out=room[1][: n * width].reshape(n, width))
            row, place = np.divmod(np.flatnonzero(flags), width)
            found.append(Entries(row, place + at, scores[row, place]))
        joined = _joined(found)
        kept = joined.only(joined.score >= bar[joined.row])
        return Entries(kept.row, kept.place, np.maximum(kept.score, self.popular[kept.place]) + _ZERO), bar

    def _by_popularity(self, rows: Integers, mine: Entries, *, n: int, k: int) -> Entries:
        """The best of these rows by popularity alone: what is there for products without affinity.

        Where such a product has an affinity after all, its entry by affinity is higher and wins, or lies below the
        bar and decides nothing.
        """
        order = self._most_popular
        bought = np.bincount(mine.row, minlength=n) if self.leaves_out else np.zeros(n, dtype=np.int64)
        counts = np.minimum(k + bought[rows], len(order))
        row = np.repeat(rows, counts)
        place = order[np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)]
        entries = Entries(row, place, self.popular[place])
        if not self.leaves_out or not len(mine.row):
            return entries
        width = len(self.popular)
        seen = np.sort(mine.row.astype(np.int64) * width + mine.place)
        keys = row.astype(np.int64) * width + place
        at = np.minimum(np.searchsorted(seen, keys), len(seen) - 1)
        return entries.only(seen[at] != keys)

    @cached_property
    def _most_popular(self) -> Integers:
        """Places by popularity, ties by place."""
        return np.lexsort((np.arange(len(self.popular)), -without_noise(self.popular)))


def merged(
    places: Integers, scores: Floats, *, k: int, categories: Integers | None = None, quota: int | None = None
) -> tuple[Ints, Floats, Integers]:
    """The k best of each row out of the best of its parts, ties by place: places, scores, and where each stood.

    All are n x k; `categories` has one code an entry. Where a row has fewer, scores are ABSENT.
    """
    keys = (_inverted(scores) << 32) | places
    order = np.argsort(keys, axis=1)
    best = np.take_along_axis(without_noise(scores), order, axis=1)
    if quota is not None and categories is not None:
        width = scores.shape[1]
        row = np.repeat(np.arange(len(scores)), width)
        kept = _within_quota(row, np.take_along_axis(categories, order, axis=1).ravel(), quota).reshape(order.shape)
        left_out_last = np.argsort(~kept, axis=1, kind="stable")
        order = np.take_along_axis(order, left_out_last, axis=1)
        best = np.take_along_axis(np.where(kept, best, ABSENT), left_out_last, axis=1)
    order, best = order[:, :k], best[:, :k]
    return np.take_along_axis(places, order, axis=1).astype(np.int32), best, order


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


def _joined(parts: list[Entries]) -> Entries:
    if not parts:
        return Entries(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    return Entries(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "place", "score")))


def _in_order(parts: list[Entries]) -> Entries:
    """Entries of at most _ROWS rows by row, the highest first, then place; of several for one product the highest.

    An entry is sorted as one number: 9 bits of row, 27 of the score (no noise, the highest first), 27 of place.
    """
    whole = _joined(parts)
    row, score, place = whole.row.astype(np.int64), _inverted(whole.score), whole.place.astype(np.int64)
    if len(parts) > 1:
        keys = np.sort((row << 54) | (place << 27) | score)
        is_first = np.ones(len(keys), dtype=np.bool_)
        is_first[1:] = (keys[1:] >> 27) != (keys[:-1] >> 27)
        keys = keys[is_first]
        keys = np.sort((keys >> 54 << 54) | ((keys & _LOW) << 27) | ((keys >> 27) & _LOW))
    else:
        keys = np.sort((row << 54) | (score << 27) | place)
    scores = ((_LOW - ((keys >> 27) & _LOW)) << _NOISE_BITS).astype(np.int32).view(np.float32)
    return Entries(keys >> 54, keys & _LOW, scores)


def _inverted(scores: Floats) -> npt.NDArray[np.int64]:
    """27 bits of each score, smaller for higher ones; ABSENT is above all."""
    bits = (without_noise(scores).view(np.int32) >> _NOISE_BITS).astype(np.int64)
    return np.where(bits < 0, _LOW + 1, _LOW - bits)


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
