"""Bad rows, a known number of every kind: what a real export has, and what ingest must find.

Every bad row is made for the purpose; none of the good rows is touched. Two kinds come as pairs: an exact duplicate
(the twin is dropped) and a key with two versions (the loser is quarantined), so each leaves one good row behind.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.contract import Contract
from retail_spark.synthetic.chance import Chance, label
from retail_spark.synthetic.contracts import RAW_DELIVERIES, RAW_EVENTS, RAW_INVENTORY, RAW_SALES
from retail_spark.synthetic.exports import time_text
from retail_spark.synthetic.settings import World

DROPPED = "exact_duplicates"


@dataclass(frozen=True)
class Fault:
    """A kind of bad row: the values that are wrong (None: missing), and the rule of ingest that it breaks."""

    table: Contract
    kind: str
    rule: str
    values: dict[str, str | None] = field(default_factory=dict)
    twin: dict[str, str] | None = None
    """For a pair: how the second row differs."""


FAULTS = (
    Fault(RAW_SALES, "no_line", "null_key", {"line": None}),
    Fault(RAW_SALES, "no_store", "null:store_id", {"store": None}),
    Fault(RAW_SALES, "number_in_words", "bad_value:quantity", {"qty": "two"}),
    Fault(RAW_SALES, "impossible_date", "bad_value:sold_at", {"sold_at": "2024-02-31 10:00:00"}),
    Fault(RAW_SALES, "far_future", "implausible_date:sold_at", {"sold_at": "2999-12-31 10:00:00"}),
    Fault(RAW_SALES, "negative_price", "check:unit_price_valid", {"price": "-1.99"}),
    Fault(RAW_SALES, "broken_text", "bad_encoding", {"sku": "P0000\ufffd1"}),
    Fault(RAW_SALES, "same_line_twice", DROPPED, twin={}),
    Fault(RAW_SALES, "line_with_two_quantities", "key_conflict", twin={"qty": "7"}),
    Fault(RAW_INVENTORY, "number_in_words", "bad_value:on_hand", {"on_hand": "many"}),
    Fault(RAW_EVENTS, "no_visitor", "null:visitor_id", {"visitor": None}),
    Fault(RAW_EVENTS, "impossible_time", "bad_value:occurred_at", {"occurred_at": "2024-01-01 25:61:00.000"}),
    Fault(RAW_EVENTS, "same_event_twice", DROPPED, twin={}),
    Fault(RAW_DELIVERIES, "no_promise", "null:promised_on", {"promised_on": None}),
    Fault(RAW_DELIVERIES, "negative_units", "check:quantity_ordered_valid", {"qty_ordered": "-12"}),
)


def to_bad_rows(spark: SparkSession, contract: Contract, *, world: World, chance: Chance) -> DataFrame:
    """The bad rows of a raw table, and the good halves of its pairs. Columns as the contract has them."""
    faults = [fault for fault in FAULTS if fault.table is contract]
    numbers = spark.range(world.scale.bad_rows, numPartitions=1).select(F.col("id").alias("number"))
    kinds = F.explode(F.array(*[F.lit(at) for at in range(len(faults))])).alias("fault")
    pairs = [at for at, fault in enumerate(faults) if fault.twin is not None]
    copies = F.when(F.col("fault").isin(pairs), F.array(F.lit(0), F.lit(1))).otherwise(F.array(F.lit(0)))
    rows = numbers.select("number", kinds).select("*", F.explode(copies).alias("twin"))
    good = _good_row(contract, world, chance)
    columns = [_with_faults(good.get(name, F.lit(None)), name, faults).alias(name) for name in contract.names[1:]]
    return rows.select(*columns)


def _with_faults(good: Column, name: str, faults: list[Fault]) -> Column:
    value = good.cast("string")
    for at, fault in enumerate(faults):
        if name in fault.values:
            value = F.when(F.col("fault") == at, F.lit(fault.values[name])).otherwise(value)
        if fault.twin is not None and name in fault.twin:
            is_twin = (F.col("fault") == at) & (F.col("twin") == 1)
            value = F.when(is_twin, F.lit(fault.twin[name])).otherwise(value)
    return value


def _good_row(contract: Contract, world: World, chance: Chance) -> dict[str, Column]:
    """A plausible row of the table, with a key of its own."""
    number = F.col("number") * len(FAULTS) + F.col("fault")
    key = F.concat(F.lit("BAD"), number)
    day = chance.pick(f"bad day of {contract.name}", world.days - 30, number)
    moment = time_text(day, F.lit(12 * 3600) + F.col("number") % 3600, world=world)
    store, product = F.lit("S0000"), label("P", number % world.scale.products, 6)
    rows: dict[str, dict[str, Column]] = {
        RAW_SALES.name: {
            "line": key,
            "receipt": F.concat(F.lit("G"), key),
            "sold_at": moment,
            "store": store,
            "sku": product,
            "qty": F.lit("1"),
            "price": F.lit("1.99"),
            "regular_price": F.lit("1.99"),
            "cost": F.lit("1.00"),
            "advertised": F.lit("0"),
            "displayed": F.lit("0"),
            "deal": F.lit("0"),
        },
        RAW_INVENTORY.name: {"store": store, "sku": product, "day": F.substring(moment, 1, 10), "on_hand": F.lit("5")},
        RAW_EVENTS.name: {
            "event": key,
            "occurred_at": F.concat(moment, F.lit(".000")),
            "received_at": F.concat(moment, F.lit(".500")),
            "visitor": F.concat(F.lit("V"), key),
            "type": F.lit("page_view"),
            "page": F.lit("https://shop.example/"),
        },
        RAW_DELIVERIES.name: {
            "line": key,
            "po": F.concat(F.lit("PO"), key),
            "shipment": F.concat(F.lit("SH"), key),
            "supplier": F.lit("SUP00000"),
            "sku": F.lit("P000000"),
            "ordered_at": moment,
            "promised_on": F.substring(moment, 1, 10),
            "qty_ordered": F.lit("12"),
            "destination": F.lit("DE"),
        },
    }
    return rows[contract.name]


def to_true_bad_rows(spark: SparkSession, *, world: World) -> DataFrame:
    """One row per (table, kind): how many rows ingest must quarantine, or drop as exact duplicates."""
    count = world.scale.bad_rows
    rows = [(fault.table.name, fault.kind, fault.rule, count) for fault in FAULTS]
    return frame_of_rows(spark, rows, "table string, kind string, rule string, rows bigint")


def bad_row_count(world: World) -> int:
    """Rows to be quarantined or dropped, over all tables."""
    return len(FAULTS) * world.scale.bad_rows
