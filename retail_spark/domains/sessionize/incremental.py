"""What a run must cut anew, and what of the stored sessions it meets. The rest of the table is never looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.sessionize.cut import Rule
from retail_spark.domains.sessionize.spans import only_in, to_spans
from retail_spark.engine.job import Run
from retail_spark.tables.sessionize import SESSIONS
from retail_spark.tables.silver import EVENTS

Reach = tuple[datetime, datetime]
"""First and last moment, UTC."""
_HISTORY = ("session_number", "last_non_direct_channel")
_KNOWN = (
    "session_id", "visitor_id", "chain_id", "started_at", "ended_at", "channel", "events", "customer_id", "customers",
    "identified_at", "identified_events", "is_bounce", "is_converted", "is_engaged", "is_bot", *_HISTORY,
)  # fmt: skip
_DAY = timedelta(hours=26)
"""The longest day of a time zone, with an hour to spare."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Scope:
    """What a run cuts: everything, or the spans of time that what came or went can reach."""

    known: DataFrame
    """The sessions before the run; of the visitors that it touches, and _KNOWN alone, where not everything is cut."""
    changed: DataFrame | None = None
    """event_id, visitor_id and occurred_at of what came or went; None: everything is cut."""
    spans: DataFrame | None = None
    stale: DataFrame | None = None
    """The known sessions that lie in the spans."""
    reach: Reach | None = None
    """All spans lie in it; None where they have no ends."""

    def only(self, frame: DataFrame, *, time: str) -> DataFrame:
        """The rows that the run cuts, or replaces."""
        if self.spans is None:
            return frame
        if self.reach is not None:
            frame = frame.where(_lies_in(self.reach, time=time))  # files without such rows are not read
        return only_in(frame, self.spans, time=time)

    def near(self, frame: DataFrame, *, time: str) -> DataFrame:
        """The rows of all visitors within _DAY of the reach: no day that a run touches lies outside."""
        if self.reach is None:
            return frame
        wider = (self.reach[0] - _DAY, self.reach[1] + _DAY)
        return frame.where(_lies_in(wider, time=time))

    def old(self) -> DataFrame:
        """The stored sessions that are cut anew; all of them where everything is."""
        return self.known if self.stale is None else self.stale

    def kept(self) -> DataFrame | None:
        """Stored sessions of touched visitors that stay as they were cut: only their place among others may change."""
        if self.stale is None:
            return None
        return self.known.join(self.stale, on="session_id", how="left_anti")

    def metrics(self) -> dict[str, float]:
        """events_changed, and events_late: those before the visitor's last stored moment."""
        if self.changed is None:
            return {}
        last = self.known.groupBy("visitor_id").agg(F.max("ended_at").alias("_last"))
        met = self.changed.join(last, on="visitor_id", how="left")
        row = met.agg(F.count(F.lit(1)).alias("n"), F.count_if(F.col("occurred_at") < F.col("_last")).alias("late"))
        found = row.collect()[0]
        return {"events_changed": float(found["n"]), "events_late": float(found["late"])}


def scope_of(run: Run, *, rule: Rule) -> Scope:
    """Everything on a first run; later what changed can reach."""
    if not run.follows(EVENTS):
        return Scope(run.previous(SESSIONS))
    with run.progress.step("changes", "finding what changed"):
        columns = ("event_id", "visitor_id", "occurred_at")
        changed = run.stage("changed", run.changed_since_last(EVENTS, *columns))
        visitors = changed.select("visitor_id").distinct()
        stored = run.previous(SESSIONS).select(*_KNOWN)
        known = run.stage("known", stored.join(visitors, on="visitor_id", how="left_semi"))
        spans = run.stage("spans", to_spans(changed, known, rule=rule))
        stale = run.stage("stale", only_in(known, spans, time="started_at"))
        return Scope(known, changed, spans, stale, None if rule.by_client else reach_of(spans))


def reach_of(spans: DataFrame) -> Reach:
    """From the first moment of all spans to the last."""
    row = spans.agg(F.min("_from").alias("_from"), F.max("_to").alias("_to")).collect()[0]
    return _reach(row["_from"] or 0, row["_to"] or 0)


def with_kept(made: DataFrame, kept: DataFrame | None) -> DataFrame:
    """The sessions that were cut, and those that stay: of these _KNOWN alone, and their history as it was in _was."""
    if kept is None:
        return made.withColumn("_was", F.lit(None).cast("struct<session_number:bigint,last_non_direct_channel:string>"))
    stay = kept.withColumn("_was", F.struct(*_HISTORY)).drop(*_HISTORY)
    return made.unionByName(stay, allowMissingColumns=True)


def with_change(sessions: DataFrame) -> DataFrame:
    """Adds is_kept, and is_moved for a kept session with another history than before. Takes _was away."""
    is_same = F.struct(*_HISTORY).eqNullSafe(F.col("_was"))
    is_kept = F.col("_was").isNotNull()
    return sessions.withColumns({"is_kept": is_kept, "is_moved": is_kept & ~is_same}).drop("_was")


def to_changed(run: Run, scope: Scope, sessions: DataFrame) -> tuple[DataFrame, Reach | None]:
    """The whole rows of sessions that were cut or have moved, stored, and the reach of these and of the old ones."""
    made = sessions.where("NOT is_kept").drop("is_kept", "is_moved")
    if scope.spans is None:
        return made, None
    moved = sessions.where("is_moved")
    row = moved.agg(F.count(F.lit(1)).alias("n"), *_ends("started_at")).collect()[0]
    if not row["n"]:
        return made, scope.reach
    reach = _reach(row["_from"], row["_to"])
    places = moved.select("session_id", *_HISTORY)
    stored = run.previous(SESSIONS).where(_lies_in(reach, time="started_at")).drop(*_HISTORY)
    # a table that an older version wrote lacks the columns that came since
    gained = sorted(set(made.columns) - {*stored.columns, *_HISTORY})
    stored = stored.select("*", *[F.lit(None).cast(SESSIONS.column(name).type).alias(name) for name in gained])
    whole = stored.join(places, on="session_id", how="inner").select(*made.columns)  # session_id is the key of both
    both = scope.reach and (min(scope.reach[0], reach[0]), max(scope.reach[1], reach[1]))
    return run.stage("changed_sessions", made.unionByName(whole)), both


def _lies_in(reach: Reach, *, time: str) -> Column:
    return F.col(time).between(*map(F.lit, reach))


def _ends(time: str) -> tuple[Column, Column]:
    at = F.unix_micros(time)
    return F.min(at).alias("_from"), F.max(at).alias("_to")


def _reach(low: int, high: int) -> Reach:
    return _EPOCH + timedelta(microseconds=low), _EPOCH + timedelta(microseconds=high)
