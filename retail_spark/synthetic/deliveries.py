"""Purchase orders: suppliers with a known probability to be late, and what came of every line.

log odds of late = supplier + mode of transport + autumn + change, the same for all lines of a shipment. A line is
open while its delivery lies, or was keyed in, after the last day.
"""

from __future__ import annotations

import math

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.synthetic.assortment import COUNTRIES, category_name
from retail_spark.synthetic.calendar import date_of
from retail_spark.synthetic.chance import Chance, label, one_of
from retail_spark.synthetic.exports import money, time_text
from retail_spark.synthetic.settings import World

LINES_PER_ORDER = 3
CHANGED_SHARE = 0.15
MODES = ("road", "road", "road", "sea", "air")
MODE_ODDS = (0.0, 0.0, 0.0, 0.7, -0.5)
MODE_DAYS = (0, 0, 0, 20, -2)
AUTUMN_ODDS = 0.5
INCOTERMS = ("EXW", "FCA", "CIF", "DDP")
_TYPICAL_ODDS = math.log(0.15 / 0.85)


def to_suppliers(spark: SparkSession, *, world: World, chance: Chance) -> DataFrame:
    """One row per supplier_no: log odds of being late by road outside autumn, lead time, and the day of its change."""
    suppliers = spark.range(world.scale.suppliers, numPartitions=1).select(F.col("id").alias("supplier_no"))
    return suppliers.select("supplier_no", *_supplier_columns(world, chance))


def _supplier_columns(world: World, chance: Chance) -> list[Column]:
    """Functions of supplier_no alone, so that ten million lines need no join to know their supplier."""
    number = F.col("supplier_no")
    changes = chance.happens("supplier changes", CHANGED_SHARE, number)
    changed_day = F.lit(world.days // 4) + chance.pick("changed day", world.days // 2, number)
    return [
        (F.lit(_TYPICAL_ODDS) + F.lit(0.8) * chance.normal("late odds", number)).alias("late_odds"),
        (F.lit(5) + chance.pick("lead time", 30, number)).alias("lead_days"),
        F.when(changes, changed_day).alias("changed_day"),
        F.when(changes, F.lit(1.5)).otherwise(F.lit(0.0)).alias("change_odds"),
        one_of(COUNTRIES, chance.pick("country", len(COUNTRIES), number)).alias("country"),
    ]


def to_delivery_lines(spark: SparkSession, *, world: World, chance: Chance) -> DataFrame:
    """One row per line_no of a purchase order, with its true probability to be late and what happened."""
    count = world.scale.deliveries
    lines = spark.range(count, numPartitions=max(2, count // 500_000)).select(F.col("id").alias("line_no"))
    order = F.col("order_no")
    ordered = lines.withColumn("order_no", F.floor(F.col("line_no") / LINES_PER_ORDER)).withColumns(
        {
            # A skew towards low numbers: some suppliers are large.
            "supplier_no": F.floor(F.pow(chance.uniform("supplier", order), F.lit(1.5)) * world.scale.suppliers),
            "ordered_day": chance.pick("ordered", world.days, order),
            "mode_no": chance.pick("mode", len(MODES), order),
        }
    )
    supplied = ordered.select("*", *_supplier_columns(world, chance))
    longer = F.element_at(F.array(*[F.lit(x) for x in MODE_DAYS]), F.col("mode_no") + 1)
    promised = supplied.withColumn("promised_day", F.col("ordered_day") + F.col("lead_days") + longer)
    known = promised.withColumn("p_late", _p_late(world)).withColumn(
        "is_late", chance.uniform("late", order) < F.col("p_late")
    )
    delay = F.when(F.col("is_late"), F.lit(1) + chance.geometric("delay", 5.0, order)).otherwise(
        -chance.pick("early", 3, order)
    )
    delivered = known.withColumn("delivered_day", F.greatest(F.col("promised_day") + delay, F.col("ordered_day") + 1))
    recorded = delivered.withColumn("recorded_day", F.col("delivered_day") + chance.pick("recorded", 3, order))
    return recorded.withColumn("is_open", F.col("recorded_day") >= world.days)


def _p_late(world: World) -> Column:
    is_autumn = F.month(date_of(F.col("promised_day"), world=world)) >= 10
    changed = F.coalesce(F.col("promised_day") >= F.col("changed_day"), F.lit(False))
    odds = (
        F.col("late_odds")
        + F.element_at(F.array(*[F.lit(x) for x in MODE_ODDS]), F.col("mode_no") + 1)
        + F.when(is_autumn, F.lit(AUTUMN_ODDS)).otherwise(F.lit(0.0))
        + F.when(changed, F.col("change_odds")).otherwise(F.lit(0.0))
    )
    return F.round(F.lit(1.0) / (F.lit(1.0) + F.exp(-odds)), 6)


def to_delivery_list(lines: DataFrame, *, world: World, chance: Chance) -> DataFrame:
    """One row per line as the purchasing system exports it."""
    line, order = F.col("line_no"), F.col("order_no")
    scale = world.scale
    own = F.greatest(F.ceil((F.lit(scale.products) - F.col("supplier_no")) / scale.suppliers), F.lit(1))
    product = (F.col("supplier_no") + scale.suppliers * chance.pick("ordered product", own, line)) % scale.products
    ordered = F.lit(12) * (F.lit(1) + chance.pick("ordered units", 20, line))
    is_short = chance.happens("short", 0.08, line)
    received = F.when(is_short, F.ceil(ordered * (F.lit(0.8) + F.lit(0.2) * chance.uniform("share", line)))).otherwise(
        ordered
    )
    rejected = F.when(chance.happens("rejected", 0.03, line), F.ceil(ordered * 0.04)).otherwise(F.lit(0))
    is_known = ~F.col("is_open")

    def day(name: str) -> Column:
        return date_of(F.col(name).cast("int"), world=world).cast("string")

    def when_known(value: Column) -> Column:
        return F.when(is_known, value.cast("bigint").cast("string"))

    return lines.select(
        label("D", line, 8).alias("line"),
        label("PO", order, 7).alias("po"),
        label("SH", order, 7).alias("shipment"),
        label("SUP", F.col("supplier_no"), 5).alias("supplier"),
        label("P", product, 6).alias("sku"),
        category_name(product, chance=chance).alias("category"),
        time_text(F.col("ordered_day"), chance.pick("ordered at", 86_400, order), world=world).alias("ordered_at"),
        day("promised_day").alias("promised_on"),
        F.when(is_known, day("delivered_day")).alias("delivered_on"),
        F.when(is_known, day("recorded_day")).alias("recorded_on"),
        ordered.cast("string").alias("qty_ordered"),
        when_known(received).alias("qty_received"),
        when_known(rejected).alias("qty_rejected"),
        money(ordered * (F.lit(0.5) + F.lit(4.0) * chance.uniform("unit value", line))).alias("value"),
        one_of(MODES, F.col("mode_no")).alias("mode"),
        F.col("country").alias("origin"),
        F.lit("DE").alias("destination"),
        one_of(INCOTERMS, chance.pick("incoterm", len(INCOTERMS), order)).alias("incoterm"),
    )


def to_supplier_list(suppliers: DataFrame) -> DataFrame:
    """One row per supplier."""
    name = F.concat_ws(" ", F.lit("Supplier"), (F.col("supplier_no") + 1).cast("string"))
    return suppliers.select(label("SUP", F.col("supplier_no"), 5).alias("supplier"), name.alias("name"), "country")


def to_true_suppliers(suppliers: DataFrame, *, world: World) -> DataFrame:
    """One row per supplier_id."""

    def rate(odds: Column) -> Column:
        return F.round(F.lit(1.0) / (F.lit(1.0) + F.exp(-odds)), 6)

    after = F.when(F.col("changed_day").isNotNull(), rate(F.col("late_odds") + F.col("change_odds")))
    return suppliers.select(
        label("SUP", F.col("supplier_no"), 5).alias("supplier_id"),
        rate(F.col("late_odds")).alias("late_rate"),
        date_of(F.col("changed_day"), world=world).alias("changed_on"),
        after.alias("late_rate_after"),
        F.col("lead_days").alias("lead_time_days"),
    )


def to_true_deliveries(lines: DataFrame) -> DataFrame:
    """One row per delivery_id."""
    return lines.select(
        label("D", F.col("line_no"), 8).alias("delivery_id"),
        label("SUP", F.col("supplier_no"), 5).alias("supplier_id"),
        "p_late",
        "is_late",
    )
