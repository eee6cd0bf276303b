"""Purchase order lines of the synthetic retailer as silver.deliveries, with the true probability to be late."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.synthetic.assortment import category_name
from retail_spark.synthetic.calendar import date_of
from retail_spark.synthetic.chance import Chance, one_of
from retail_spark.synthetic.deliveries import MODES, to_delivery_lines
from retail_spark.synthetic.settings import JobSettings, World
from retail_spark.tables.silver import DELIVERIES


def world_of(*, lines: int, suppliers: int, weeks: int) -> World:
    return World.of(JobSettings(size="small", deliveries=lines, suppliers=suppliers, weeks=weeks))


def last_day(world: World) -> date:
    return world.settings.end_on


def deliveries(spark: SparkSession, *, world: World, seed: int) -> DataFrame:
    """All columns of silver.deliveries, and p_late, supplier_no and changed_day of the truth."""
    chance = Chance(seed)
    lines = to_delivery_lines(spark, world=world, chance=chance)
    known = ~F.col("is_open")
    units = (F.lit(12) * (1 + chance.pick("ordered units", 20, F.col("line_no")))).cast("double")
    given: dict[str, Column] = {
        "delivery_id": F.col("line_no").cast("string"),
        "purchase_order_id": F.col("order_no").cast("string"),
        "shipment_id": F.col("order_no").cast("string"),
        "supplier_id": F.concat(F.lit("s"), F.col("supplier_no").cast("string")),
        "category": category_name(F.col("supplier_no"), chance=chance),
        "ordered_at": date_of(F.col("ordered_day").cast("int"), world=world).cast("timestamp"),
        "promised_on": date_of(F.col("promised_day").cast("int"), world=world),
        "delivered_on": F.when(known, date_of(F.col("delivered_day").cast("int"), world=world)),
        "recorded_on": F.when(known, date_of(F.col("recorded_day").cast("int"), world=world)),
        "quantity_ordered": units,
        "order_value": units * (1 + chance.uniform("unit value", F.col("line_no"))),
        "ship_mode": one_of(MODES, F.col("mode_no")),
        "origin_country": F.col("country"),
        "destination_country": F.lit("DE"),
    }
    columns = [given.get(c.name, F.lit(None)).cast(c.type).alias(c.name) for c in DELIVERIES.columns]
    truth = [F.col("p_late").alias("true_p"), F.col("supplier_no"), F.col("changed_day")]
    return lines.select(*columns, *truth)
