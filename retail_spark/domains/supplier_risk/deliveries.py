"""From deliveries to what was known of them: lines, and histories as of the day of prediction. DataFrame to DataFrame.

Days are whole numbers (days since 1970-01-01), so that windows of time are ranges of numbers and sums are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.supplier_risk.recipe import Recipe
from retail_spark.frames.sums import exact_sum
from retail_spark.tables.silver import DELIVERIES

UNKNOWN = "(unknown)"
SHRUNK = "p_shrunk"
"""Column of the shrunk rate, what a model has to beat, and what scores where there is none."""
LONGEST_DELAY_DAYS, LONGEST_EARLY_DAYS = 120, 60
"""Delays beyond these count as these in mean delays: one lost parcel must not make a supplier."""
_PRIOR_RATE, _PRIOR_SHIPMENTS = 0.1, 10.0
"""What lateness is taken for before the first shipment of all is known."""
_COUNTS = ("done", "late", "delay", "due", "closed")
_OUTCOME = ("delivered_on", "recorded_on", "quantity_received", "quantity_rejected", "known_on")
_ORDER = ("purchase_order_id", "promised_on")
_LINE = ("supplier_id", "purchase_order_id", "order_line_id")


def to_lines(
    deliveries: DataFrame, *, as_of: date, predict_days: int, outcome_known: str, promise: str = "first"
) -> DataFrame:
    """One row per line of a purchase order that was known by as_of, with its outcome only where that was known too.

    Adds shipment (lines of one are one event), promised_day, cutoff_day (what is known strictly before it may be
    used to foretell the line), known_day, is_late and delay_days (NULL while open), cancelled_day (NULL unless the
    line was cancelled by as_of) and is_contradictory (ordered after it was delivered). A line is known from its order
    on; where the source does not tell the day, from `predict_days` before the promise. A promise is the `first` one
    where that is told: the last one may have been moved when the delay was known. Receipts of one line are one row.
    """
    told = F.col("recorded_on") if outcome_known == "recorded" else F.lit(None).cast("date")
    known_on = F.when(F.col("delivered_on").isNotNull(), F.greatest("delivered_on", told))
    promised = F.coalesce("first_promised_on", "promised_on") if promise == "first" else F.col("promised_on")
    given = deliveries.transform(_with_gained_columns).withColumn("promised_on", promised)
    planned_on = F.least(F.coalesce(F.to_date("ordered_at"), F.date_sub("promised_on", predict_days)), known_on)
    seen = given.where(planned_on <= F.lit(as_of)).withColumn("known_on", known_on)
    is_known = F.col("known_on") <= F.lit(as_of)
    masked = seen.withColumns({name: F.when(is_known, F.col(name)) for name in _OUTCOME} | _cancelled(as_of))
    return masked.transform(_with_whole_lines).transform(_with_days, as_of=as_of, predict_days=predict_days)


def _with_gained_columns(deliveries: DataFrame) -> DataFrame:
    """NULL for the columns that a table of an older version lacks."""
    gained = [column for column in DELIVERIES.columns if column.nullable and column.name not in deliveries.columns]
    return deliveries.select("*", *[F.lit(None).cast(column.type).alias(column.name) for column in gained])


def _with_whole_lines(receipts: DataFrame) -> DataFrame:
    """One row per order_line_id where there is one: units add up, and it has come when its last receipt has.

    The line is open while one of its rows is. Rows without order_line_id are lines already.
    """
    parts = receipts.where(F.col("order_line_id").isNotNull())
    has_come, is_open = F.col("known_on").isNotNull(), F.col("known_on").isNull() & F.col("cancelled_on").isNull()
    last = {name: F.when(~F.max(is_open), F.max(name)) for name in ("delivered_on", "recorded_on", "known_on")}
    # a rest that was cancelled cancels only a line of which nothing came
    last |= {"cancelled_on": F.when(~F.max(is_open | has_come), F.max("cancelled_on"))}
    last |= {name: exact_sum(F.col(name), scale=6) for name in ("quantity_received", "quantity_rejected")}
    about = [name for name in receipts.columns if name not in {*last, *_LINE}]
    first = F.min_by(F.struct(*about), F.struct(~is_open, "known_on", "delivery_id"))  # an open row before all others
    folded = parts.groupBy(*_LINE).agg(first.alias("_row"), *[value.alias(name) for name, value in last.items()])
    whole = folded.select("_row.*", *_LINE, *last).select(*receipts.columns)
    return receipts.where(F.col("order_line_id").isNull()).unionByName(whole)


def _cancelled(as_of: date) -> dict[str, Column]:
    """cancelled_on, for a line that was cancelled by as_of: from its order on, or its promise, where no day is told.

    A line that is said to be delivered, but not when, is one of which nothing more is expected, too.
    """
    is_gone = F.col("cancelled_on").isNotNull() | F.coalesce(F.col("line_status") != "open", F.lit(False))
    ordered_on = F.when(F.col("line_status") == "cancelled", F.to_date("ordered_at"))
    gone_on = F.coalesce("cancelled_on", F.least(ordered_on, "promised_on"))
    by_then = is_gone & F.col("delivered_on").isNull() & (gone_on <= F.lit(as_of))
    return {"cancelled_on": F.when(by_then, gone_on)}


def _with_days(lines: DataFrame, *, as_of: date, predict_days: int) -> DataFrame:
    """Adds the numbers that `to_lines` promises."""
    latest_cutoff = (as_of + timedelta(days=1) - date(1970, 1, 1)).days
    # a shipment is a supplier's: by its own id, or else an order's lines for one day
    order = [F.when(F.col("shipment_id").isNull(), F.col(name).cast("string")) for name in _ORDER]
    ordered_on = F.to_date("ordered_at")
    return lines.withColumns(
        {
            "shipment": F.to_json(F.array("supplier_id", "shipment_id", *order)),
            "promised_day": F.unix_date("promised_on"),
            "known_day": F.unix_date("known_on"),
            "cutoff_day": F.least(F.unix_date("promised_on") - predict_days, F.lit(latest_cutoff)),
            "delay_days": F.datediff("delivered_on", "promised_on"),
            "is_late": (F.col("delivered_on") > F.col("promised_on")).cast("int"),
            "cancelled_day": F.unix_date("cancelled_on"),
            # an order is told by its moment in UTC, a delivery by a day of the place: a day apart says nothing
            "is_contradictory": F.coalesce(ordered_on > F.date_add("delivered_on", 1), F.lit(False)),
        }
    )


def column_of(name: str) -> Column:
    """A canonical column of deliveries by its name, or else the attribute of that name (text)."""
    if name in DELIVERIES.names:
        return F.col(name)
    return F.try_element_at("attributes", F.lit(name))


def member_of(columns: Sequence[str]) -> Column:
    """The values of a key as one text, a JSON array: no two keys share one."""
    return F.to_json(F.array(*[column_of(name).cast("string") for name in columns]))


def key_name(columns: Sequence[str]) -> str:
    """The name of a history, such as supplier_id_x_destination_country."""
    return "_x_".join(columns)


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
