"""Histories of suppliers and their like, as of the day of prediction. DataFrame to DataFrame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.supplier_risk.deliveries import (
    _PRIOR_RATE,
    _PRIOR_SHIPMENTS,
    LONGEST_DELAY_DAYS,
    LONGEST_EARLY_DAYS,
    key_name,
    member_of,
)
from retail_spark.domains.supplier_risk.recipe import Recipe

SHRUNK = "p_shrunk"
"""Column of the shrunk rate, what a model has to beat, and what scores where there is none."""
_COUNTS = ("done", "late", "delay", "due", "closed")


def to_events(lines: DataFrame) -> DataFrame:
    """One row per (shipment, member): promised_day, known_day, late, delay (NULL while open), and cancelled_day.

    Lines of one shipment are one event. It is known when its first line is: what later lines bring does not reach
    back. It is cancelled (NULL unless so) when all its lines are; is_overdue, where lines have that, is of a shipment
    of which nothing came. The delay is cut at LONGEST_DELAY_DAYS and LONGEST_EARLY_DAYS.
    """
    delay = F.greatest(F.least("delay_days", F.lit(LONGEST_DELAY_DAYS)), F.lit(-LONGEST_EARLY_DAYS))
    outcome = F.when(F.col("known_day").isNotNull(), F.struct("known_day", -F.col("is_late"), -delay))
    is_cancelled = F.min(F.col("cancelled_day").isNotNull())
    overdue = {}
    if "is_overdue" in lines.columns:
        has_come = F.max(F.col("known_day").isNotNull() & ~F.col("is_overdue"))
        overdue = {"is_overdue": F.max("is_overdue") & ~has_come}
    first = lines.groupBy("shipment", "member").agg(
        F.min("promised_day").alias("promised_day"),
        F.min(outcome).alias("first"),
        *[value.alias(name) for name, value in overdue.items()],
        F.when(is_cancelled, F.max("cancelled_day")).alias("cancelled_day"),
    )
    return first.select(
        "shipment",
        "member",
        "promised_day",
        "cancelled_day",
        *overdue,
        F.col("first.known_day").alias("known_day"),
        (-F.col("first.col2")).alias("late"),
        (-F.col("first.col3")).alias("delay"),
    )


def to_counts(events: DataFrame) -> DataFrame:
    """Up to three rows per (shipment, member): member, day, and what became known that day.

    done, late, delay (of a shipment whose outcome became known), due (one promised for the day) and closed (one both
    promised and known, or cancelled, by the day): due minus closed is what is overdue.
    """
    ended_day = F.coalesce("known_day", "cancelled_day")

    def part(day: Column, **counts: Column) -> Column:
        counted = [counts.get(name, F.lit(0)).cast("long").alias(name) for name in _COUNTS]
        return F.struct(day.alias("day"), *counted)

    parts = F.array(
        part(F.col("known_day"), done=F.lit(1), late=F.col("late"), delay=F.col("delay")),
        part(F.col("promised_day"), due=F.lit(1)),
        part(F.when(ended_day.isNotNull(), F.greatest("promised_day", ended_day)), closed=F.lit(1)),
    )
    return events.select("member", F.inline(parts)).where(F.col("day").isNotNull())


def to_history(lines: DataFrame, *, recent_days: Sequence[int]) -> DataFrame:
    """One row per (member, cutoff_day) that `lines` ask for: sums over what was known strictly before that day.

    done, late, delay and overdue over all time; done_<n>, late_<n>, delay_<n> over the last n days.
    """
    zeros = [F.lit(0).cast("long").alias(name) for name in _COUNTS]
    asked = lines.select("member", F.col("cutoff_day").alias("day"), *zeros, F.lit(True).alias("is_asked"))
    marks = to_counts(to_events(lines)).withColumn("is_asked", F.lit(False)).unionByName(asked)
    by_day = marks.groupBy("member", "day").agg(
        *[F.sum(n).alias(n) for n in _COUNTS], F.max("is_asked").alias("is_asked")
    )
    by_member = W.partitionBy("member").orderBy("day")
    ever = by_member.rangeBetween(W.unboundedPreceding, -1)
    sums = {f"{n}_ever": F.sum(n).over(ever) for n in _COUNTS}
    for days in recent_days:
        recent = by_member.rangeBetween(-days, -1)
        sums |= {f"{n}_{days}": F.sum(n).over(recent) for n in _COUNTS[:3]}
    summed = by_day.withColumns(sums).where("is_asked")
    names = sums_of(recent_days)
    overdue = F.coalesce(F.col("due_ever") - F.col("closed_ever"), F.lit(0)).alias("overdue")
    kept = [F.coalesce(F.col(f"{n}_ever" if n in _COUNTS else n), F.lit(0)).alias(n) for n in names if n != "overdue"]
    return summed.select("member", F.col("day").alias("cutoff_day"), *kept, overdue)


def sums_of(recent_days: Sequence[int]) -> tuple[str, ...]:
    """The names of the sums of `to_history`."""
    return (*_COUNTS[:3], *(f"{n}_{days}" for n in _COUNTS[:3] for days in recent_days), "overdue")


def with_histories(lines: DataFrame, *, recipe: Recipe) -> DataFrame:
    """Adds, for every history key and for all shipments, the features of `history_features`, and SHRUNK. Same grain.

    All histories are one pass: a line has a member in each, and their sums come back beside each other.
    """
    keys = {"all": F.lit("*"), **{key_name(k): member_of(k) for k in recipe.history_keys}}
    members = F.array(*[F.concat(F.lit(f"{name}="), member) for name, member in keys.items()])
    asking = lines.select(
        "delivery_id", "shipment", "promised_day", "known_day", "is_late", "delay_days", "cutoff_day", "cancelled_day",
        F.posexplode(members).alias("place", "member"),
    )  # fmt: skip
    names = sums_of(recipe.recent_days)
    # one row a (member, cutoff_day): to_history groups by them
    told = asking.join(to_history(asking, recent_days=recipe.recent_days), ["member", "cutoff_day"], how="inner")
    sums = F.struct(*names)
    beside = told.groupBy("delivery_id").agg(
        *[F.max(F.when(F.col("place") == place, sums)).alias(f"_{place}") for place in range(len(keys))]
    )
    joined = lines.join(beside, "delivery_id", how="inner")  # one row a line, whose key delivery_id is
    rated = joined.withColumns(_rates(keys, recipe)).withColumn(SHRUNK, _shrunk(keys, recipe))
    return rated.drop(*[f"_{place}" for place in range(len(keys))])


def _shrunk(keys: Iterable[str], recipe: Recipe) -> Column:
    """The rate of the history key of most columns (the first of them), such as supplier by lane.

    What is overdue on that day is late for certain and counts as that, where the recipe looks at what is overdue.
    """
    finest = max(recipe.history_keys, key=len)
    sums = F.col(f"_{list(keys).index(key_name(finest))}")
    overdue = sums["overdue"] if "overdue" in recipe.history_kinds else F.lit(0)
    weight = recipe.prior_weight
    return (sums["late"] + overdue + weight * F.col("all__rate")) / (sums["done"] + overdue + weight)


def _rates(keys: Iterable[str], recipe: Recipe) -> dict[str, Column]:
    """Feature name -> value, from the structs of sums; every rate is drawn to that of all shipments."""
    wanted = history_names(recipe)
    found: dict[str, Column] = {}
    overall = F.lit(_PRIOR_RATE)
    for place, name in enumerate(keys):
        prior = _PRIOR_SHIPMENTS if name == "all" else recipe.prior_weight
        base = overall
        features = history_features(
            name, sums=F.col(f"_{place}"), base=base, prior_weight=prior, recent_days=recipe.recent_days
        )
        if name == "all":
            overall = features["all__rate"]
        found |= {feature: value for feature, value in features.items() if feature in wanted}
    return found


def history_features(
    name: str, *, sums: Column, base: Column, prior_weight: float, recent_days: Sequence[int]
) -> dict[str, Column]:
    """Feature name -> value, from a struct of the sums of `to_history`.

    <name>__rate is drawn to `base` with prior_weight shipments, <name>__rate_<n> of the last n days to <name>__rate
    with half of that. No feature grows with time itself, as a mere count would: trees cannot extrapolate.
    """
    done, half = sums["done"], prior_weight / 2
    rate = (sums["late"] + prior_weight * base) / (done + prior_weight)
    found = {f"{name}__rate": rate, f"{name}__delay": sums["delay"] / (done + prior_weight)}
    for days in recent_days:
        recent = sums[f"done_{days}"]
        found[f"{name}__rate_{days}"] = (sums[f"late_{days}"] + half * rate) / (recent + half)
        found[f"{name}__delay_{days}"] = sums[f"delay_{days}"] / (recent + 5)
    longest = sums[f"done_{max(recent_days)}"] if recent_days else done
    found[f"{name}__overdue"] = sums["overdue"] / (longest + sums["overdue"] + 5)
    return found


def history_names(recipe: Recipe) -> dict[str, str]:
    """Feature name -> name of its history, in the order of `with_histories`. The rates are always there."""
    found: dict[str, str] = {}
    wanted = {"rate", *recipe.history_kinds}
    for name in ("all", *(key_name(k) for k in recipe.history_keys)):
        kinds = ["rate", "delay", *(f"{kind}_{days}" for days in recipe.recent_days for kind in ("rate", "delay"))]
        kept = [kind for kind in (*kinds, "overdue") if kind.partition("_")[0] in wanted]
        found |= {f"{name}__{kind}": name for kind in kept}
    return found
