"""From silver tables to packed series: a row a series, what is known of it by period in arrays."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.forecast.features.calendar import period_of
from retail_spark.domains.forecast.series.panel import KEYS, PAID, PLANNED
from retail_spark.domains.forecast.series.periods import Clock
from retail_spark.domains.forecast.series.renamed import newest_names
from retail_spark.frames.periods import day_of

PARTS = ("quantity", "out", *PAID, *PLANNED, "known")
_ANY = "*"
_UNIT = float(2**20)
_LARGEST = 2e12


def exact_sum(value: Column) -> Column:
    """A sum that no order of its parts changes: to a millionth, infinite where it is too large to be a sum of sales."""
    clipped = F.least(F.greatest(value, F.lit(-_LARGEST)), F.lit(_LARGEST))
    whole = F.when(value.isNotNull(), F.round(clipped * _UNIT).cast("long"))  # greatest passes over a NULL
    return F.when(F.count(value) > 0, F.coalesce(F.try_sum(whole) / _UNIT, F.lit(float("inf"))))


def to_sold(sales: DataFrame, *, clock: Clock, returns: str, renamed: Mapping[str, str]) -> DataFrame:
    """One row per (store_id, product_id, period) with a sale: units, and the price and promotion that were paid.

    All rows of a day add up. Days are those of the shop's time zone, however long. `renamed` maps old ids to new.
    """
    day = day_of("sold_at", time_zone=clock.time_zone)
    is_sale = F.col("quantity") > 0
    units = F.greatest(F.col("quantity"), F.lit(0.0)) if returns == "ignore" else F.col("quantity")
    rows = sales.transform(with_renamed, renamed=renamed).select(
        *KEYS, day.alias("day"), period_of(day, clock=clock).alias("period"), units.alias("units"),
        F.when(is_sale, F.col("quantity")).alias("sold"), *(c for c in ("unit_price", *_SHARES)),
    )  # fmt: skip
    first_day = F.date_add(F.lit(date(1970, 1, 1)), F.col("period") * F.lit(clock.days) + F.lit(clock.offset))
    mean = {
        name: F.try_divide(
            exact_sum(F.col("sold") * F.col(column)), exact_sum(F.when(F.col(column).isNotNull(), F.col("sold")))
        )
        for name, column in zip(PAID, ("unit_price", *_SHARES), strict=True)
    }
    return rows.groupBy(*KEYS, "period").agg(
        F.greatest(exact_sum(F.col("units")), F.lit(0.0)).alias("quantity"),
        *(m.alias(name) for name, m in mean.items()),
        F.min(F.when(F.col("sold").isNotNull(), F.datediff("day", first_day))).cast("double").alias(_LATE),
    )


_LATE = "late"
"""Days from the first day of the period to that of its first sale."""
_SHARES = ("on_promotion", "on_display", "on_deal")


def with_renamed(rows: DataFrame, *, renamed: Mapping[str, str]) -> DataFrame:
    """product_id as it is called now. Same grain."""
    newest = newest_names(renamed)
    if not newest:
        return rows
    pairs = F.create_map(*(F.lit(text) for pair in sorted(newest.items()) for text in pair))
    return rows.withColumn("product_id", F.coalesce(F.try_element_at(pairs, F.col("product_id")), "product_id"))


def to_planned(
    plans: DataFrame, *, clock: Clock, plan_days: int, renamed: Mapping[str, str] = MappingProxyType({})
) -> DataFrame:
    """One row per (store_id, product_id, period): means of the plans in it, and when all of them were known.

    Of plans for one day under an old id and under the new one, the new one's holds.
    """
    columns = dict(zip(PLANNED, ("unit_price", *_SHARES), strict=True))
    plans = plans.transform(_newest_plans, renamed=renamed)
    if clock.frequency == "day" and plan_days > 1:
        days = F.explode(F.sequence(F.lit(0), F.lit(plan_days - 1)))
        plans = plans.withColumn("_more", days).withColumn("date", F.date_add("date", F.col("_more")))
    return plans.groupBy(*KEYS, period_of(F.col("date"), clock=clock).alias("period")).agg(
        *(F.avg(column).alias(name) for name, column in columns.items()),
        period_of(F.max("known_on"), clock=clock).cast("double").alias("known"),
    )


def _newest_plans(plans: DataFrame, *, renamed: Mapping[str, str]) -> DataFrame:
    """One plan a day under the id that a product has now."""
    if not renamed:
        return plans
    names = ("unit_price", *_SHARES, "known_on")
    rows = plans.withColumn("_old", F.col("product_id")).transform(with_renamed, renamed=renamed)
    order = F.struct((F.col("_old") == F.col("product_id")).alias("is_new"), "known_on", "_old")
    newest = F.max_by(F.struct(*names), order).alias("_plan")
    return rows.groupBy(*KEYS, "date").agg(newest).select(*KEYS, "date", "_plan.*")


def to_out(
    inventory: DataFrame, *, clock: Clock, share: float, renamed: Mapping[str, str] = MappingProxyType({})
) -> DataFrame:
    """One row per (store_id, product_id, period): out is 1 where stock was out on that share of the days told.

    What lies there under an old id and under the new one is one stock.
    """
    is_out = F.avg((F.col("on_hand") <= 0).cast("double")) >= share
    if renamed:
        stock = inventory.transform(with_renamed, renamed=renamed).groupBy(*KEYS, "date")
        inventory = stock.agg(F.max("on_hand").alias("on_hand"))  # any of them on hand: it can be sold
    return inventory.groupBy(*KEYS, period_of(F.col("date"), clock=clock).alias("period")).agg(
        is_out.cast("double").alias("out")
    )


def to_periods(sold: DataFrame, *further: DataFrame) -> DataFrame:
    """One row per (store_id, product_id, period) that any of the parts knows, with all of PARTS."""
    frames = [_with_parts(frame) for frame in (sold, *further)]
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.unionByName(frame)
    return whole.groupBy(*KEYS, "period").agg(*(F.max(name).alias(name) for name in (*PARTS, _LATE)))


def _with_parts(frame: DataFrame) -> DataFrame:
    there = set(frame.columns)
    none = F.lit(None).cast("double")
    return frame.select(*KEYS, "period", *(F.col(n) if n in there else none.alias(n) for n in (*PARTS, _LATE)))
