"""A small shop as silver tables, with everything in it that the job must survive."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.contract import Contract

START = date(2023, 1, 2)
WEEKS = 60
LAST = START + timedelta(days=7 * (WEEKS - 1))
ELASTICITY = {"dense": -2.5, "sparse": -1.5}
_MEAN = {"dense": 80.0, "sparse": 0.8}
Row = dict[str, Any]


def shaped(spark: SparkSession, contract: Contract, rows: list[Row]) -> DataFrame:
    """The rows in the shape of a silver table; what is not given is NULL."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    kinds = {c.name: c.type.simpleString() for c in contract.columns}
    frame = frame_of_rows(
        spark, [tuple(row.get(name) for name in names) for row in rows], ", ".join(f"{n} {kinds[n]}" for n in names)
    )
    fixed = {"source": F.lit("made_up"), "row_hash": F.lit("0")}
    return frame.select(
        *[
            (fixed[c.name] if c.name in fixed else F.col(c.name) if c.name in names else F.lit(None))
            .cast(c.type)
            .alias(c.name)
            for c in contract.columns
        ]
    )


def shop() -> tuple[list[Row], list[Row], list[Row]]:
    """Sales, planned prices and products: two categories, six products each, four stores; prices are the chain's."""
    rng = np.random.default_rng(4)
    sales: list[Row] = []
    planned: list[Row] = []
    for category in ELASTICITY:
        for product in range(6):
            name = f"{category}{product}"
            chain = rng.normal(0, 0.15, WEEKS)
            promoted = rng.uniform(size=WEEKS) < 0.15
            for store in range(4):
                level = _MEAN[category] * float(np.exp(rng.normal(0, 0.3)))
                for week in range(WEEKS):
                    log_price = float(chain[week] + rng.normal(0, 0.05))
                    price = round(3 * float(np.exp(log_price)), 2)
                    mean = level * float(np.exp(ELASTICITY[category] * np.log(price / 3) + 0.3 * promoted[week]))
                    day = START + timedelta(days=7 * week)
                    told = {"store_id": f"s{store}", "product_id": name, "on_promotion": float(promoted[week])}
                    planned.append({**told, "date": day, "unit_price": price, "known_on": day})
                    units = float(rng.poisson(mean))
                    if units > 0:
                        sales.append({**told, **line(day, units, price)})
    products: list[Row] = [
        {"product_id": f"{c}{n}", "category": c, "brand": f"b{n % 2}", "unit_cost": 1.5,
         "discontinued_on": LAST + timedelta(days=40) if n == 0 else None}
        for c in ELASTICITY
        for n in range(6)
    ]  # fmt: skip
    products.append({"product_id": "not_identified", "category": "solo"})
    return sales, planned, products


def line(day: date, units: float, price: float, currency: str = "EUR") -> Row:
    """What every line has beside store and product."""
    return {
        "sold_at": datetime.combine(day, time(12)),
        "quantity": units,
        "unit_price": price,
        "currency": currency,
        "unit_cost": 1.5,
    }


def troublesome() -> Iterator[Row]:
    """Store-products whose elasticity cannot be told, each named after why."""
    rng = np.random.default_rng(9)
    for week in range(40):
        day, units = START + timedelta(days=7 * week), float(rng.poisson(30))
        yield {"store_id": "s0", "product_id": "no_price_variation", **line(day, units, 2.0)}
        promoted = float(week % 3 == 0)
        yield {"store_id": "s0", "product_id": "collinear", "on_promotion": promoted,
               **line(day, units, 1.6 if promoted else 2.0)}  # fmt: skip
        yield {"store_id": "s0", "product_id": "not_identified", **line(day, units, float(rng.uniform(2, 3)))}
        yield {"store_id": "mixed", "product_id": "mixed_currency",
               **line(day, units, float(rng.uniform(2, 3)), ("EUR", "USD")[week % 2])}  # fmt: skip
    yield {"store_id": "s0", "product_id": "too_few_weeks", **line(START, 5.0, 2.0)}
    yield {"store_id": "s0", "product_id": "no_valid_sales", **line(START, 0.0, 2.0)}
    yield {"store_id": "s0", "product_id": "no_valid_sales", **line(START, 5.0, 0.0)}
    yield {"store_id": "s0", "product_id": "no_valid_sales", **line(START, -5.0, 2.0)}
    yield {"store_id": "s0", "product_id": "dense1", **line(START, 1.0, 300.0)}  # a typo
    yield {"store_id": "s0", "product_id": "dense2", **line(START, 1.0, 3.0, "USD")}


def one_shop() -> tuple[list[Row], list[Row]]:
    """Sales and products of a shop of one store: three products, one or two units a week for 100 weeks."""
    rng = np.random.default_rng(6)
    sales: list[Row] = []
    for product in "abc":
        for week in range(100):
            price = round(3 * float(np.exp(rng.normal(0, 0.2))), 2)
            units = 1.0 + float(rng.uniform() < 0.5 * (price / 3) ** -2)
            sales.append(
                {"store_id": "web", "product_id": product, **line(START + timedelta(days=7 * week), units, price)}
            )
    return sales, [{"product_id": product, "category": "all sorts"} for product in "abc"]
