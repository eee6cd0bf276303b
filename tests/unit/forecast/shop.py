"""Sales written down by hand, and made up by the dozen; panels without Spark."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from retail_spark.domains.forecast.recipe import Recipe
from retail_spark.domains.forecast.series.missing_data import SOLD
from retail_spark.domains.forecast.series.panel import PAID, PEERS, PLANNED, Panel, to_panel
from retail_spark.domains.forecast.settings import JobSettings
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.contract import Contract
from retail_spark.stats.arrays import Array
from retail_spark.tables.silver import PLANNED_PRICES, PRODUCTS, SALES, STORES

MONDAY = date(2023, 1, 2)


def recipe_of(**given: Any) -> Recipe:
    """A small recipe: no booster, two weeks ahead."""
    small: dict[str, Any] = {"horizon": 2, "windows": 3, "step": 2, "global_model": False, "transform": "raw"}
    return JobSettings(**(small | given)).recipe()


def packed_of(series: dict[str, list[float]], *, end: int = 100, reach: int = 2, **more: Any) -> pd.DataFrame:
    """Packed series whose last value is that of period `end`; a name is `store/product`."""
    rows = []
    width = max(map(len, series.values()), default=1)
    for name, values in series.items():
        store, product = name.split("/")
        periods = list(range(end - len(values) + 1, end + 1))
        blank = [float("nan")] * len(values)
        row: dict[str, Any] = {
            "store_id": store, "product_id": product, "category": "c", "region": "r", "first": periods[0],
            "is_closed": False, "period": periods, "quantity": values, "out": blank,
            "peer_y": [2.0] * width + [float("nan")] * reach, "store_state": [SOLD] * width, "sold_from": periods[0],
            "is_late": False, "is_stores": False, **dict.fromkeys(PEERS[1:], [float("nan")] * (width + reach)),
        }  # fmt: skip
        row |= dict.fromkeys((*PAID, *PLANNED, "known"), blank)
        rows.append(row | more)
    return pd.DataFrame(rows)


def panel_of(series: dict[str, list[float]], *, end: int = 100, reach: int = 2, **more: Any) -> Panel:
    """The panel of packed_of."""
    width = max(map(len, series.values()), default=1)
    return to_panel(packed_of(series, end=end, reach=reach, **more), end=end, periods=width, future=reach)


def block(*rows: list[float]) -> Array:
    return np.array(rows, dtype=np.float64)


def sale(number: int, *, at: datetime, quantity: float = 1.0, **more: Any) -> dict[str, Any]:
    values = {
        "sale_id": f"s{number:06d}", "sold_at": at, "store_id": "north", "product_id": "milk", "quantity": quantity,
        "unit_price": 1.0, "source": "made_up", "row_hash": f"{number:032x}",
    }  # fmt: skip
    return values | more


def frame_of(spark: SparkSession, contract: Contract, rows: list[dict[str, Any]]) -> DataFrame:
    """A canonical table of these rows."""
    origin = {"source": "made_up", "row_hash": "0"}
    full = [tuple((origin | row).get(name) for name in contract.names) for row in rows]
    return frame_of_rows(spark, full, contract.schema)


def shop(weeks: int = 60, *, stores: int = 3, products: int = 8, seed: int = 3) -> dict[Contract, list[dict[str, Any]]]:
    """A small shop with a yearly wave and promotions that are planned: SALES, PLANNED_PRICES, PRODUCTS, STORES."""
    rng = np.random.default_rng(seed)
    sales: list[dict[str, Any]] = []
    plans: list[dict[str, Any]] = []
    for s in range(stores):
        for p in range(products):
            for w in range(weeks + 4):
                day = MONDAY + timedelta(days=7 * w)
                is_deal = rng.random() < 0.2
                price = 2.0 * (0.7 if is_deal else 1.0)
                key = {"store_id": f"s{s}", "product_id": f"p{p}"}
                plans.append({**key, "date": day, "unit_price": price, "on_deal": float(is_deal),
                              "known_on": day - timedelta(days=28)})  # fmt: skip
                level = 0.4 if p == products - 1 else 4.0 * (1 + s + p) * (1 + 0.3 * np.sin(w / 8))
                units = float(rng.poisson(level * (2.2 if is_deal else 1.0)))
                if w < weeks and units:
                    at = datetime(day.year, day.month, day.day, 12) + timedelta(days=2)
                    sales.append(sale(len(sales), at=at, quantity=units, unit_price=price, **key))
    last = datetime.combine(MONDAY + timedelta(days=7 * weeks - 1), datetime.min.time())
    sales.append(sale(len(sales), at=last, quantity=1.0, store_id="s0", product_id="p0"))
    return {
        SALES: sales,
        PLANNED_PRICES: plans,
        PRODUCTS: [{"product_id": f"p{p}", "category": f"c{p % 2}"} for p in range(products)],
        STORES: [{"store_id": f"s{s}", "region": f"r{s % 2}"} for s in range(stores)],
    }
