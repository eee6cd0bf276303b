from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from retail_spark.domains.sessionize.funnels import to_funnels, to_steps
from retail_spark.domains.sessionize.settings import Funnel, Step
from retail_spark.errors import UsageError
from retail_spark.frames.local_rows import frame_of_rows
from tests.unit.sessionize.events import DAY, at, event, frame
from tests.unit.sessionize.walks import Match, Walk

MODES = (
    "default", "strict_order", "strict_deduplication", "strict_increase", "strict_order, allow_reentry",
)  # fmt: skip
WINDOW = 3


def funnel(mode: str, types: str = "abc") -> Funnel:
    steps = tuple(Step(name=t, where=f"contains(event_type, '{t}')") for t in types)
    return Funnel.model_validate({"steps": steps, "window_minutes": WINDOW, "mode": mode})


def sessions_of(spark: SparkSession, told: dict[str, Sequence[tuple[int, str]]]) -> DataFrame:
    """Sessions from (minute, types): `ab` is an event that fulfils two steps."""
    rows = []
    for session, events in told.items():
        for number, (minute, types) in enumerate(events, start=1):
            moment = DAY + timedelta(minutes=minute)
            rows.append((session, number, event(session, moment, number, event_type=types)))
    named = frame(spark, [one for *_, one in rows])
    numbers = frame_of_rows(
        spark, [(o["event_id"], s, n) for s, n, o in rows], "event_id string, session_id string, event_number bigint"
    )
    return named.join(numbers, on="event_id", how="inner")


def reached(cut: DataFrame, *modes: str) -> dict[str, dict[str, int]]:
    """Mode -> session -> steps."""
    found = to_steps(cut, funnels={mode: funnel(mode) for mode in modes}).collect()
    return {mode: {r.session_id: r.funnel_steps[mode] for r in found if mode in r.funnel_steps} for mode in modes}


def walked(events: Sequence[tuple[int, str]], mode: str, types: str = "abc") -> int:
    """The same by the plain walk, whose rules test_walks.py holds to ClickHouse's answers."""
    matches: list[Match] = []
    for number, (minute, kinds) in enumerate(events, start=1):
        own = [i for i, step in enumerate(types, start=1) if step in kinds]
        if "strict_order" in mode and not own:
            own = [0]
        matches += [(minute, i, number) for i in own]
    return Walk(len(types), WINDOW, mode.split(", ")).level(matches)


def test_every_mode_walks_like_window_funnel_on_a_thousand_sessions(spark: SparkSession) -> None:
    rng = np.random.default_rng(5)
    told = {}
    for number in range(1000):
        minutes = np.sort(rng.integers(0, 7, size=rng.integers(1, 9)))
        kinds = rng.choice(
            ["a", "b", "c", "d", "ab", "bc", "abc"], size=len(minutes), p=[0.25, 0.2, 0.2, 0.2, 0.05, 0.05, 0.05]
        )
        told[f"s{number:04d}"] = [(int(m), str(k)) for m, k in zip(minutes, kinds, strict=True)]
    # a view and a cart in one second, in either order of their ids
    told |= {"cart first": [(0, "b"), (0, "a"), (1, "c")], "view first": [(0, "a"), (0, "b"), (1, "c")]}
    found = reached(sessions_of(spark, told), *MODES)
    for mode in MODES:
        expected = {name: walked(events, mode) for name, events in told.items()}
        assert found[mode] == {name: n for name, n in expected.items() if n > 0}, mode
        assert len(set(expected.values())) == 4, "every level occurs"
    assert found["default"]["cart first"] == found["default"]["view first"] == 3


def test_counts_by_day_leave_bots_out_and_name_every_step(spark: SparkSession) -> None:
    rows = [
        ("ann", "23:30:00", {"f": 3}, False),
        ("ann", "10:00:00", {"f": 1}, False),
        ("bob", "10:00:00", {"f": 1}, False),
        ("bot", "10:00:00", {"f": 3}, True),
        ("cat", "10:00:00", None, False),
    ]
    made = frame_of_rows(
        spark,
        [(v, at(when), steps, bot) for v, when, steps, bot in rows],
        "visitor_id string, started_at timestamp, funnel_steps map<string,int>, is_bot boolean",
    )
    found = to_funnels(made, funnels={"f": funnel("default")}, time_zone="Europe/Berlin").orderBy("date", "step")
    assert [
        tuple(row)[:6]
        for row in found.select("date", "step", "step_name", "visitors", "sessions", "conversion_from_start").collect()
    ] == [
        (DAY.date(), 1, "a", 2, 2, 1.0),
        (DAY.date(), 2, "b", 0, 0, 0.0),
        (DAY.date(), 3, "c", 0, 0, 0.0),
        ((DAY + timedelta(days=1)).date(), 1, "a", 1, 1, 1.0),
        ((DAY + timedelta(days=1)).date(), 2, "b", 1, 1, 1.0),
        ((DAY + timedelta(days=1)).date(), 3, "c", 1, 1, 1.0),
    ]
    shares = [row.conversion_from_previous for row in found.collect()]
    assert shares == [None, 0.0, None, None, 1.0, 1.0]


@pytest.mark.parametrize("where", ["no_such_column = 1", "event_type"])
def test_a_step_that_is_no_condition_is_refused_by_name(spark: SparkSession, where: str) -> None:
    bad = Funnel(steps=(Step(name="first", where=where),))
    with pytest.raises(UsageError, match=r"sessionize.funnels.f, step first"):
        to_steps(sessions_of(spark, {"s": [(0, "a")]}), funnels={"f": bad})
