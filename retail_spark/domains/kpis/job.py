"""The job `kpis`: every figure of the business by day, week, store, channel and category, each defined once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.kpis.lines import to_lines, with_dimensions
from retail_spark.domains.kpis.measures import (
    to_figures,
    to_period_rows,
    to_sales_figures,
    to_session_figures,
    to_spend_figures,
    to_stock_figures,
)
from retail_spark.domains.kpis.settings import JobSettings
from retail_spark.engine.job import Job, Outcome, Run, job
from retail_spark.errors import InputError
from retail_spark.frames.days import last_whole_day
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.frames.periods import day_of, week_of
from retail_spark.frames.sums import exact_sum
from retail_spark.lake.contract import Contract
from retail_spark.lake.write import replace_slice
from retail_spark.tables.kpis import KPIS_DAILY, KPIS_WEEKLY
from retail_spark.tables.marketing import MARKETING_SPEND
from retail_spark.tables.sessionize import SESSIONS
from retail_spark.tables.silver import INVENTORY, PRODUCTS, SALES, STORES
from retail_spark.tables.values import UNKNOWN


@dataclass(frozen=True)
class Shop:
    """What sales say of the shop as a whole."""

    currency: str
    """That of most lines; stock and sessions, which have none, stand in its rows."""
    first_day: date
    has_orders: bool
    has_customers: bool


def kpis(run: Run, settings: JobSettings) -> Outcome:
    """Every figure of the business, each defined once: in the contracts. Raises InputError where nothing was sold."""
    products, stores = _read(run, PRODUCTS), _read(run, STORES)
    last = last_whole_day(run.as_of, time_zone=settings.time_zone)
    lines = to_lines(run.read(SALES), products=products, stores=stores, time_zone=settings.time_zone)
    lines = run.stage("lines", lines.where(F.col("day") <= F.lit(last)))
    shop = _shop(lines, last)
    since = last - timedelta(days=settings.report_days - 1) if settings.report_days else shop.first_day
    since = max(since, shop.first_day)
    days = run.spark.range(1).select(F.explode(F.sequence(F.lit(since), F.lit(last))).alias("day"))
    others = _other_parts(run, settings, products=products, stores=stores)
    others = {name: frame.where(F.col("day") <= F.lit(last)) for name, frame in others.items()}
    parts = {"sales": lines, "days": days, **others}
    daily = _figures(parts, F.col("day"), days=1, shop=shop).where(F.col("period") >= F.lit(since))
    week = week_of(F.col("day"), starts_on=settings.week_starts_on)
    first_week = week_of(F.lit(since), starts_on=settings.week_starts_on)
    weekly = _figures(parts, week, days=7, shop=shop).where(F.col("period") >= first_week)
    return Outcome(
        tables=(
            replace_slice(KPIS_DAILY, daily.withColumnRenamed("period", "day").transform(KPIS_DAILY.select)),
            replace_slice(KPIS_WEEKLY, weekly.withColumnRenamed("period", "week").transform(KPIS_WEEKLY.select)),
        ),
        metrics=_metrics(lines, shop),
    )


JOB: Job = job(
    "kpis",
    settings=JobSettings,
    reads=(SALES,),
    optional=(PRODUCTS, STORES, INVENTORY, SESSIONS, MARKETING_SPEND),
    writes=(KPIS_DAILY, KPIS_WEEKLY),
)(kpis)


def _read(run: Run, contract: Contract) -> DataFrame:
    return run.read(contract) if run.has(contract) else frame_of_rows(run.spark, [], contract.schema)


def _shop(lines: DataFrame, last: date) -> Shop:
    by_currency = lines.groupBy("currency").agg(
        F.count(F.lit(1)).alias("lines"),
        F.min("day").alias("first_day"),
        F.bool_or("has_order").alias("has_orders"),
        F.bool_or(F.col("customer_id").isNotNull()).alias("has_customers"),
    )
    rows = sorted(by_currency.collect(), key=lambda row: (-row["lines"], row["currency"]))  # a handful of currencies
    if not rows:
        raise InputError(
            f"{SALES.name} holds no line up to {last}, the last whole day of the shop.",
            fix="use a later --as-of, or ingest sales of that time",
        )
    return Shop(
        currency=rows[0]["currency"],
        first_day=min(row["first_day"] for row in rows),
        has_orders=any(row["has_orders"] for row in rows),
        has_customers=any(row["has_customers"] for row in rows),
    )


def _other_parts(run: Run, settings: JobSettings, *, products: DataFrame, stores: DataFrame) -> dict[str, DataFrame]:
    """Stock, sessions and spend with their day, each where it is there."""
    parts = {}
    if run.has(INVENTORY):
        stock = run.read(INVENTORY).transform(with_dimensions, products=products, stores=stores)
        parts["stock"] = stock.withColumn("day", F.col("date"))
    if run.has(SESSIONS):
        begun = day_of("started_at", time_zone=settings.time_zone)
        parts["sessions"] = run.read(SESSIONS).withColumn("day", begun)
    if run.has(MARKETING_SPEND):
        spend = run.read(MARKETING_SPEND).withColumn("day", F.col("date"))
        parts["spend"] = spend.withColumn("currency", F.coalesce(F.upper("currency"), F.lit(UNKNOWN)))
    return parts


def _figures(parts: Mapping[str, DataFrame], period: Column, *, days: int, shop: Shop) -> DataFrame:
    dated = {name: frame.withColumn("period", period) for name, frame in parts.items()}
    found = [to_sales_figures(dated["sales"]), to_period_rows(dated["days"], currency=shop.currency)]
    if "stock" in dated:
        found.append(to_stock_figures(dated["stock"], currency=shop.currency))
    if "sessions" in dated:
        found.append(to_session_figures(dated["sessions"], currency=shop.currency))
    if "spend" in dated:
        found.append(to_spend_figures(dated["spend"]))
    return to_figures(*found, days=days, has_orders=shop.has_orders, has_customers=shop.has_customers)


def _metrics(lines: DataFrame, shop: Shop) -> dict[str, float]:
    """All days together, in the currency of most lines."""
    net = (F.col("sold") - F.col("returned")) * F.col("unit_price")
    row = lines.where(F.col("currency") == shop.currency).agg(
        exact_sum(net, scale=6).alias("revenue"),
        F.count_distinct("order").alias("orders"),
        F.count_distinct("buyer").alias("customers"),
    )
    return {name: float(value) for name, value in row.collect()[0].asDict().items() if value is not None}
