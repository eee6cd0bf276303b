"""How fast sessions are cut: python -m tests.benchmarks.sessions_speed [--events 5000000] [--stored 20000000]

One run, one process. First the kernel beside Spark's session_window and applyInPandas for the same columns (visitor,
start, end, events), with a visitor who has 30 % of all events and without, and beside DuckDB where it is installed.
Then the whole job on a lake: a rebuild, and three increments of 1 % new events, one after the other.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.domains.sessionize.cut import Rule, with_sessions
from retail_spark.domains.sessionize.job import JOB
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.engine.settings_layers import resolve
from retail_spark.lake.commit import carry_out
from retail_spark.lake.lake import Lake
from retail_spark.lake.write import append_once
from retail_spark.spark.session import get_session
from retail_spark.tables.silver import EVENTS

T = TypeVar("T")
GAP_MINUTES = 30
RULE = Rule(gap_micros=GAP_MINUTES * 60 * 1_000_000)
PER_VISITOR = 20
DAYS = 30
FIRST = 1_704_067_200_000_000  # 2024-01-01, microseconds
PANDAS_EVENTS = 200_000
TURNS = 3
SHAPES = (("four events a session", 0.0, 5), ("nearly all alone", 0.0, 0), ("30 % of one visitor", 0.3, 0))
"""Name, share of one visitor, bursts of each visitor (0: every event may be in any of them)."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--stored", type=int, default=20_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sessions_speed_") as home:
        spark = get_session(resolve(sets=[f"lake.root={home}/session", "spark.driver_memory=6g"]))
        if arguments.events:
            kernels(spark, Path(home), arguments.events)
        if arguments.stored:
            increment(spark, Path(home), arguments.stored)
        spark.stop()


def kernels(spark: SparkSession, home: Path, events: int) -> None:
    """The same columns by four engines."""
    for name, hot, bursts in SHAPES:
        path = str(home / f"events_{hot}_{bursts}")
        rows = made(spark, events, hot=hot, bursts=bursts)
        rows.select("event_id", "visitor_id", "occurred_at").write.parquet(path)
        rows = spark.read.parquet(path)
        ours, window, sessions = in_turns(rows)
        print(f"{name}: {events:,} events, {sessions:,} sessions; kernel {ours:.1f} s, session_window {window:.1f} s")
        if name == SHAPES[0][0]:
            few = spark.read.parquet(path).where(F.crc32("visitor_id") % max(1, events // PANDAS_EVENTS) == 0).cache()
            number = few.count()
            pandas, _ = timed(lambda few=few: counted(by_pandas(few)))
            ratio = (pandas / number) / (ours / events)
            print(f"  applyInPandas {pandas:.1f} s for {number:,} events: {ratio:.0f} times the kernel's time an event")
            if find_spec("duckdb"):
                duck, found = timed(lambda path=path: by_duckdb(path))
                print(f"  DuckDB {duck:.1f} s, {found:,} sessions")


def in_turns(events: DataFrame, *, turns: int = TURNS) -> tuple[float, float, int]:
    """The least seconds of our kernel and of session_window, one after the other, and how many sessions both cut."""
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(turns):
        took, ours = timed(lambda: counted(by_kernel(events)))
        seconds["ours"].append(took)
        took, theirs = timed(lambda: counted(by_session_window(events)))
        seconds["theirs"].append(took)
        assert ours == theirs, (ours, theirs)
    return min(seconds["ours"]), min(seconds["theirs"]), ours


def increment(spark: SparkSession, home: Path, stored: int) -> None:
    """A rebuild of the whole job, and runs after 1 % more events of the last day each; logs come in order."""
    settings = resolve(sets=[f"lake.root={home}/lake", "quality.data_docs=false"])
    lake = Lake.open(spark, settings.lake)
    by_day = made(spark, stored).repartitionByRange(DAYS, "occurred_at")
    carry_out(lake, append_once(EVENTS, by_day), run_id="first")
    quiet = Progress("sessionize", quiet=True)
    whole, _ = timed(lambda: run_job(JOB, settings, spark=spark, progress=quiet))
    print(f"rebuild of {stored:,} events {whole:.1f} s: {parts(quiet)}")
    took = []
    for turn in range(TURNS):
        more = made(spark, stored // 100, prefix=f"n{turn}_", first_day=DAYS - 1)
        carry_out(lake, append_once(EVENTS, more), run_id=f"more{turn}")
        quiet = Progress("sessionize", quiet=True)
        seconds, result = timed(lambda quiet=quiet: run_job(JOB, settings, spark=spark, progress=quiet))
        print(f"1 % more {seconds:.1f} s ({seconds / whole:.1%} of a rebuild): {parts(quiet)}")
        print(f"  {dict(result.metrics)}")
        took.append(seconds)
    print(f"median {sorted(took)[TURNS // 2]:.1f} s: {sorted(took)[TURNS // 2] / whole:.1%} of a rebuild")


def made(
    spark: SparkSession, events: int, *, hot: float = 0.0, bursts: int = 5, prefix: str = "e", first_day: int = 0
) -> DataFrame:
    """Events of `events / 20` visitors, in bursts spread over the days; `hot` of them are visitor v0's."""
    visitors = max(1, events // PER_VISITOR)
    number = F.col("id")
    drawn = [F.pmod(F.xxhash64(number, F.lit(f"{prefix}{salt}")), F.lit(1_000_000)) / F.lit(1e6) for salt in range(4)]
    visitor = F.when(drawn[0] < hot, F.lit(0)).otherwise(F.floor(drawn[1] * visitors)).cast("bigint")
    span = (DAYS - first_day) * 24
    slot = F.pmod(F.xxhash64(visitor, F.pmod(number, F.lit(max(bursts, 1)))), F.lit(1_000_000)) / F.lit(1e6)
    burst = F.floor((slot if bursts else drawn[2]) * span / 6) * 6 * 3600
    micros = F.lit(FIRST + first_day * 86_400_000_000) + ((burst + drawn[3] * 2400) * 1e6).cast("bigint")
    kinds = F.array(*map(F.lit, ("page_view", "product_view", "product_view", "add_to_cart", "purchase")))
    kind = F.element_at(kinds, (F.floor(drawn[0] * 5) + 1).cast("int"))
    rows = spark.range(events, numPartitions=max(4, events // 500_000)).select(
        F.concat(F.lit(prefix), number).alias("event_id"),
        F.timestamp_micros(micros).alias("occurred_at"),
        F.concat(F.lit("v"), visitor).alias("visitor_id"),
        kind.alias("event_type"),
        F.concat(F.lit("https://shop.example/p/"), F.pmod(number, F.lit(5000))).alias("page_url"),
        F.concat(F.lit("p"), F.pmod(number, F.lit(5000))).alias("product_id"),
        F.lit("Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0").alias("user_agent"),
        F.lit(9.99).alias("revenue"),
        F.lit("speed").alias("source"),
        F.lit("").alias("row_hash"),
    )
    return rows.withColumns({c.name: F.lit(None).cast(c.type) for c in EVENTS.columns if c.name not in rows.columns})


def by_kernel(events: DataFrame) -> DataFrame:
    """Our sessions."""
    nothing = {name: F.lit(None).cast("string") for name in ("client_session_id", "utm_campaign")}
    cut = events.withColumns(nothing).transform(with_sessions, rule=RULE)
    return cut.groupBy("visitor_id", "session_at").agg(*_columns())


def by_session_window(events: DataFrame) -> DataFrame:
    """Spark's own."""
    return events.groupBy("visitor_id", F.session_window("occurred_at", f"{GAP_MINUTES} minutes")).agg(*_columns())


def by_pandas(events: DataFrame) -> DataFrame:
    """A Python function for each visitor."""

    def cut(rows: pd.DataFrame) -> pd.DataFrame:
        ordered = rows.sort_values(["occurred_at", "event_id"])
        session = (ordered["occurred_at"].diff() > pd.Timedelta(minutes=GAP_MINUTES)).cumsum()
        whole = ordered.groupby(session)["occurred_at"].agg(["min", "max", "size"])
        whole.columns = pd.Index(["started_at", "ended_at", "events"])
        return whole.assign(visitor_id=ordered["visitor_id"].iloc[0])

    return events.groupBy("visitor_id").applyInPandas(
        cut, "visitor_id string, started_at timestamp, ended_at timestamp, events bigint"
    )


def by_duckdb(path: str) -> int:
    """The same in DuckDB's SQL."""
    import duckdb

    query = f"""
        WITH paused AS (
            SELECT *, occurred_at - lag(occurred_at) OVER w > INTERVAL {GAP_MINUTES} MINUTE AS is_pause
            FROM read_parquet('{path}/*.parquet') WINDOW w AS (PARTITION BY visitor_id ORDER BY occurred_at, event_id)
        ), numbered AS (
            SELECT *, sum(coalesce(is_pause, true)::INT) OVER (
                PARTITION BY visitor_id ORDER BY occurred_at, event_id) AS session FROM paused
        )
        SELECT count(*), sum(events) FROM (
            SELECT visitor_id, session, min(occurred_at), max(occurred_at), count(*) AS events
            FROM numbered GROUP BY visitor_id, session)
    """
    return int(duckdb.sql(query).fetchall()[0][0])


def _columns() -> list[Column]:
    return [
        F.min("occurred_at").alias("started_at"),
        F.max("occurred_at").alias("ended_at"),
        F.count(F.lit(1)).alias("events"),
    ]


def counted(sessions: DataFrame) -> int:
    """Sessions, with every column computed."""
    row = sessions.agg(
        F.count(F.lit(1)).alias("n"), F.max("started_at"), F.max("ended_at"), F.sum("events"), F.max("visitor_id")
    )
    return int(row.collect()[0]["n"])


def timed(work: Callable[[], T]) -> tuple[float, T]:
    began = time.monotonic()
    result = work()
    return time.monotonic() - began, result


def parts(progress: Progress) -> str:
    return ", ".join(f"{name} {took:.1f}" for name, took in progress.seconds.items() if took >= 0.5)


if __name__ == "__main__":
    main()
