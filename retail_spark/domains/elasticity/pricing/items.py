"""Price recommendations and markdown plans: what is known of every item today, and the numpy that decides for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.elasticity.panel.cells import UNIT
from retail_spark.domains.elasticity.pricing.markdown import Ending, plan
from retail_spark.domains.elasticity.pricing.optimise import Item, PriceRules, recommend, stays
from retail_spark.domains.elasticity.settings import JobSettings
from retail_spark.frames.batches import fitted_to, names_of
from retail_spark.stats.arrays import Array

ADVICE_SCHEMA = (
    "store_id string, product_id string, current_price double, recommended_price double, unit_cost double, "
    "expected_units_change double, expected_margin_change double, chance_of_gain double, bound_hit string, "
    "reason string, is_recommended boolean"
)
PLAN_SCHEMA = (
    "store_id string, product_id string, week date, price double, discount double, units_before double, "
    "expected_units double"
)
_RECENT_PERIODS = 8
_STALE_PERIODS = 4


def to_items(rows: DataFrame, answers: DataFrame, inventory: DataFrame | None, products: DataFrame | None) -> DataFrame:
    """One row per unit on sale in the last periods: price, cost, units a period, observed range, stock, elasticity."""
    last = rows.agg(F.max("period").alias("_last"))
    asked = F.coalesce("planned_price", "price_paid")
    recent = F.col("period") > F.col("_last") - _RECENT_PERIODS
    known = rows.crossJoin(F.broadcast(last)).groupBy(*UNIT).agg(
        F.max_by(asked, F.when(asked.isNotNull(), F.col("period"))).alias("current_price"),
        F.max_by("unit_cost", F.when(F.col("unit_cost").isNotNull(), F.col("period"))).alias("unit_cost"),
        F.avg(F.when(recent, F.col("units"))).alias("units"),
        F.min(asked).alias("lowest"),
        F.max(asked).alias("highest"),
        (F.max("_last") - F.max("period")).alias("age"),
    )  # fmt: skip
    alive = known.where((F.col("age") < _STALE_PERIODS) & (F.col("current_price") > 0) & (F.col("units") > 0))
    names = ("category", "elasticity", "std_error", "ci_high", "status", "error")
    items = alive.join(answers.select(*UNIT, *names), on=list(UNIT), how="inner")
    if inventory is None:
        items = items.withColumn("stock", F.lit(None).cast("double"))
    else:
        counted = inventory.groupBy(*UNIT).agg(F.max_by("on_hand", "date").alias("stock"))
        items = items.join(counted, on=list(UNIT), how="left")
    if products is None:
        return items.withColumns({"brand": F.lit(None).cast("string"), "ends_on": F.lit(None).cast("date")})
    about = products.select("product_id", "brand", F.col("discontinued_on").alias("ends_on"))
    return items.join(about, on="product_id", how="left")


def with_ladder(items: DataFrame) -> DataFrame:
    """Adds ladder_low and ladder_high: half-way to the next lower and higher price of the brand in category and store.

    No price that keeps to them changes the order. Items of equal price have the same limits.
    """
    cents = F.round(F.col("current_price") * 100).cast("bigint")
    shelf = W.partitionBy("store_id", "category", "brand").orderBy(cents)
    below = F.max(cents).over(shelf.rangeBetween(W.unboundedPreceding, -1)) / 100
    above = F.min(cents).over(shelf.rangeBetween(1, W.unboundedFollowing)) / 100
    has_brand = F.col("brand").isNotNull()
    price = F.col("current_price")
    return items.withColumns(
        {"ladder_low": F.when(has_brand, (price + below) / 2), "ladder_high": F.when(has_brand, (price + above) / 2)}
    )


def to_advice(items: DataFrame, *, settings: JobSettings, seed: int) -> DataFrame:
    """All columns of gold.price_recommendations. Same grain as the items."""
    rules = PriceRules(
        settings.max_change, settings.min_margin, settings.price_endings, settings.price_step, settings.horizon_periods
    )
    normals = np.random.default_rng(seed).standard_normal(settings.draws)
    none = F.lit(None).cast("double")
    laddered = with_ladder(items) if settings.price_ladder else items.withColumns(
        {"ladder_low": none, "ladder_high": none}
    )  # fmt: skip

    def advise(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            rows = [_advised(row, rules, normals) for row in batch.to_dict("records")]
            yield fitted_to(pd.DataFrame(rows, columns=names_of(ADVICE_SCHEMA)), ADVICE_SCHEMA)

    return laddered.mapInPandas(advise, ADVICE_SCHEMA)


def is_believed(elasticity: float | None, std_error: float | None) -> bool:
    """Both are there and finite."""
    return all(value is not None and bool(np.isfinite(value)) for value in (elasticity, std_error))


def _advised(row: Mapping[Any, Any], rules: PriceRules, normals: Array) -> dict[str, Any]:
    price, cost = float(row["current_price"]), row["unit_cost"]
    if row["status"] != "ok":
        advice = stays(price, f"the price effect is not told by the data ({row['status']}: {row['error']})")
    elif not is_believed(row["elasticity"], row["std_error"]):
        advice = stays(price, "the spread of the elasticity is not finite")
    elif row["elasticity"] >= 0:
        advice = stays(price, "the estimated elasticity is not below zero: units would not fall with a higher price")
    elif cost is None or np.isnan(cost):
        advice = stays(price, "no unit cost is known")
    else:
        advice = recommend(_item(row), rules, normals)
    return {
        "store_id": row["store_id"], "product_id": row["product_id"], "current_price": price,
        "recommended_price": advice.price, "unit_cost": cost, "expected_units_change": advice.units_change,
        "expected_margin_change": advice.margin_change, "chance_of_gain": advice.chance_of_gain,
        "bound_hit": advice.bound_hit, "reason": advice.reason, "is_recommended": advice.is_recommended,
    }  # fmt: skip


def _item(row: Mapping[Any, Any]) -> Item:
    def known(name: str, otherwise: float) -> float:
        value = row[name]
        return otherwise if value is None or np.isnan(value) else float(value)

    return Item(
        price=float(row["current_price"]), cost=float(row["unit_cost"]), units=float(row["units"]),
        elasticity=float(row["elasticity"]), std_error=float(row["std_error"]), ci_high=float(row["ci_high"]),
        lowest=float(row["lowest"]), highest=float(row["highest"]), ladder_low=known("ladder_low", 0.0),
        ladder_high=known("ladder_high", np.inf), stock=known("stock", np.inf),
    )  # fmt: skip


def to_plans(items: DataFrame, *, as_of: date, settings: JobSettings) -> DataFrame:
    """All columns of gold.markdown_plans, for items with an end date ahead, stock, and an elasticity that is told."""
    days = settings.period_days
    latest = as_of + timedelta(days=days * settings.markdown_periods)
    ending = items.where(
        F.col("ends_on").between(F.lit(as_of + timedelta(days=1)), F.lit(latest))
        & (F.col("stock") > 0)
        & (F.col("status") == "ok")
        & (F.col("elasticity") < 0)
    )
    asked = ending.withColumn("periods", F.ceil(F.datediff("ends_on", F.lit(as_of)) / F.lit(days)).cast("int"))
    numbered = asked.withColumn("unit_cost", F.coalesce("unit_cost", F.lit(0.0)))
    start = as_of + timedelta(days=1)

    def make(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            rows = [step for row in batch.to_dict("records") for step in _planned(row, start, settings)]
            yield pd.DataFrame(rows, columns=names_of(PLAN_SCHEMA))

    return numbered.mapInPandas(make, PLAN_SCHEMA)


def _planned(row: Mapping[Any, Any], start: date, settings: JobSettings) -> Iterator[dict[str, Any]]:
    item = Ending(
        float(row["current_price"]), float(row["unit_cost"]), float(row["units"]), float(row["elasticity"]),
        float(row["std_error"]), float(row["stock"]), int(row["periods"]),
    )  # fmt: skip
    path = plan(item, steps=settings.markdown_steps, salvage_share=settings.salvage_share)
    for number, step in enumerate(path):
        yield {
            "store_id": row["store_id"], "product_id": row["product_id"],
            "week": start + timedelta(days=number * settings.period_days), "price": step.price,
            "discount": step.discount, "units_before": step.units_before, "expected_units": step.expected_units,
        }  # fmt: skip
