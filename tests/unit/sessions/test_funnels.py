from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from retail_spark.errors import UsageError
from retail_spark.local_rows import frame_of_rows
from retail_spark.sessions.funnels import to_funnels, to_steps
from retail_spark.sessions.settings import Funnel, Mode, Step
from tests.unit.sessions.events import DAY, at, event, frame

MODES: tuple[Mode, ...] = ("default", "strict_order", "strict_deduplication", "strict_increase")
WINDOW = 3


def funnel(mode: Mode, types: str = "abc") -> Funnel:
    steps = tuple(Step(name=t, where=f"contains(event_type, '{t}')") for t in types)
    return Funnel(steps=steps, window_minutes=WINDOW, mode=mode)


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


def reached(cut: DataFrame, mode: Mode) -> dict[str, int]:
    found = to_steps(cut, funnels={"f": funnel(mode)}).collect()
    return {row.session_id: row.funnel_steps["f"] for row in found}


def walked(events: Sequence[tuple[int, str]], mode: Mode, types: str = "abc") -> int:
    """windowFunnel written down once more, step by step, over (time, types) in order."""
    listed: list[tuple[int, int]] = []
    for minute, kinds in events:
        own = [i for i in range(len(types), 0, -1) if types[i - 1] in kinds]
        listed += [(minute, i) for i in own]
        if mode == "strict_order" and not own:
            listed.append((minute, 0))
    chains: list[tuple[int, int] | None] = [None] * len(types)
    for place, (minute, k) in enumerate(listed):
        if k == 0:
            if chains[0] is not None:
                break
            continue
        before = chains[k - 2] if k > 1 else None
        if k == 1:
            chains[0] = (minute, minute)
        elif mode == "strict_deduplication" and chains[k - 1] is not None:
            return listed[place - 1][1]
        elif mode == "strict_order" and chains[0] is not None and before is None:
            return next(i for i, chain in enumerate(chains) if chain is None)
        elif before is not None:
            in_time = minute <= before[0] + WINDOW and (mode != "strict_increase" or before[1] < minute)
            if in_time:
                chains[k - 1] = (before[0], minute)
                if k == len(types):
                    return k
    return max((i + 1 for i, chain in enumerate(chains) if chain is not None), default=0)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_walks_like_window_funnel_on_a_thousand_sessions(spark: SparkSession, mode: Mode) -> None:
    rng = np.random.default_rng(5)
    told = {}
    for number in range(1000):
        minutes = np.sort(rng.integers(0, 7, size=rng.integers(1, 9)))
        kinds = rng.choice(
            ["a", "b", "c", "d", "ab", "bc", "abc"], size=len(minutes), p=[0.25, 0.2, 0.2, 0.2, 0.05, 0.05, 0.05]
        )
        told[f"s{number:04d}"] = [(int(m), str(k)) for m, k in zip(minutes, kinds, strict=True)]
    expected = {name: walked(events, mode) for name, events in told.items()}
    assert reached(sessions_of(spark, told), mode) == {name: n for name, n in expected.items() if n > 0}
    assert len(set(expected.values())) == 4, "every level occurs"


def test_modes_differ_where_clickhouse_says_they_do(spark: SparkSession) -> None:
    told = {
        "in order": [(0, "a"), (1, "b"), (2, "c")],
        "with another": [(0, "a"), (1, "d"), (1, "b"), (2, "c")],
        "told twice": [(0, "a"), (1, "b"), (2, "b"), (2, "c")],
        "at one moment": [(0, "a"), (0, "b"), (0, "c")],
        "too slow": [(0, "a"), (1, "b"), (4, "c")],
        "without a start": [(0, "b"), (1, "c")],
    }
    cut = sessions_of(spark, told)
    assert reached(cut, "default") == {
        "in order": 3,
        "with another": 3,
        "told twice": 3,
        "at one moment": 3,
        "too slow": 2,
    }
    assert reached(cut, "strict_order")["with another"] == 1
    assert reached(cut, "strict_deduplication")["told twice"] == 2
    assert reached(cut, "strict_increase")["at one moment"] == 1


def test_counts_by_day_leave_robots_out_and_name_every_step(spark: SparkSession) -> None:
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
