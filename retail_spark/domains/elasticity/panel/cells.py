"""From sales lines to the panel: one row per store, product and period, with prices of periods without a sale too."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.frames.periods import day_of

SHARES = ("on_promotion", "on_display", "on_deal")
UNIT = ("store_id", "product_id")
CELL = (*UNIT, "period")
PLANNED = ("planned_price", *[f"planned_{name}" for name in SHARES])
_MONDAY = date(1970, 1, 5)
_MUCH = 10.0
"""Products that a store sells in an ordinary period, from which on a period without any sale is no chance."""
_EVERYWHERE = "*"


def period_of(day: Column, *, days: int) -> Column:
    """The number of the period that a date lies in; a week begins on Monday."""
    return F.floor(F.datediff(day, F.lit(_MONDAY)) / F.lit(days)).cast("int")


def first_day_of(period: Column, *, days: int) -> Column:
    """The first day of a period."""
    return F.date_add(F.lit(_MONDAY), (period * F.lit(days)).cast("int"))


def to_cells(lines: DataFrame, *, days: int, time_zone: str = "UTC") -> DataFrame:
    """One row per (store_id, product_id, period) with a valid line; `lines` have is_valid (lines.py).

    price, list_price, unit_cost and the shares are means weighted by units; shop currency per unit.
    """
    day = day_of("sold_at", time_zone=time_zone)
    valid = lines.where("is_valid").withColumn("period", period_of(day, days=days))

    def mean(name: str) -> Column:
        known = F.when(F.col(name).isNotNull(), F.col("quantity"))
        return (F.sum(F.col(name) * F.col("quantity")) / F.sum(known)).alias(name)

    return valid.groupBy(*CELL).agg(
        F.sum("quantity").alias("units"),
        mean("unit_price").alias("price"),
        mean("list_price"),
        mean("unit_cost"),
        *[mean(name) for name in SHARES],
    )


def to_planned(planned: DataFrame, *, days: int) -> DataFrame:
    """One row per (store_id, product_id, period): the planned price and shares, means over its dates."""
    dated = planned.withColumn("period", period_of(F.col("date"), days=days))
    price = F.when(F.col("unit_price") > 0, F.col("unit_price"))
    return dated.groupBy(*CELL).agg(
        F.avg(price).alias("planned_price"), *[F.avg(name).alias(f"planned_{name}") for name in SHARES]
    )


def to_stockouts(inventory: DataFrame, *, days: int) -> DataFrame:
    """One row per (store_id, product_id, period) in which nothing was on hand on some day."""
    empty = inventory.where(F.col("on_hand") <= 0)
    return empty.select(*UNIT, period_of(F.col("date"), days=days).alias("period")).distinct()


def to_listed(cells: DataFrame, planned: DataFrame | None) -> DataFrame:
    """The cells, and every period between a unit's first and last sale without one: nothing was sold then.

    Plans add what they know of a period and never decide whether it counts: where they hold promotions only, the
    periods outside of them are listed as well. Left out are periods in which a store that sells much sold nothing at
    all: it was closed, or its data are missing. Same columns as the cells, with units 0 where nothing was sold, the
    planned columns, and is_planned.
    """
    span = cells.groupBy(*UNIT).agg(F.min("period").alias("first"), F.max("period").alias("last"))
    whole = span.select(*UNIT, F.explode(F.sequence("first", "last")).alias("period"))
    listed = whole.join(cells, on=list(CELL), how="left")
    if planned is None:
        nothing = {name: F.lit(None).cast("double") for name in PLANNED}
        listed = listed.withColumns({**nothing, "is_planned": F.lit(False)})
    else:
        listed = listed.join(planned.withColumn("is_planned", F.lit(True)), on=list(CELL), how="left")
        listed = listed.withColumn("is_planned", F.coalesce("is_planned", F.lit(False)))
    listed = listed.withColumn("units", F.coalesce("units", F.lit(0.0))).withColumn("is_sold", F.col("units") > 0)
    return listed.transform(_without_closed_periods)


def _without_closed_periods(listed: DataFrame) -> DataFrame:
    sold = F.count_if("is_sold").over(W.partitionBy("store_id", "period"))
    counted = listed.withColumn("_sold", sold)
    counted = counted.withColumn(
        "_typical", F.avg(F.when(F.col("_sold") > 0, F.col("_sold"))).over(W.partitionBy("store_id"))
    )
    return counted.where((F.col("_sold") > 0) | (F.col("_typical") < _MUCH)).drop("_sold", "_typical")


def with_shares(listed: DataFrame) -> DataFrame:
    """The shares as sold, else as planned, else as in the other stores that period, else 0. Same grain.

    Also listed_<share>, which no own sale has a part in: as planned, else as in the other stores, else 0. A deal that
    is known only where something was sold would explain every sale by itself.
    """
    everywhere = W.partitionBy("product_id", "period")
    found = {}
    for name in SHARES:
        known = F.coalesce(name, f"planned_{name}")
        total, count = F.sum(known).over(everywhere), F.count(known).over(everywhere)
        own, is_own = F.coalesce(known, F.lit(0.0)), known.isNotNull().cast("int")
        others = F.when(count > is_own, (total - own) / (count - is_own))
        found[f"listed_{name}"] = F.coalesce(F.col(f"planned_{name}"), others, F.lit(0.0))
        found[name] = F.coalesce(known, F.avg(known).over(everywhere), F.lit(0.0))
    return listed.withColumns(found).drop(*[f"planned_{name}" for name in SHARES])


def with_categories(rows: DataFrame, products: DataFrame | None, stores: DataFrame | None) -> DataFrame:
    """Adds category, region and product_cost; `*` where none is known. product_id and store_id are keys there."""
    if products is None:
        found = rows.withColumns({"category": F.lit(None).cast("string"), "product_cost": F.lit(None).cast("double")})
    else:
        few = products.select("product_id", "category", F.col("unit_cost").alias("product_cost"))
        found = rows.join(few, on="product_id", how="left")
    if stores is None:
        found = found.withColumn("region", F.lit(None).cast("string"))
    else:
        found = found.join(F.broadcast(stores.select("store_id", "region")), on="store_id", how="left")
    return found.withColumns(
        {
            "category": F.coalesce("category", F.lit(_EVERYWHERE)),
            "region": F.coalesce("region", F.lit(_EVERYWHERE)),
            "unit_cost": F.coalesce("unit_cost", "product_cost"),
        }
    ).drop("product_cost")


def to_sparsity(listed: DataFrame, *, units: float, zero_share: float) -> DataFrame:
    """One row per category: median units of sold cells, share of cells without a sale, and is_sparse by the rule.

    Where most sold cells hold one unit, or many cells none, a regression of the log of sold units truncates the
    response: is_sparse, and Poisson with the zeros is the default.
    """
    per = listed.groupBy("category").agg(
        F.percentile_approx(F.when(F.col("is_sold"), F.col("units")), 0.5).alias("median_units"),
        F.avg((~F.col("is_sold")).cast("double")).alias("zero_share"),
    )
    is_sparse = (F.coalesce("median_units", F.lit(0.0)) <= units) | (F.col("zero_share") > zero_share)
    return per.withColumn("is_sparse", is_sparse)
