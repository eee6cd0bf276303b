"""The one kernel: events to chains, chains to sessions. DataFrame to DataFrame, window functions only.

A chain is a visitor's events with no pause longer than the gap, or the tracker's own session where the rule asks for
that. A session is a chain, or a part of it where splits are asked for. Everything else (incremental, stream) decides
which events come in here, never how they are cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, WindowSpec
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.frames.periods import day_of

MICROS = 1_000_000
LATE, AHEAD = "late", "ahead"


@dataclass(frozen=True)
class Rule:
    """When a session ends."""

    gap_micros: int
    by_client: bool = False
    """The tracker's own session takes the place of the chain; events without one are cut by the gap."""
    midnight_in: str | None = None
    """Time zone whose midnight ends a session."""
    by_campaign: bool = False
    max_micros: int | None = None
    """Chains are cut every so many microseconds from their start."""

    @property
    def splits(self) -> bool:
        """True when a chain can hold several sessions."""
        return self.midnight_in is not None or self.by_campaign or self.max_micros is not None


def dead_letter_reason(*, max_late_micros: int | None, max_ahead_micros: int) -> Column:
    """`late` or `ahead` for an event whose two times lie too far apart, else NULL. Depends on the event alone."""
    behind = F.unix_micros("received_at") - F.unix_micros("occurred_at")
    reason = F.when(behind < -max_ahead_micros, F.lit(AHEAD))
    return reason if max_late_micros is None else reason.when(behind > max_late_micros, F.lit(LATE))


def with_sessions(events: DataFrame, *, rule: Rule) -> DataFrame:
    """Same grain, one row per event: adds chain_id, session_id, session_at, event_number and pause_micros.

    session_at is the session's first moment, microseconds; pause_micros the time since the event before in the session,
    NULL for its first. Ties are ordered by event_id; events of one moment are never parted.
    """
    unit = F.col("client_session_id") if rule.by_client else F.lit(None).cast("string")
    units = events.withColumns({"_unit": unit, "_at": F.unix_micros("occurred_at")})
    cut = units.transform(_with_chain, rule=rule).transform(_with_session, rule=rule)
    by_client = F.col("_unit").isNotNull()
    # the first part of the tracker's own session is named by it alone, whatever splits it
    start = F.when(~by_client | (F.col("session_at") != F.col("_chain_at")), F.col("session_at")).cast("string")
    chain = F.when(~by_client, F.col("_chain_at")).cast("string")
    return cut.withColumns(
        {
            "session_id": hashed(F.lit("session"), F.col("visitor_id"), start, F.col("_unit")),
            "chain_id": hashed(F.lit("chain"), F.col("visitor_id"), chain, F.col("_unit")),
        }
    ).drop("_unit", "_at", "_chain_at")


def hashed(*parts: Column) -> Column:
    """128 bits of the parts as 32 hexadecimal digits; a NULL is told from an empty text."""
    told = [F.coalesce(F.concat(F.lit("="), part), F.lit("-")) for part in parts]
    halves = [F.lpad(F.hex(F.xxhash64(F.lit(salt), *told)), 16, "0") for salt in (1, 2)]
    return F.concat(*halves)


def _by_visitor() -> WindowSpec:
    return W.partitionBy("visitor_id", "_unit").orderBy("_at", "event_id")


def _with_chain(events: DataFrame, *, rule: Rule) -> DataFrame:
    """Adds _chain_at (start of the chain, microseconds), _pause and _row (the event's place among the visitor's)."""
    pause = F.col("_at") - F.lag("_at").over(_by_visitor())
    paused = events.withColumns({"_pause": pause, "_row": F.row_number().over(_by_visitor())})
    is_pause = F.col("_pause") > F.lit(rule.gap_micros)
    starts = F.col("_pause").isNull() | (is_pause & F.col("_unit").isNull())
    return paused.withColumn("_starts", starts).withColumn("_chain_at", _latest("_at"))


def _latest(name: str) -> Column:
    """The value at the last start, up to the row itself."""
    so_far = _by_visitor().rowsBetween(W.unboundedPreceding, W.currentRow)
    return F.last(F.when(F.col("_starts"), F.col(name)), ignorenulls=True).over(so_far)


def _with_session(chained: DataFrame, *, rule: Rule) -> DataFrame:
    """Adds session_at, event_number and pause_micros."""
    split = chained.transform(_with_splits, rule=rule) if rule.splits else chained
    start = _latest("_at") if rule.splits else F.col("_chain_at")
    placed = split.withColumns({"session_at": start, "_first_row": _latest("_row")})
    return placed.withColumns(
        {
            "event_number": (F.col("_row") - F.col("_first_row") + 1).cast("bigint"),
            "pause_micros": F.when(~F.col("_starts"), F.col("_pause")),
        }
    ).drop("_starts", "_pause", "_row", "_first_row")


def _with_splits(chained: DataFrame, *, rule: Rule) -> DataFrame:
    """Sets _starts also where midnight, another campaign or the cap parts a chain."""
    pieces: dict[str, Column] = {}
    if rule.midnight_in is not None:
        pieces["_day"] = day_of("occurred_at", time_zone=rule.midnight_in)
    if rule.max_micros is not None:
        pieces["_piece"] = F.expr(f"(_at - _chain_at) div {rule.max_micros:d}")
    split = chained.select("*", *[piece.alias(name) for name, piece in pieces.items()])
    parts = [F.col(name) != F.lag(name).over(_by_visitor()) for name in pieces]
    if rule.by_campaign:
        split = split.withColumn("_campaign", _campaign())
        parts.append(_is_new_campaign())
    parted = reduce(lambda a, b: a | b, [F.coalesce(part, F.lit(False)) for part in parts])
    inside = split.withColumn("_parted", parted & (F.col("_pause") > 0))
    return inside.withColumn("_starts", F.col("_starts") | F.col("_parted")).drop(*pieces, "_campaign", "_parted")


def _campaign() -> Column:
    """The campaign of a moment, NULL for none: the last one that its events name in alphabetical order.

    Events of one moment are never parted, and their ids must not decide: so a moment has one campaign, and its first
    event speaks for it.
    """
    return F.max("utm_campaign").over(W.partitionBy("visitor_id", "_unit", "_at"))


def _is_new_campaign() -> Column:
    """The first event of a moment whose campaign is not the last one before it in the chain."""
    before = W.partitionBy("visitor_id", "_unit").orderBy("_at").rangeBetween(W.unboundedPreceding, -1)
    named = F.struct("_chain_at", "_campaign")
    last = F.last(F.when(F.col("_campaign").isNotNull(), named), ignorenulls=True).over(before)
    is_same = last == named
    return F.col("_campaign").isNotNull() & ~F.coalesce(is_same, F.lit(False))
