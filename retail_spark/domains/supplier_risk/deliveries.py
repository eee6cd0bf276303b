"""From deliveries to what was known of them: lines, and histories as of the day of prediction. DataFrame to DataFrame.

Days are whole numbers (days since 1970-01-01), so that windows of time are ranges of numbers and sums are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.frames.sums import exact_sum
from retail_spark.tables.silver import DELIVERIES

UNKNOWN = "(unknown)"
LONGEST_DELAY_DAYS, LONGEST_EARLY_DAYS = 120, 60
"""Delays beyond these count as these in mean delays: one lost parcel must not make a supplier."""
_PRIOR_RATE, _PRIOR_SHIPMENTS = 0.1, 10.0
"""What lateness is taken for before the first shipment of all is known."""
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
