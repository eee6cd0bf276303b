"""From sales lines to the panel: one row per store, product and period, with prices of periods without a sale too."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

SHARES = ("on_promotion", "on_display", "on_deal")
UNIT = ("store_id", "product_id")
CELL = (*UNIT, "period")
_MONDAY = date(1970, 1, 5)
_EVERYWHERE = "*"


def period_of(day: Column, *, days: int) -> Column:
    """The number of the period that a date lies in; a week begins on Monday."""
    return F.floor(F.datediff(day, F.lit(_MONDAY)) / F.lit(days)).cast("int")


def first_day_of(period: Column, *, days: int) -> Column:
    """The first day of a period."""
    return F.date_add(F.lit(_MONDAY), (period * F.lit(days)).cast("int"))


def is_valid_line() -> Column:
    """A sale that says something about price: units and price above zero. Returns and gifts do not."""
    return (F.col("quantity") > 0) & (F.col("unit_price") > 0)


def to_sold_units(sales: DataFrame) -> DataFrame:
    """One row per (store_id, product_id) with any line: valid_lines, and whether its store mixes currencies."""
    mixed = sales.groupBy("store_id").agg((F.count_distinct("currency") > 1).alias("is_mixed"))
    units = sales.groupBy(*UNIT).agg(
        F.count_if(is_valid_line()).alias("valid_lines"), F.count_if(~is_valid_line()).alias("left_out_lines")
    )
    return units.join(F.broadcast(mixed), on="store_id", how="inner")


def to_cells(sales: DataFrame, *, days: int) -> DataFrame:
    """One row per (store_id, product_id, period) with a valid line.

    price, list_price, unit_cost and the shares are means weighted by units; shop currency per unit.
    """
    period = period_of(F.to_date("sold_at"), days=days)
    lines = sales.where(is_valid_line()).withColumn("period", period)

    def mean(name: str) -> Column:
        known = F.when(F.col(name).isNotNull(), F.col("quantity"))
        return (F.sum(F.col(name) * F.col("quantity")) / F.sum(known)).alias(name)

    return lines.groupBy(*CELL).agg(
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
    """The cells, and those between a unit's first and last sale without one: planned where plans are known, else all.

    Same columns as the cells, with units 0 where nothing was sold, and the planned columns.
    """
    span = cells.groupBy(*UNIT).agg(F.min("period").alias("first"), F.max("period").alias("last"))
    if planned is None:
        whole = span.select(*UNIT, F.explode(F.sequence("first", "last")).alias("period"))
        for name in ("planned_price", *[f"planned_{share}" for share in SHARES]):
            whole = whole.withColumn(name, F.lit(None).cast("double"))
    else:
        is_inside = F.col("period").between(F.col("first"), F.col("last"))
        whole = planned.join(span, on=list(UNIT), how="inner").where(is_inside).drop("first", "last")
    listed = whole.join(cells, on=list(CELL), how="full")
    return listed.withColumn("units", F.coalesce("units", F.lit(0.0))).withColumn("is_sold", F.col("units") > 0)


def with_shares(listed: DataFrame) -> DataFrame:
    """The shares as sold, else as planned, else as in the other stores that period, else 0. Same grain."""
    everywhere = W.partitionBy("product_id", "period")
    return listed.withColumns(
        {
            name: F.coalesce(
                F.col(name), F.col(f"planned_{name}"), F.avg(F.coalesce(name, f"planned_{name}")).over(everywhere),
                F.lit(0.0),
            )
            for name in SHARES
        }
    ).drop(*[f"planned_{name}" for name in SHARES])  # fmt: skip


def with_chain_price(listed: DataFrame) -> DataFrame:
    """Adds chain_price: the log price relative to its unit's mean, averaged over the other stores that sold it.

    Leave-one-out, so that a period's own sale (or none) has no part in it. Same grain.
    """
    relative = F.ln("price") - F.avg(F.ln("price")).over(W.partitionBy(*UNIT))
    known = listed.withColumn("_relative", relative)
    everywhere = W.partitionBy("product_id", "period")
    total, count = F.sum("_relative").over(everywhere), F.count("_relative").over(everywhere)
    own, is_own = F.coalesce("_relative", F.lit(0.0)), F.col("_relative").isNotNull().cast("int")
    others = count - is_own
    return known.withColumn("chain_price", F.when(others > 0, (total - own) / others)).drop("_relative")


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


def with_price_columns(rows: DataFrame, *, base_periods: int) -> DataFrame:
    """Adds what regressions see: y, price, base_price, discount, cost, other_markets, rival_price. Same grain.

    price is the log of the own price, or in sparse categories of the planned price, else the chain's. y is the log of
    units, or in sparse categories units over the unit's mean. Rows without a price are left out.
    """
    unit = W.partitionBy(*UNIT)
    chain = F.col("chain_price") + F.avg(F.ln("price")).over(unit)
    listed = F.coalesce(F.ln("planned_price"), chain)
    price = F.when(F.col("is_sparse"), listed).otherwise(F.ln("price"))
    kept = rows.withColumn("price_paid", F.col("price")).withColumn("price", price)
    kept = kept.where(F.col("price").isNotNull() & (F.col("is_sparse") | F.col("is_sold")))
    before = unit.orderBy("period").rangeBetween(-base_periods, 0)
    base = F.greatest(F.coalesce(F.ln("list_price"), F.max("price").over(before)), F.col("price"))
    relative = F.coalesce(F.try_divide("units", F.avg("units").over(unit)), F.lit(0.0))
    y = F.when(F.col("is_sparse"), relative).otherwise(F.ln("units"))
    cost = F.when(F.col("unit_cost") > 0, F.ln("unit_cost"))
    filled = F.coalesce(cost, F.avg(cost).over(unit))
    kept = kept.withColumns(
        {"y": y, "base_price": base, "cost": filled, "_relative": F.col("price") - F.avg("price").over(unit)}
    )
    kept = kept.withColumn("discount", F.col("price") - F.col("base_price"))
    return kept.transform(_with_other_prices).drop("_relative")


def _with_other_prices(rows: DataFrame) -> DataFrame:
    """Adds other_markets (same product, other regions) and rival_price (same store and category), relative logs."""

    def total(*keys: str) -> tuple[Column, Column]:
        group = W.partitionBy(*keys, "period")
        return F.sum("_relative").over(group), F.count("_relative").over(group)

    everywhere, here = total("product_id"), total("product_id", "region")
    shelf = total("store_id", "category")
    elsewhere = everywhere[1] - here[1]
    rivals = shelf[1] - 1
    return rows.withColumns(
        {
            "other_markets": F.when(elsewhere > 0, (everywhere[0] - here[0]) / elsewhere),
            "rival_price": F.when(rivals > 0, (shelf[0] - F.col("_relative")) / rivals).otherwise(F.lit(0.0)),
        }
    )


def with_lags(rows: DataFrame, *, lags: int) -> DataFrame:
    """Adds price_lag_1 ...: the unit's price that many periods ago, NULL where that period has no row. Same grain."""
    unit = W.partitionBy(*UNIT).orderBy("period")
    return rows.withColumns(
        {f"price_lag_{lag}": F.max("price").over(unit.rangeBetween(-lag, -lag)) for lag in range(1, lags + 1)}
    )


def with_season(rows: DataFrame, *, harmonics: int, days: int) -> DataFrame:
    """Adds season_cos_1, season_sin_1, ...: waves of one year and its parts. Same grain."""
    angle = F.lit(2 * 3.141592653589793 / 365.25 * days) * F.col("period")
    return rows.withColumns(
        {
            f"season_{name}_{k}": function(angle * F.lit(float(k)))
            for k in range(1, harmonics + 1)
            for name, function in (("cos", F.cos), ("sin", F.sin))
        }
    )
