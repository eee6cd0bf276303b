"""How far a session came in a funnel: the rules of ClickHouse's windowFunnel, in plain Python. Needs no Spark.

A match is an event that fulfils a step. Matches are walked by time, then by step, so that what happened at one moment
counts in the order of the steps, whatever the events are called. An event that fulfils several steps counts for each
of them, as in ClickHouse, unless `strict_once` is asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

Match = tuple[int, int, int]
"""Moment (microseconds), step (1 for the first; 0 for an event of no step, where strict_order asks for it), event."""


@dataclass(frozen=True)
class Walk:
    """Steps of a funnel, the window that opens with the first (microseconds), and what is strict about it."""

    steps: int
    window: int
    modes: Collection[str] = field(default_factory=frozenset)

    def level(self, matches: Iterable[Match]) -> int:
        """The steps that the matches complete."""
        chains: list[list[_Chain]] = [[] for _ in range(self.steps)]
        for at, step, event in sorted(matches):
            ended = self._ended(chains, step)
            if ended is not None:
                return ended
            if step == 1:
                chains[0] = self._kept(chains[0], [_Chain(at, at, frozenset((event,)))])
            elif step > 1:
                longer = [c.with_match(at, event) for c in chains[step - 2] if self._extends(c, at, event)]
                chains[step - 1] = self._kept(chains[step - 1], longer)
        return _reached(chains)

    def _ended(self, chains: list[list[_Chain]], step: int) -> int | None:
        """The level at which this match ends the walk; None where it goes on."""
        if chains[-1]:
            return self.steps
        if step == 0:
            return _reached(chains) if chains[0] else None
        if step > 1 and "strict_deduplication" in self.modes and chains[step - 1]:
            return _reached(chains)
        too_early = step > 1 and bool(chains[0]) and not chains[step - 2]
        if too_early and "strict_order" in self.modes and "allow_reentry" not in self.modes:
            return next(level for level, own in enumerate(chains) if not own)
        return None

    def _extends(self, chain: _Chain, at: int, event: int) -> bool:
        in_time = at <= chain.first + self.window and ("strict_increase" not in self.modes or chain.last < at)
        return in_time and ("strict_once" not in self.modes or event not in chain.at_last)

    def _kept(self, known: list[_Chain], new: list[_Chain]) -> list[_Chain]:
        """The chains of a level: the latest; with strict_once all that no other one makes needless."""
        if "strict_once" not in self.modes:
            return new[-1:] or known
        kept: list[_Chain] = []
        for chain in sorted({*known, *new}, key=lambda c: (-c.first, c.last, len(c.at_last), sorted(c.at_last))):
            if not any(other.serves_for(chain) for other in kept):
                kept.append(chain)
        return kept


@dataclass(frozen=True)
class _Chain:
    """Matches from the first step on: first and last moment, and the events that it used at the last moment."""

    first: int
    last: int
    at_last: frozenset[int]

    def with_match(self, at: int, event: int) -> _Chain:
        return _Chain(self.first, at, self.at_last | {event} if at == self.last else frozenset((event,)))

    def serves_for(self, other: _Chain) -> bool:
        """True when whatever extends the other one extends this one, too."""
        is_freer = self.last < other.last or (self.last == other.last and self.at_last <= other.at_last)
        return self.first >= other.first and is_freer


def _reached(chains: list[list[_Chain]]) -> int:
    return max((level for level, own in enumerate(chains, start=1) if own), default=0)
