"""The job `sessionize`: events to sessions, by one kernel; a run cuts again only what changed since the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.sessionize.bots import Behaviour, with_bot
from retail_spark.domains.sessionize.channels import with_channel, with_history
from retail_spark.domains.sessionize.cut import MICROS, Rule, dead_letter_reason, with_sessions
from retail_spark.domains.sessionize.funnels import to_funnels, to_steps
from retail_spark.domains.sessionize.identities import to_identities
from retail_spark.domains.sessionize.incremental import Reach, Scope, scope_of, to_changed, with_change, with_kept
from retail_spark.domains.sessionize.measures import Measures, to_sessions
from retail_spark.domains.sessionize.settings import JobSettings
from retail_spark.domains.sessionize.spans import to_redirects, with_followed
from retail_spark.domains.sessionize.stream import MicroBatch, drive
from retail_spark.engine.job import Job, Outcome, Run, job
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.frames.periods import day_of
from retail_spark.lake.contract import Contract
from retail_spark.lake.write import Write, replace_slice, upsert
from retail_spark.tables.sessionize import (
    FUNNELS,
    SESSION_DEAD_LETTERS,
    SESSION_EVENTS,
    SESSION_REDIRECTS,
    SESSIONS,
    STREAMS,
    VISITOR_IDENTITIES,
)
from retail_spark.tables.silver import EVENTS

_BESIDE = 3
_SHARES = ("bounce", "converted", "engaged", "bot")


def sessionize(run: Run, settings: JobSettings) -> Outcome:
    """Cut every visitor's events into sessions, and count the funnels over them."""
    scope = scope_of(run, rule=rule_of(settings))
    with run.progress.step("cut", "cutting sessions"):
        judged = run.stage("judged", scope.only(run.read(EVENTS), time="occurred_at").transform(with_reason, settings))
        cut = run.stage("cut", judged.where("reason IS NULL").transform(with_sessions, rule=rule_of(settings)))
    with run.progress.step("measure", "measuring sessions"):
        measured = run.stage("measured", cut.transform(to_measured, settings=settings))
        made = run.stage("made", measured.transform(with_flags, cut=cut, settings=settings))
        whole = made.transform(with_kept, scope.kept()).transform(with_history, look_back_days=settings.look_back_days)
        sessions = run.stage("sessions", whole.transform(with_change))
    with ThreadPoolExecutor(_BESIDE) as beside:  # small jobs leave a core idle: what is printed is counted meanwhile
        metrics = beside.submit(lambda: scope.metrics() | to_metrics(run, scope, made))
        tables = _writes(run, settings, scope, Cut(judged, cut, made, sessions), beside=beside)
        return Outcome(tables=tables, metrics=metrics.result())


@dataclass(frozen=True)
class Cut:
    """What a run has made: `made` are the sessions that it cut, `sessions` all of the visitors that it touched."""

    judged: DataFrame
    events: DataFrame
    made: DataFrame
    sessions: DataFrame


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
    """One row per session: times, counts, pages, orders, channel."""
    measures = Measures(
        engaged_micros=round(settings.engaged_seconds * MICROS),
        engaged_views=settings.engaged_views,
        key_events=settings.key_events,
        dwell_micros=round(settings.dwell_seconds * MICROS),
        own_hosts=settings.own_hosts,
    )
    return cut.transform(to_sessions, measures=measures).transform(with_channel)


def with_flags(sessions: DataFrame, *, cut: DataFrame, settings: JobSettings) -> DataFrame:
    """Same grain; adds is_bot, bot_reason and funnel_steps. `sessions` is used more than once: a stored one."""
    behaviour = Behaviour(
        events=settings.bot_events,
        events_per_minute=settings.bot_events_per_minute,
        dwell_micros=round(settings.bot_dwell_seconds * MICROS),
        breadth=settings.bot_breadth,
    )
    flagged = sessions.transform(with_bot, cut=cut, behaviour=behaviour)
    # session_id is the key of both sides.
    return flagged.join(to_steps(cut, funnels=settings.funnels), on="session_id", how="left")


def to_metrics(run: Run, scope: Scope, made: DataFrame) -> dict[str, float]:
    """What the run prints of all sessions: those that were there, less those that were cut anew, and these."""
    found = counts_of(made)
    if scope.spans is not None:
        before, gone = counts_of(run.previous(SESSIONS)), counts_of(scope.old())
        found = {name: before[name] - gone[name] + value for name, value in found.items()}
    number = max(found["sessions"], 1.0)
    shares = {f"{name}_share": found[name] / number for name in _SHARES}
    return {"sessions": found["sessions"], "events": found["events"], "events_per_session": found["events"] / number,
            **shares}  # fmt: skip


def counts_of(sessions: DataFrame) -> dict[str, float]:
    """Sessions, their events, and how many are each of _SHARES."""
    each = [F.count_if(F.col(f"is_{name}")).alias(name) for name in _SHARES]
    row = sessions.agg(F.count(F.lit(1)).alias("sessions"), F.sum("events").alias("events"), *each).collect()[0]
    return {name: float(value or 0) for name, value in row.asDict().items()}


def _writes(
    run: Run, settings: JobSettings, scope: Scope, cut: Cut, *, beside: ThreadPoolExecutor
) -> tuple[Write, ...]:
    funnels = beside.submit(_funnels, run, settings, scope, cut)
    redirects = beside.submit(_redirects, run, scope.old(), cut.made)
    identities = cut.sessions.transform(to_identities, max_customers=settings.max_customers)
    changed, reach = to_changed(run, scope, cut.sessions)
    ids, old = (None, None) if scope.changed is None else (scope.changed.select("event_id"), scope.old())
    letters, told = cut.judged.where("reason IS NOT NULL"), _stored(run, SESSION_DEAD_LETTERS, ids)
    known = _stored(run, VISITOR_IDENTITIES, None if scope.spans is None else scope.spans.select("visitor_id"))
    in_events = {} if scope.reach is None else {"occurred_at": scope.reach}
    in_sessions = {} if reach is None else {"started_at": reach}
    return (
        _changed(SESSION_EVENTS, cut.events, ids, staged=True, within=in_events),
        _changed(SESSIONS, changed, None if old is None else old.select("session_id"), staged=True, within=in_sessions),
        redirects.result(),
        _changed(VISITOR_IDENTITIES, identities, known),
        _changed(SESSION_DEAD_LETTERS, letters, told, staged=True, within=in_events),
        funnels.result(),
        *_stream(run),
    )


def _stored(run: Run, contract: Contract, keys: DataFrame | None) -> DataFrame | None:
    """Those of the keys that the table has: few or none, of tables that hold few."""
    if keys is None:
        return None
    return run.previous(contract).select(*contract.key).join(keys, on=list(contract.key), how="left_semi")


def _changed(
    contract: Contract,
    rows: DataFrame,
    keys: DataFrame | None,
    *,
    staged: bool = False,
    within: Mapping[str, Reach] | None = None,
) -> Write:
    """The whole table anew; or, where `keys` may be gone, the rows as they are now, the keys' other rows deleted."""
    frame = rows.transform(contract.select)
    if keys is None:
        return replace_slice(contract, frame, staged=staged, in_order=True)
    gone = keys.join(frame.select(*contract.key), on=list(contract.key), how="left_anti")
    return upsert(contract, frame, delete=gone, staged=staged, within=within)


def _funnels(run: Run, settings: JobSettings, scope: Scope, cut: Cut) -> Write:
    """All funnels; or those of the days on which a session began that went or came."""
    count = partial(to_funnels, funnels=settings.funnels, time_zone=settings.time_zone)
    if scope.spans is None:
        return replace_slice(FUNNELS, count(cut.sessions).transform(FUNNELS.select))
    day, old = day_of("started_at", time_zone=settings.time_zone), scope.old()
    days = run.stage("days", cut.made.select(day.alias("date")).union(old.select(day)).distinct())
    others = scope.near(run.previous(SESSIONS), time="started_at").join(old, on="session_id", how="left_anti")
    both = [part.select("visitor_id", "started_at", "is_bot", "funnel_steps") for part in (others, cut.made)]
    of_days = both[0].unionByName(both[1]).join(F.broadcast(days), on=day == F.col("date"), how="left_semi")
    funnels = run.stage("funnels", count(of_days))
    gone = run.previous(FUNNELS).join(days, on="date", how="left_semi").join(funnels, on=list(FUNNELS.key),
                                                                             how="left_anti")  # fmt: skip
    frame = funnels.transform(FUNNELS.select)
    return upsert(FUNNELS, frame, delete=gone.select(*FUNNELS.key), staged=True)


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
    return (upsert(STREAMS, frame_of_rows(run.spark, [row], STREAMS.schema)),)


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
