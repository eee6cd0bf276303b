"""What the panel says of prices: by the chain, listed, of other products, past ones, and the season."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.elasticity.panel.cells import SHARES, UNIT


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


def with_price_columns(rows: DataFrame, *, base_periods: int) -> DataFrame:
    """Adds what regressions see: y, price, base_price, discount, cost, other_markets, rival_price. Same grain.

    price is the log of the own price, or in sparse categories of the planned price, else the chain's, else the own
    one, carried on from period to period. y is the log of units, or in sparse categories units over the unit's mean.
    Rows of other categories without a sale are left out.
    """
    unit = W.partitionBy(*UNIT)
    price = F.when(F.col("is_sparse"), _listed_price()).otherwise(F.ln("price"))
    shares = {n: F.when(F.col("is_sparse"), F.col(f"listed_{n}")).otherwise(F.col(n)) for n in SHARES}
    kept = rows.withColumns({**shares, "price_paid": F.col("price"), "price": price})
    kept = kept.drop(*[f"listed_{n}" for n in SHARES])
    kept = kept.where(F.col("price").isNotNull() & (F.col("is_sparse") | F.col("is_sold")))
    before = unit.orderBy("period").rangeBetween(-base_periods, 0)
    list_price = _carried(F.when(F.col("list_price") > 0, F.ln("list_price")), *UNIT)
    base = F.greatest(F.coalesce(list_price, F.max("price").over(before)), F.col("price"))
    relative = F.coalesce(F.try_divide("units", F.avg("units").over(unit)), F.lit(0.0))
    y = F.when(F.col("is_sparse"), relative).otherwise(F.ln("units"))
    cost = F.when(F.col("unit_cost") > 0, F.ln("unit_cost"))
    filled = F.coalesce(cost, F.avg(cost).over(unit))
    kept = kept.withColumns(
        {"y": y, "base_price": base, "cost": filled, "_relative": F.col("price") - F.avg("price").over(unit)}
    )
    kept = kept.withColumn("discount", F.col("price") - F.col("base_price"))
    return kept.transform(_with_other_prices).drop("_relative")


def _listed_price() -> Column:
    """The log price of a period, sold or not: planned, else the chain's, else the own one of the nearest periods.

    What is carried on comes from periods of the same kind, in a plan or in none: where plans hold promotions only, a
    period outside of them has the regular price, and a promotion that sold nothing a promotion's.
    """
    own = F.ln("price")
    chain = F.col("chain_price") + F.avg(own).over(W.partitionBy(*UNIT))
    planned = F.when(F.col("planned_price") > 0, F.ln("planned_price"))
    return F.coalesce(planned, chain, _carried(own, *UNIT, "is_planned"), _carried(own, *UNIT))


def _carried(value: Column, *keys: str) -> Column:
    """The last known value up to this period, else the first one after it."""
    window = W.partitionBy(*keys).orderBy("period")
    so_far = window.rowsBetween(W.unboundedPreceding, W.currentRow)
    ahead = window.rowsBetween(W.currentRow, W.unboundedFollowing)
    return F.coalesce(F.last(value, ignorenulls=True).over(so_far), F.first(value, ignorenulls=True).over(ahead))


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
