"""From deliveries to what was known of them: lines, and histories as of the day of prediction. DataFrame to DataFrame.

Days are whole numbers (days since 1970-01-01), so that windows of time are ranges of numbers and sums are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.canonical import DELIVERIES
from retail_spark.suppliers.recipe import Recipe

UNKNOWN = "(unknown)"
LONGEST_DELAY_DAYS, LONGEST_EARLY_DAYS = 120, 60
"""Delays beyond these count as these in mean delays: one lost parcel must not make a supplier."""
_PRIOR_RATE, _PRIOR_SHIPMENTS = 0.1, 10.0
"""What lateness is taken for before the first shipment of all is known."""
_COUNTS = ("done", "late", "delay", "due", "closed")


def to_lines(deliveries: DataFrame, *, as_of: date, predict_days: int, outcome_known: str) -> DataFrame:
    """One row per delivery_id that was known by as_of, with its outcome only where that was known too.

    Adds shipment (lines of one are one event), promised_day, cutoff_day (what is known strictly before it may be
    used to foretell the line), known_day, is_late and delay_days (NULL while open). A line is known from its order
    on; where the source does not tell the day, from `predict_days` before the promise. Same grain otherwise.
    """
    told = F.col("recorded_on") if outcome_known == "recorded" else F.lit(None).cast("date")
    known_on = F.when(F.col("delivered_on").isNotNull(), F.greatest("delivered_on", told))
    planned_on = F.least(F.coalesce(F.to_date("ordered_at"), F.date_sub("promised_on", predict_days)), known_on)
    seen = deliveries.where(planned_on <= F.lit(as_of)).withColumn("known_on", known_on)
    is_known = F.col("known_on") <= F.lit(as_of)
    outcome = ("delivered_on", "recorded_on", "quantity_received", "quantity_rejected", "known_on")
    masked = seen.withColumns({name: F.when(is_known, F.col(name)) for name in outcome})
    order = F.concat_ws("@", "purchase_order_id", F.col("promised_on").cast("string"))
    latest_cutoff = (as_of + timedelta(days=1) - date(1970, 1, 1)).days
    return masked.withColumns(
        {
            "shipment": F.coalesce("shipment_id", order),
            "promised_day": F.unix_date("promised_on"),
            "known_day": F.unix_date("known_on"),
            "cutoff_day": F.least(F.unix_date("promised_on") - predict_days, F.lit(latest_cutoff)),
            "delay_days": F.datediff("delivered_on", "promised_on"),
            "is_late": (F.col("delivered_on") > F.col("promised_on")).cast("int"),
        }
    )


def column_of(name: str) -> Column:
    """A canonical column of deliveries by its name, or else the attribute of that name (text)."""
    if name in DELIVERIES.names:
        return F.col(name)
    return F.try_element_at("attributes", F.lit(name))


def member_of(columns: Sequence[str]) -> Column:
    """The values of a key as one text."""
    return F.concat_ws(" | ", *[F.coalesce(column_of(name).cast("string"), F.lit(UNKNOWN)) for name in columns])


def key_name(columns: Sequence[str]) -> str:
    """The name of a history, such as supplier_id_x_destination_country."""
    return "_x_".join(columns)


def to_events(lines: DataFrame) -> DataFrame:
    """One row per (shipment, member): promised_day, and known_day, late, delay (NULL while open).

    Lines of one shipment are one event. It is known when its first line is: what later lines bring does not reach
    back. The delay is cut at LONGEST_DELAY_DAYS and LONGEST_EARLY_DAYS.
    """
    delay = F.greatest(F.least("delay_days", F.lit(LONGEST_DELAY_DAYS)), F.lit(-LONGEST_EARLY_DAYS))
    outcome = F.when(F.col("known_day").isNotNull(), F.struct("known_day", -F.col("is_late"), -delay))
    first = lines.groupBy("shipment", "member").agg(
        F.min("promised_day").alias("promised_day"), F.min(outcome).alias("first")
    )
    return first.select(
        "shipment",
        "member",
        "promised_day",
        F.col("first.known_day").alias("known_day"),
        (-F.col("first.col2")).alias("late"),
        (-F.col("first.col3")).alias("delay"),
    )


def to_counts(events: DataFrame) -> DataFrame:
    """One row per (member, day, kind): what became known that day.

    done, late, delay (sums over shipments whose outcome became known), due (shipments promised for the day) and
    closed (shipments both promised and known by the day): due minus closed is what is overdue.
    """
    zero = {name: F.lit(0) for name in _COUNTS}

    def part(day: Column, **counts: Column) -> DataFrame:
        counted = {**zero, **counts}
        chosen = events.select("member", day.alias("day"), *[counted[n].alias(n) for n in _COUNTS])
        return chosen.where(F.col("day").isNotNull())

    is_known = F.col("known_day").isNotNull()
    done = part(F.col("known_day"), done=F.lit(1), late=F.col("late"), delay=F.col("delay"))
    due = part(F.col("promised_day"), due=F.lit(1))
    both = part(F.when(is_known, F.greatest("promised_day", "known_day")), closed=F.lit(1))
    union = reduce(DataFrame.unionByName, (done, due, both))
    return union.groupBy("member", "day").agg(*[F.sum(n).alias(n) for n in _COUNTS])


def to_history(lines: DataFrame, *, recent_days: Sequence[int]) -> DataFrame:
    """One row per (member, cutoff_day) that `lines` ask for: sums over what was known strictly before that day.

    done, late, delay and overdue over all time; done_<n>, late_<n>, delay_<n> over the last n days.
    """
    asked = lines.select("member", F.col("cutoff_day").alias("day")).distinct()
    asked = asked.select("member", "day", *[F.lit(0).alias(n) for n in _COUNTS], F.lit(True).alias("is_asked"))
    counts = to_counts(to_events(lines)).withColumn("is_asked", F.lit(False))
    by_day = counts.unionByName(asked).groupBy("member", "day").agg(
        *[F.sum(n).alias(n) for n in _COUNTS], F.max("is_asked").alias("is_asked")
    )  # fmt: skip
    by_member = W.partitionBy("member").orderBy("day")
    ever = by_member.rangeBetween(W.unboundedPreceding, -1)
    sums = {f"{n}_ever": F.sum(n).over(ever) for n in _COUNTS}
    for days in recent_days:
        recent = by_member.rangeBetween(-days, -1)
        sums |= {f"{n}_{days}": F.sum(n).over(recent) for n in _COUNTS[:3]}
    summed = by_day.withColumns(sums).where("is_asked")
    names = [f"{n}_{days}" for n in _COUNTS[:3] for days in recent_days]
    filled = [F.coalesce(F.col(n), F.lit(0)).alias(n) for n in names]
    totals = [F.coalesce(F.col(f"{n}_ever"), F.lit(0)).alias(n) for n in _COUNTS[:3]]
    overdue = F.coalesce(F.col("due_ever") - F.col("closed_ever"), F.lit(0)).alias("overdue")
    return summed.select("member", F.col("day").alias("cutoff_day"), *totals, overdue, *filled)


def with_histories(lines: DataFrame, *, recipe: Recipe) -> DataFrame:
    """Adds, for every history key and for all shipments, the features of `history_features`. Same grain.

    The join brings one row a (member, cutoff_day) by construction: to_history groups by them.
    """
    weight, recent, names = recipe.prior_weight, recipe.recent_days, history_names(recipe)
    found = lines
    for name, member in (("all", F.lit("*")), *((key_name(k), member_of(k)) for k in recipe.history_keys)):
        keyed = found.withColumn("member", member)
        history = to_history(keyed, recent_days=recent)
        base = F.lit(_PRIOR_RATE) if name == "all" else F.col("all__rate")
        prior = _PRIOR_SHIPMENTS if name == "all" else weight
        features = history_features(name, base=base, prior_weight=prior, recent_days=recent)
        wanted = [feature for feature, own in names.items() if own == name]
        joined = keyed.join(history, ["member", "cutoff_day"], how="left")
        kept = [c for c in found.columns if c != "cutoff_day"]
        found = joined.select("cutoff_day", *kept, *[features[feature].alias(feature) for feature in wanted])
    return found


def history_features(name: str, *, base: Column, prior_weight: float, recent_days: Sequence[int]) -> dict[str, Column]:
    """Feature name -> value, from the sums of `to_history`.

    <name>__rate is drawn to `base` with prior_weight shipments, <name>__rate_<n> of the last n days to <name>__rate
    with half of that. No feature grows with time itself, as a mere count would: trees cannot extrapolate.
    """
    done, half = F.col("done"), prior_weight / 2
    rate = (F.col("late") + prior_weight * base) / (done + prior_weight)
    found = {f"{name}__rate": rate, f"{name}__delay": F.col("delay") / (done + prior_weight)}
    for days in recent_days:
        recent = F.col(f"done_{days}")
        found[f"{name}__rate_{days}"] = (F.col(f"late_{days}") + half * rate) / (recent + half)
        found[f"{name}__delay_{days}"] = F.col(f"delay_{days}") / (recent + 5)
    longest = F.col(f"done_{max(recent_days)}") if recent_days else done
    found[f"{name}__overdue"] = F.col("overdue") / (longest + F.col("overdue") + 5)
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
