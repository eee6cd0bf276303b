"""Funnels: how far each session came, by the rules of ClickHouse's windowFunnel, and the counts by day.

windowFunnel walks a session's matches by time, then by step, and keeps, per step, when the chain that reached it began
and when it was last extended: here a fold over an array, inside Spark. Its mode strict_once keeps several chains
and is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.sessionize.settings import Funnel
from retail_spark.errors import UsageError
from retail_spark.frames.periods import day_of

_STATE = "struct<began:array<bigint>,last:array<bigint>,ended:int>"


def to_steps(cut: DataFrame, *, funnels: Mapping[str, Funnel]) -> DataFrame:
    """One row per session_id that entered a funnel: funnel_steps, the steps completed by funnel.

    Raises UsageError for a step whose condition Spark cannot resolve.
    """
    matched = {name: _matches(cut, name, funnel) for name, funnel in funnels.items()}
    if not matched:
        return cut.select("session_id", F.lit(None).cast("map<string,int>").alias("funnel_steps")).limit(0)
    any_match = reduce(lambda a, b: a | b, [F.size(m) > 0 for m in matched.values()])
    wanted = cut.select(
        "session_id",
        F.struct(
            "event_number",
            F.unix_micros("occurred_at").alias("at"),
            *[steps.alias(name) for name, steps in matched.items()],
        ).alias("_match"),
        any_match.alias("_any"),
    ).where("_any")
    walks = wanted.groupBy("session_id").agg(F.collect_list("_match").alias("_matches"))
    levels = {name: _level(F.col("_matches"), name, funnel) for name, funnel in funnels.items()}
    pairs = F.array(*[F.struct(F.lit(name).alias("key"), level.alias("value")) for name, level in levels.items()])
    reached = F.filter(pairs, lambda pair: pair["value"] > 0)
    return walks.select("session_id", F.map_from_entries(reached).alias("funnel_steps")).where(
        F.size("funnel_steps") > 0
    )


def to_funnels(sessions: DataFrame, *, funnels: Mapping[str, Funnel], time_zone: str) -> DataFrame:
    """One row per (date, funnel, step); steps that no session of an entered funnel completed count 0."""
    names = [
        F.struct(F.lit(name).alias("funnel"), F.lit(i + 1).alias("step"), F.lit(step.name).alias("step_name"))
        for name, funnel in funnels.items()
        for i, step in enumerate(funnel.steps)
    ]
    people = sessions.where(~F.col("is_bot"))
    day = day_of("started_at", time_zone=time_zone).alias("date")
    levels = people.select(day, "visitor_id", F.explode("funnel_steps").alias("funnel", "level"))
    reached = levels.select("date", "funnel", "visitor_id", F.explode(F.sequence(F.lit(1), "level")).alias("step"))
    counted = reached.groupBy("date", "funnel", "step").agg(
        F.count_distinct("visitor_id").alias("visitors"), F.count(F.lit(1)).alias("sessions")
    )
    counts = F.map_from_entries(F.collect_list(F.struct("step", F.struct("visitors", "sessions"))))
    entered = counted.groupBy("date", "funnel").agg(counts.alias("_counts"))  # who is anywhere passed the first step
    all_steps = F.array(*names) if names else F.array().cast("array<struct<funnel:string,step:int,step_name:string>>")
    own_steps = F.filter(all_steps, lambda s: s["funnel"] == F.col("funnel"))
    steps = entered.select("date", "funnel", "_counts", F.explode(own_steps).alias("s"))
    found = F.try_element_at("_counts", F.col("s.step"))
    numbers = [F.coalesce(found[name], F.lit(0)).alias(name) for name in ("visitors", "sessions")]
    whole = steps.select("date", "funnel", "s.step", "s.step_name", *numbers)
    by_step = W.partitionBy("date", "funnel").orderBy("step")
    before, first = F.lag("sessions").over(by_step), F.first("sessions").over(by_step)
    return whole.withColumns(
        {
            "conversion_from_previous": F.when(before > 0, F.col("sessions") / before),
            "conversion_from_start": F.col("sessions") / first,
        }
    )


def _matches(cut: DataFrame, name: str, funnel: Funnel) -> Column:
    """The steps that an event fulfils; [0] for no step where strict_order wants to know of it."""
    numbers: list[Column] = []
    for i, step in enumerate(funnel.steps, start=1):
        condition = F.expr(step.where)
        try:
            kind = cut.select(condition.alias("c")).schema["c"].dataType.typeName()
        except AnalysisException as error:
            raise UsageError(
                f"sessionize.funnels.{name}, step {step.name}: {str(error).splitlines()[0]}",
                fix="write a SQL condition over the columns of silver.events",
            ) from error
        if kind != "boolean":
            raise UsageError(
                f"sessionize.funnels.{name}, step {step.name}: {step.where!r} is a {kind}, not a condition.",
                fix="write a SQL condition, such as event_type = 'purchase'",
            )
        numbers.append(F.when(condition, F.lit(i)))
    found = F.array_compact(F.array(*numbers))
    if "strict_order" not in funnel.mode:
        return found
    return F.when(F.size(found) > 0, found).otherwise(F.array(F.lit(0)))


def _level(matches: Column, name: str, funnel: Funnel) -> Column:
    """Steps completed by the matches of a session."""
    each = lambda m: F.transform(m[name], lambda k: F.struct(m["at"].alias("at"), k.alias("k")))  # noqa: E731
    in_order = F.sort_array(F.flatten(F.transform(matches, each)))  # by time, then by step
    count = len(funnel.steps)
    nothing = F.array_repeat(F.lit(None).cast("bigint"), count)
    start = F.struct(nothing.alias("began"), nothing.alias("last"), F.lit(None).cast("int").alias("ended"))
    highest = lambda state: F.coalesce(state["ended"], _reached(state, count))  # noqa: E731
    return F.aggregate(in_order, start.cast(_STATE), lambda state, one: _walked(state, one, funnel), highest)


def _window(funnel: Funnel) -> int:
    """The window in microseconds."""
    return round(funnel.window_minutes * 60_000_000)


def _reached(state: Column, count: int) -> Column:
    """The highest step of which the state knows a chain."""
    steps = [F.when(F.element_at(state["began"], i).isNotNull(), F.lit(i)) for i in range(count, 0, -1)]
    return F.coalesce(*steps, F.lit(0))


def _at(array: Column, place: Column) -> Column:
    """The element at a place from 1; NULL for place 0."""
    return F.when(place > 0, F.try_element_at(array, F.greatest(place, F.lit(1))))


def _walked(state: Column, one: Column, funnel: Funnel) -> Column:
    """The state after one match."""
    count, mode = len(funnel.steps), funnel.mode
    at, k = one["at"], one["k"]
    began, last, entered = state["began"], state["last"], F.element_at(state["began"], 1).isNotNull()
    from_began = _at(began, k - 1)
    is_first, is_new = k == 1, from_began.isNotNull()
    fits = is_new & (at <= from_began + _window(funnel))
    if "strict_increase" in mode:
        fits = fits & (_at(last, k - 1) < at)
    ended = F.lit(None).cast("int")
    if "strict_deduplication" in mode:
        ended = F.when((k > 1) & _at(last, k).isNotNull(), _reached(state, count))
    if "strict_order" in mode:
        ended = F.coalesce(ended, F.when(entered & (k == 0), _reached(state, count)))
    if "strict_order" in mode and "allow_reentry" not in mode:
        gaps = [F.when(F.element_at(began, i).isNull(), F.lit(i - 1)) for i in range(1, count + 1)]
        ended = F.coalesce(ended, F.when(entered & (k > 1) & ~is_new, F.coalesce(*gaps, F.lit(count))))
    ended = F.coalesce(ended, F.when(fits & (k == count), F.lit(count)))
    sets = (is_first | F.coalesce(fits, F.lit(False))) & F.coalesce(ended == count, ended.isNull())
    chain = F.when(is_first, at).otherwise(from_began)
    after = F.struct(
        F.when(sets, _put(began, k, chain)).otherwise(began).alias("began"),
        F.when(sets, _put(last, k, at)).otherwise(last).alias("last"),
        ended.alias("ended"),
    )
    return F.when(state["ended"].isNotNull(), state).otherwise(after.cast(_STATE))


def _put(array: Column, place: Column, value: Column) -> Column:
    return F.transform(array, lambda old, i: F.when(i == place - 1, value).otherwise(old))
