"""What a run must cut anew, and what of the stored sessions it meets. The rest of the table is never looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.canonical import EVENTS
from retail_spark.run import Run
from retail_spark.sessions.contracts import SESSIONS
from retail_spark.sessions.increments import only_in, only_outside, to_spans
from retail_spark.sessions.transforms import Rule

Reach = tuple[datetime, datetime]
"""First and last moment, UTC."""
_HISTORY = ("session_number", "last_non_direct_channel")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Scope:
    """What a run cuts: everything, or the spans of time that what came or went can reach."""

    changed: DataFrame | None = None
    """event_id, visitor_id and occurred_at of what came or went; None: everything is cut."""
    spans: DataFrame | None = None
    known: DataFrame | None = None
    """The sessions before the run of the visitors that it touches, stored; of all visitors where everything is cut."""
    reach: Reach | None = None
    """All spans lie in it; None where they have no ends."""

    def only(self, frame: DataFrame, *, time: str) -> DataFrame:
        """The rows that the run cuts, or replaces."""
        if self.spans is None:
            return frame
        if self.reach is not None:
            frame = frame.where(F.col(time).between(*map(F.lit, self.reach)))  # files without such rows are not read
        return only_in(frame, self.spans, time=time)

    def old(self) -> DataFrame:
        """The stored sessions that are cut anew; all of them where everything is."""
        if self.known is None:
            raise ValueError("no sessions are known")
        return self.only(self.known, time="started_at")

    def kept(self) -> DataFrame | None:
        """Stored sessions of touched visitors that stay as they were cut: only their place among others may change."""
        if self.spans is None or self.known is None:
            return None
        return only_outside(self.known, self.spans, time="started_at")

    def untouched(self, sessions: DataFrame) -> DataFrame:
        """Sessions of all other visitors."""
        if self.spans is None:
            return sessions.limit(0)
        return sessions.join(self.spans.select("visitor_id").distinct(), on="visitor_id", how="left_anti")

    def metrics(self) -> dict[str, float]:
        """events_changed, and events_late: those before the visitor's last stored moment."""
        if self.changed is None or self.known is None:
            return {}
        last = self.known.groupBy("visitor_id").agg(F.max("ended_at").alias("_last"))
        met = self.changed.join(last, on="visitor_id", how="left")
        row = met.agg(F.count(F.lit(1)).alias("n"), F.count_if(F.col("occurred_at") < F.col("_last")).alias("late"))
        found = row.collect()[0]
        return {"events_changed": float(found["n"]), "events_late": float(found["late"])}


def scope_of(run: Run, *, rule: Rule) -> Scope:
    """Everything on a first run; later what changed can reach."""
    if not run.follows(EVENTS):
        return Scope(known=run.previous(SESSIONS))
    with run.progress.step("changes", "finding what changed"):
        columns = ("event_id", "visitor_id", "occurred_at")
        changed = run.stage("changed", run.changed_since_last(EVENTS, *columns))
        visitors = changed.select("visitor_id").distinct()
        known = run.stage("known", run.previous(SESSIONS).join(visitors, on="visitor_id", how="left_semi"))
        spans = run.stage("spans", to_spans(changed, known, rule=rule))
        return Scope(changed, spans, known, None if rule.by_client else reach_of(spans))


def reach_of(spans: DataFrame) -> Reach:
    """From the first moment of all spans to the last."""
    row = spans.agg(F.min("_from").alias("low"), F.max("_to").alias("high")).collect()[0]
    low, high = (_EPOCH + timedelta(microseconds=row[end] or 0) for end in ("low", "high"))
    return low, high


def bounds_of(rows: DataFrame, reach: Reach, *, time: str) -> Reach:
    """The reach, widened to hold the `time` of all rows."""
    micros = F.unix_micros(time)
    low, high = reach_of(rows.select(micros.alias("_from"), micros.alias("_to")))
    is_none = rows.isEmpty()
    return reach if is_none else (min(low, reach[0]), max(high, reach[1]))


def with_kept(made: DataFrame, kept: DataFrame | None) -> DataFrame:
    """The sessions that were cut, and those that stay, without their history but with what it was."""
    if kept is None:
        return made.withColumn("_was", F.lit(None).cast("struct<session_number:bigint,last_non_direct_channel:string>"))
    stay = kept.withColumn("_was", F.struct(*_HISTORY)).select(*made.columns, "_was")
    return made.unionByName(stay, allowMissingColumns=True)


def with_change(sessions: DataFrame) -> DataFrame:
    """Adds is_changed: true for what was cut, or has another history than before. Takes what with_kept added away."""
    is_same = F.struct(*_HISTORY).eqNullSafe(F.col("_was"))
    return sessions.withColumn("is_changed", F.col("_was").isNull() | ~is_same).drop("_was")
