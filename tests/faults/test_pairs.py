"""Twenty pairs of writers at once on one table, each in a session of its own: none dies, nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from threading import Barrier

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame

from retail_spark.config.section import LakeSettings
from retail_spark.erase.deletion import erase_from
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.commit import carry_out
from retail_spark.lake.lake import Lake
from retail_spark.lake.maintenance import optimize
from retail_spark.lake.write import append_once, replace_slice, upsert
from tests.toy import LOG, SLICE, STATE

ROUNDS = 4
LEAVERS = replace(LOG, columns=tuple(replace(c, subject=c.name == "id") for c in LOG.columns))
Act = Callable[[Lake], object]


def at_once(lake: Lake, *acts: Act) -> None:
    """Begins all acts at one moment, each in a session of its own, and raises what any of them raised."""
    ready = Barrier(len(acts))

    def act(one: Act) -> None:
        own = lake.with_session(lake.spark.newSession())
        ready.wait()
        one(own)

    with ThreadPoolExecutor(len(acts)) as pool:
        list(pool.map(act, acts))


def states(lake: Lake, *rows: tuple[str, float]) -> DataFrame:
    return frame_of_rows(lake.spark, [(i, value, "r", None) for i, value in rows], STATE.schema)


def put_states(*rows: tuple[str, float], run_id: str) -> Act:
    return lambda lake: carry_out(lake, upsert(STATE, states(lake, *rows)), run_id=run_id)


def put_log(person: str, *, run_id: str) -> Act:
    return lambda lake: carry_out(lake, append_once(LOG, states(lake, (person, 1.0))), run_id=run_id)


def put_day(day: int, value: float, *, run_id: str) -> Act:
    def act(lake: Lake) -> object:
        when = date(2024, 1, day)
        frame = frame_of_rows(lake.spark, [(when, "a", value, run_id, None)], SLICE.schema)
        return carry_out(lake, replace_slice(SLICE, frame, as_of=when), run_id=run_id)

    return act


def rows_of(lake: Lake, name: str) -> list[tuple[object, ...]]:
    table = {"state": STATE, "log": LOG, "slice": SLICE}[name].table
    columns = {"state": ("id", "value"), "log": ("id",), "slice": ("as_of", "value")}[name]
    return sorted(tuple(row) for row in lake.read(table).select(*columns).collect())


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_two_writers_at_once_lose_and_double_nothing(lake: Lake, tmp_path: Path, number: int) -> None:
    # the first creation of one table by two, who share a key
    at_once(lake, put_states(("a", 1.0), ("b", 2.0), run_id="x"), put_states(("b", 2.0), ("c", 3.0), run_id="y"))
    assert rows_of(lake, "state") == [("a", 1.0), ("b", 2.0), ("c", 3.0)]
    # slices of their own, in a table that neither has made yet
    at_once(lake, put_day(1, 1.0, run_id="x"), put_day(2, 2.0, run_id="y"))
    assert rows_of(lake, "slice") == [(date(2024, 1, 1), 1.0), (date(2024, 1, 2), 2.0)]
    # one slice by two: one of them stays, whole
    at_once(lake, put_day(1, 5.0, run_id="z"), put_day(1, 6.0, run_id="w"))
    assert rows_of(lake, "slice") in [[(date(2024, 1, 1), v), (date(2024, 1, 2), 2.0)] for v in (5.0, 6.0)]
    # an erasure beside an append
    put_log("zoe", run_id="x")(lake)
    at_once(lake, lambda own: erase_from(own, LEAVERS, ["zoe"], run_id="e"), put_log("bob", run_id="y"))
    assert rows_of(lake, "log") == [("bob",)]
    # maintenance beside a merge
    at_once(lake, lambda own: optimize(own, STATE.table, file_mib=1), put_states(("a", 9.0), ("d", 4.0), run_id="v"))
    expected = states(lake, ("a", 9.0), ("b", 2.0), ("c", 3.0), ("d", 4.0)).select("id", "value")
    found = Lake.open(lake.spark, LakeSettings(root=lake.root)).read(STATE.table).select("id", "value")
    assert_df_equality(found, expected, ignore_row_order=True, ignore_nullable=True, ignore_metadata=True)
