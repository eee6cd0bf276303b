"""Deliveries written down by hand, and made up by the dozen."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.tables.silver import DELIVERIES

EPOCH = date(1970, 1, 1)


def day(number: int) -> date:
    """Day `number` of 2024, 0 for January 1."""
    return date(2024, 1, 1) + timedelta(days=number)


def at_noon(number: int) -> datetime:
    """Noon of day `number`."""
    return datetime(2024, 1, 1, 12) + timedelta(days=number)


def order(number: int, *, promised: int, delivered: int | None, **more: Any) -> dict[str, Any]:
    """A line; days are counted from 2024-01-01."""
    values = {
        "delivery_id": f"d{number:05d}",
        "purchase_order_id": f"po{number:05d}",
        "supplier_id": "acme",
        "promised_on": day(promised),
        "delivered_on": None if delivered is None else day(delivered),
        "quantity_ordered": 10.0,
        "source": "made_up",
        "row_hash": f"{number:032x}",
    }
    return values | more


def deliveries(spark: SparkSession, *rows: dict[str, Any]) -> DataFrame:
    """silver.deliveries of these lines."""
    full = [tuple(row.get(name) for name in DELIVERIES.names) for row in rows]
    return frame_of_rows(spark, full, DELIVERIES.schema)


def many(
    shipments: int = 400, *, suppliers: int = 8, days: int = 700, seed: int = 5, dear_are_late: float = 0.0
) -> list[dict[str, Any]]:
    """Shipments of one to three lines; supplier and mode decide how late they are; the last ones are open.

    With `dear_are_late` every third shipment is dear, and late more often by that chance: what no rate of a supplier or
    lane tells.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for number in range(shipments):
        supplier = int(rng.integers(suppliers))
        mode = ("road", "sea", "air")[int(rng.integers(3))]
        ordered = int(rng.integers(days))
        promised = ordered + 10 + supplier
        is_dear = dear_are_late > 0 and number % 3 == 0
        p = min(0.9, 0.04 + 0.08 * supplier + (0.25 if mode == "sea" else 0.0) + dear_are_late * is_dear)
        delay = int(1 + rng.geometric(0.3)) if rng.random() < p else -int(rng.integers(4))
        delivered = max(promised + delay, ordered + 1)
        for line in range(int(rng.integers(1, 4))):
            rows.append(
                order(
                    number * 10 + line,
                    promised=promised,
                    delivered=delivered,
                    shipment_id=f"sh{number}",
                    purchase_order_id=f"po{number}",
                    supplier_id=f"s{supplier}",
                    product_id=f"p{supplier}-{line}",
                    category=f"c{supplier % 3}",
                    ship_mode=mode,
                    ordered_at=at_noon(ordered),
                    recorded_on=day(delivered + int(rng.integers(2))),
                    origin_country=("CN", "PL")[supplier % 2],
                    destination_country="DE",
                    quantity_received=10.0 - (line == 2),
                    quantity_rejected=0.0,
                    order_value=float(100 + 10 * supplier) * (5 if is_dear else 1),
                )
            )
    return rows
