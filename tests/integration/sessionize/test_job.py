"""The job in the whole life of a run: real logs, increments, the stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from retail_spark.engine import run_job as lifecycle
from retail_spark.engine.catalogue import entry
from retail_spark.engine.job import Result
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.engine.settings_layers import resolve
from retail_spark.errors import UsageError
from retail_spark.lake.commit import carry_out
from retail_spark.lake.content_hash import content_hash
from retail_spark.lake.lake import Lake
from retail_spark.lake.write import upsert
from retail_spark.tables.sessionize import (
    FUNNELS,
    SESSION_EVENTS,
    SESSION_REDIRECTS,
    SESSIONS,
    STREAMS,
    VISITOR_IDENTITIES,
)
from retail_spark.tables.silver import EVENTS
from tests.conftest import DATA_ROOT
from tests.unit.sessionize.events import event, frame

SOURCES = Path(__file__).parents[3] / "conf" / "sources"
TABLES = (SESSION_EVENTS, SESSIONS, VISITOR_IDENTITIES, FUNNELS)


def run(lake: Lake, *sets: str, job: str = "sessionize", source: str | None = None, force: bool = False) -> Result:
    files = [SOURCES / f"{source}.yml"] if source else []
    own = [f"lake.root={lake.root}", "quality.data_docs=false", f"data_root={DATA_ROOT}", *sets]
    settings = resolve(files=files, sets=own)
    quiet = Progress(job, quiet=True)
    return run_job(entry(job).job(), settings, spark=lake.spark, force=force, progress=quiet)


def come(lake: Lake, *events: dict[str, object]) -> None:
    carry_out(lake, upsert(EVENTS, frame(lake.spark, events)), run_id="input")


def hashes(lake: Lake) -> dict[str, str]:
    return {c.name: content_hash(lake.read(c.table)) for c in TABLES}


@pytest.mark.slow
def test_a_web_servers_log_and_the_figures_of_its_sessions(lake: Lake, data_folder: Callable[[str], Path]) -> None:
    data_folder("apache_access_log")
    ingested = run(lake, job="ingest", source="apache_access_log").metrics
    assert (ingested["events.kept"], ingested["events.quarantined.malformed_line"]) == (9999.0, 1.0)
    facts = lake.read(EVENTS.table).agg(
        F.min("occurred_at").cast("string"),
        F.max("occurred_at").cast("string"),
        F.countDistinct("user_agent"),
        F.countDistinct("event_id"),
    )
    first, last, agents, ids = facts.collect()[0]
    assert (first[:16], last[:16], ids) == ("2015-05-17 10:05", "2015-05-20 21:05", 9_999)
    assert 550 < agents <= 558
    result = run(lake, "sessionize.own_hosts=[semicomplete.com]")
    found = result.metrics
    assert (found["sessions"], found["events"]) == (3223.0, 9999.0)
    assert found["events_per_session"] == pytest.approx(3.10, abs=0.005)
    assert found["bounce_share"] == pytest.approx(0.550, abs=0.0005)


@pytest.mark.slow
def test_a_shops_product_views_and_the_figures_of_its_sessions(lake: Lake, data_folder: Callable[[str], Path]) -> None:
    data_folder("diginetica_views")
    assert run(lake, job="ingest", source="diginetica_views").metrics["events.quarantined"] == 0
    facts = lake.read(EVENTS.table).agg(
        F.count(F.lit(1)),
        F.countDistinct("client_session_id"),
        F.countDistinct("product_id"),
        F.min(F.to_date("occurred_at")).cast("string"),
    )
    assert tuple(facts.collect()[0]) == (12_391, 2_986, 7_139, "2016-01-03")
    found = run(lake).metrics
    assert found["sessions"] == 2986.0
    assert found["events_per_session"] == pytest.approx(4.15, abs=0.005)
    assert found["bounce_share"] == pytest.approx(0.312, abs=0.0005)


@pytest.mark.slow
def test_a_run_adds_what_came_and_a_forced_one_rebuilds_the_same(lake: Lake) -> None:
    come(lake, event("ann", "10:00:00"), event("bob", "10:00:00", event_type="product_view"))
    assert "events_changed" not in run(lake).metrics
    come(lake, event("ann", "10:40:00"), event("ann", "10:20:00"))
    second = run(lake)
    assert second.metrics["events_changed"] == 2
    assert second.metrics["sessions"] == 2
    before = hashes(lake)
    assert run(lake).status == "unchanged"
    forced = run(lake, force=True)
    assert "events_changed" not in forced.metrics
    assert hashes(lake) == before


@pytest.mark.slow
def test_a_run_cut_off_between_two_tables_is_taken_over_and_no_redirect_is_lost(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    come(lake, event("ann", "10:00:00"), event("ann", "10:50:00"))
    run(lake)
    come(lake, event("ann", "10:25:00"))
    whole = lifecycle.carry_out

    def cut_off(lake: Lake, write: object, *, run_id: str) -> object:
        if write.contract.name == SESSION_REDIRECTS.name:  # type: ignore[attr-defined]
            raise RuntimeError("the power failed")
        return whole(lake, write, run_id=run_id)  # type: ignore[arg-type]

    monkeypatch.setattr(lifecycle, "carry_out", cut_off)
    with pytest.raises(RuntimeError, match="power failed"):
        run(lake)
    monkeypatch.setattr(lifecycle, "carry_out", whole)
    assert run(lake).status == "done"
    (now,) = lake.read(SESSIONS.table).collect()
    (redirect,) = lake.read(SESSION_REDIRECTS.table).collect()
    assert (now.events, redirect.session_id) == (3, now.session_id)


@pytest.mark.slow
def test_a_stream_ends_like_a_batch_and_a_new_checkpoint_under_the_old_name_is_refused(
    lake: Lake, tmp_path: Path
) -> None:
    stream = ("sessionize.source=stream", f"sessionize.checkpoint_dir={tmp_path}/first")
    come(lake, event("ann", "10:00:00"), event("bob", "10:00:00"))
    assert run(lake, *stream).metrics["sessions"] == 2
    come(lake, event("ann", "10:20:00"), event("bob", "10:40:00"))
    second = run(lake, *stream)
    assert (second.metrics["events_changed"], second.metrics["sessions"]) == (2.0, 3.0)
    assert run(lake, *stream).status == "unchanged"
    by_stream = hashes(lake)
    with pytest.raises(UsageError, match="remembers its place in checkpoint"):
        run(lake, "sessionize.source=stream", f"sessionize.checkpoint_dir={tmp_path}/second")
    (told,) = lake.read(STREAMS.table).collect()
    assert told.application_id == "sessionize"
    run(lake)
    assert hashes(lake) == by_stream


@pytest.mark.slow
def test_a_stream_that_dies_before_it_commits_its_place_cuts_nothing_twice(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = ("sessionize.source=stream", f"sessionize.checkpoint_dir={tmp_path}/place")
    come(lake, event("ann", "10:00:00"))
    run(lake, *stream)
    come(lake, event("ann", "10:20:00"))
    recorded = lifecycle.record

    def dying(*given: object, **more: object) -> None:
        recorded(*given, **more)  # type: ignore[arg-type]
        raise RuntimeError("killed after the record, before the stream's commit")

    monkeypatch.setattr(lifecycle, "record", dying)
    with pytest.raises(RuntimeError, match="killed"):
        run(lake, *stream)
    monkeypatch.setattr(lifecycle, "record", recorded)
    run(lake, *stream)
    assert [row.events for row in lake.read(SESSIONS.table).collect()] == [2]
    assert lake.read(SESSION_EVENTS.table).where(F.col("visitor_id") == "ann").count() == 2
