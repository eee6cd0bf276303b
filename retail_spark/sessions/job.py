"""The job `sessionize`: events to sessions, by one kernel; a run cuts again only what changed since the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.canonical import EVENTS
from retail_spark.lake.contracts import Contract
from retail_spark.lake.writers import Write, replace_slice, upsert
from retail_spark.run import Job, Outcome, Run, job
from retail_spark.sessions.bots import Behaviour, with_bot
from retail_spark.sessions.channels import with_channel, with_history
from retail_spark.sessions.contracts import (
    FUNNELS,
    SESSION_DEAD_LETTERS,
    SESSION_EVENTS,
    SESSION_REDIRECTS,
    SESSIONS,
    STREAMS,
    VISITOR_IDENTITIES,
)
from retail_spark.sessions.funnels import to_funnels, to_steps
from retail_spark.sessions.identities import to_identities
from retail_spark.sessions.increments import only_in, only_outside, to_redirects, to_spans, with_followed
from retail_spark.sessions.measuring import Measures, to_sessions
from retail_spark.sessions.settings import JobSettings
from retail_spark.sessions.stream import MicroBatch, drive
from retail_spark.sessions.transforms import MICROS, Rule, dead_letter_reason, with_sessions

_HISTORY = ("session_number", "last_non_direct_channel")


def sessionize(run: Run, settings: JobSettings) -> Outcome:
    """Cut every visitor's events into sessions, and count the funnels over them."""
    scope = scope_of(run, rule=rule_of(settings))
    with run.progress.step("cut", "cutting sessions"):
        judged = run.stage("judged", scope.only(run.read(EVENTS), time="occurred_at").transform(with_reason, settings))
        cut = run.stage("cut", judged.where("reason IS NULL").transform(with_sessions, rule=rule_of(settings)))
    with run.progress.step("measure", "measuring sessions"):
        made = run.stage("made", cut.transform(to_measured, settings=settings))
        kept = scope.kept(run.previous(SESSIONS)).drop(*_HISTORY)
        whole = made.unionByName(kept.select(*made.columns)).transform(
            with_history, look_back_days=settings.look_back_days
        )
        sessions = run.stage("sessions", whole)
    every = scope.untouched(run.previous(SESSIONS)).select(*sessions.columns).unionByName(sessions)
    return Outcome(
        tables=_writes(run, settings, scope, Cut(judged, cut, made, sessions, every)),
        metrics=scope.metrics() | to_metrics(every),
    )


@dataclass(frozen=True)
class Scope:
    """What a run cuts: everything, or the spans of time that what came or went can reach."""

    changed: DataFrame | None = None
    """event_id, visitor_id and occurred_at of what came or went; None: everything is cut."""
    spans: DataFrame | None = None
    known: DataFrame | None = None
    """The sessions before the run."""

    def only(self, frame: DataFrame, *, time: str) -> DataFrame:
        """The rows that the run cuts, or replaces."""
        return frame if self.spans is None else only_in(frame, self.spans, time=time)

    def kept(self, sessions: DataFrame) -> DataFrame:
        """Sessions of touched visitors that stay as they were cut: only their place among the others may change."""
        if self.spans is None:
            return sessions.limit(0)
        touched = sessions.join(self.spans.select("visitor_id").distinct(), on="visitor_id", how="left_semi")
        return only_outside(touched, self.spans, time="started_at")

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


@dataclass(frozen=True)
class Cut:
    """What a run has made: `made` are the sessions that it cut, `sessions` all of the visitors that it touched."""

    judged: DataFrame
    events: DataFrame
    made: DataFrame
    sessions: DataFrame
    every: DataFrame


def scope_of(run: Run, *, rule: Rule) -> Scope:
    """Everything on a first run; later what changed can reach."""
    if not run.follows(EVENTS):
        return Scope()
    with run.progress.step("changes", "finding what changed"):
        columns = ("event_id", "visitor_id", "occurred_at")
        changed = run.stage("changed", run.changed_since_last(EVENTS, *columns))
        known = run.previous(SESSIONS)
        return Scope(changed, run.stage("spans", to_spans(changed, known, rule=rule)), known)


def rule_of(settings: JobSettings) -> Rule:
    """When a session ends, in microseconds."""
    cap = settings.max_session_hours
    return Rule(
        gap_micros=round(settings.gap_minutes * 60 * MICROS),
        by_client=settings.rule == "client_session_id",
        midnight_in=settings.time_zone if settings.split_at_midnight else None,
        by_campaign=settings.split_on_campaign,
        max_micros=None if cap is None else round(cap * 3600 * MICROS),
    )


def with_reason(events: DataFrame, settings: JobSettings) -> DataFrame:
    """One row per event: adds reason, why it is put aside; NULL for nearly all."""
    late = settings.max_lateness_hours
    reason = dead_letter_reason(
        max_late_micros=None if late is None else round(late * 3600 * MICROS),
        max_ahead_micros=round(settings.max_ahead_minutes * 60 * MICROS),
    )
    unused = ("source", "source_file", "row_hash")
    return events.drop(*unused).withColumn("reason", reason)


def to_measured(cut: DataFrame, *, settings: JobSettings) -> DataFrame:
    """One row per session: all that its own events tell."""
    measures = Measures(
        engaged_micros=round(settings.engaged_seconds * MICROS),
        engaged_views=settings.engaged_views,
        key_events=settings.key_events,
        dwell_micros=round(settings.dwell_seconds * MICROS),
        own_hosts=settings.own_hosts,
    )
    behaviour = Behaviour(
        events=settings.bot_events,
        events_per_minute=settings.bot_events_per_minute,
        dwell_micros=round(settings.bot_dwell_seconds * MICROS),
        breadth=settings.bot_breadth,
    )
    sessions = cut.transform(to_sessions, measures=measures).transform(with_channel)
    flagged = sessions.transform(with_bot, cut=cut, behaviour=behaviour)
    # session_id is the key of both sides.
    return flagged.join(to_steps(cut, funnels=settings.funnels), on="session_id", how="left")


def to_metrics(sessions: DataFrame) -> dict[str, float]:
    """What the run prints of all sessions."""
    share = {name: F.avg(F.col(f"is_{name}").cast("int")) for name in ("bounce", "converted", "engaged", "bot")}
    row = sessions.agg(
        F.count(F.lit(1)).alias("sessions"),
        F.sum("events").alias("events"),
        *[value.alias(f"{name}_share") for name, value in share.items()],
    ).collect()[0]
    found = {name: float(value or 0) for name, value in row.asDict().items()}
    return found | {"events_per_session": found["events"] / max(found["sessions"], 1.0)}


def _writes(run: Run, settings: JobSettings, scope: Scope, cut: Cut) -> tuple[Write, ...]:
    old = scope.only(run.previous(SESSIONS), time="started_at")
    letters = cut.judged.where("reason IS NOT NULL")
    identities = cut.sessions.transform(to_identities, max_customers=settings.max_customers)
    funnels = cut.every.transform(to_funnels, funnels=settings.funnels, time_zone=settings.time_zone)
    ids = None if scope.changed is None else scope.changed.select("event_id")
    visitors = None if scope.spans is None else scope.spans.select("visitor_id").distinct()
    return (
        _changed(SESSION_EVENTS, cut.events, ids, staged=True),
        _changed(SESSIONS, cut.sessions, None if ids is None else old.select("session_id"), staged=True),
        _redirects(run, old, cut.made),
        _changed(VISITOR_IDENTITIES, identities, visitors),
        _changed(SESSION_DEAD_LETTERS, letters, ids, staged=True),
        replace_slice(FUNNELS, funnels.transform(FUNNELS.select)),
        *_stream(run),
    )


def _changed(contract: Contract, rows: DataFrame, keys: DataFrame | None, *, staged: bool = False) -> Write:
    """The whole table anew; or, where `keys` may be gone, the rows as they are now, the keys' other rows deleted."""
    frame = rows.transform(contract.select)
    if keys is None:
        return replace_slice(contract, frame, staged=staged)
    gone = keys.join(frame.select(*contract.key), on=list(contract.key), how="left_anti")
    return upsert(contract, frame, delete=gone, staged=staged)


def _redirects(run: Run, old: DataFrame, made: DataFrame) -> Write:
    """Ids that are no more lead on to the session that holds their first moment; an id that is back leads nowhere."""
    stored = run.previous(SESSION_REDIRECTS)
    gone = run.stage("gone", old.join(made.select("session_id"), on="session_id", how="left_anti"))
    back = stored.join(made.select(F.col("session_id").alias("old_session_id")), on="old_session_id", how="left_semi")
    if gone.isEmpty():
        return upsert(SESSION_REDIRECTS, stored.limit(0), delete=back.select("old_session_id"), staged=True)
    redirects = run.stage("redirects", to_redirects(gone, made).transform(with_followed, stored))
    lost = stored.join(gone.select("session_id"), on="session_id", how="left_semi")
    dropped = back.select("old_session_id").union(lost.select("old_session_id")).distinct()
    return upsert(
        SESSION_REDIRECTS,
        redirects.transform(SESSION_REDIRECTS.select),
        delete=dropped.join(redirects, on="old_session_id", how="left_anti"),
        staged=True,
    )


def _stream(run: Run) -> Sequence[Write]:
    """Which checkpoint feeds the stream, where one does."""
    batch = run.batch
    if not isinstance(batch, MicroBatch):
        return ()
    row = (batch.application_id, batch.checkpoint_id, batch.id)
    return (upsert(STREAMS, run.spark.createDataFrame([row], STREAMS.schema)),)


JOB: Job = job(
    "sessionize",
    settings=JobSettings,
    reads=(EVENTS,),
    writes=(
        SESSION_EVENTS,
        SESSIONS,
        SESSION_REDIRECTS,
        VISITOR_IDENTITIES,
        SESSION_DEAD_LETTERS,
        FUNNELS,
        STREAMS,
    ),
    drive=drive,
)(sessionize)
