"""Lines, stock, sessions and spend to figures by period and level. Each figure is defined in its contract."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.frames.sums import exact_sum
from retail_spark.tables.values import EVERYTHING

DIMENSIONS = ("channel", "store_id", "category")
CELL = ("period", "level", *DIMENSIONS, "currency")
_SETS = ((), ("channel",), ("channel", "store_id"), ("category",), ("channel", "category"), DIMENSIONS)
_DECIMALS = 6


def to_sales_figures(lines: DataFrame) -> DataFrame:
    """One row per cell with a line: what sales alone tell. `lines` have a period."""
    gross, back = F.col("sold") * F.col("unit_price"), F.col("returned") * F.col("unit_price")
    is_costed, net = F.col("unit_cost").isNotNull(), F.col("sold") - F.col("returned")
    has_buyer = F.count("customer_id") > 0
    is_new = F.col("first_day") >= F.col("period")
    return _by_level(
        lines,
        gross_revenue=_sum(gross),
        returned_revenue=_sum(back),
        units_sold=_sum(F.col("sold")),
        units=_sum(net),
        orders=F.when(F.bool_or("has_order"), F.count_distinct("order")),
        customers=F.when(has_buyer, F.count_distinct("buyer")),
        new_customers=F.when(has_buyer, F.count_distinct(F.when(is_new, F.col("buyer")))),
        _costed_gross=_sum(F.when(is_costed, gross)),
        _costed=_sum(F.when(is_costed, gross - back)),
        _cost=_sum(net * F.col("unit_cost")),
        _promoted=F.when(F.count("is_promoted") > 0, _sum(F.when(F.col("is_promoted"), gross).otherwise(0.0))),
    )


def to_period_rows(days: DataFrame, *, currency: str) -> DataFrame:
    """One row per period at level all, without figures: a period without a sale is told, and is no gap in a chart."""
    return _at_the_top(days.select("period").distinct().withColumn("currency", F.lit(currency)))


def to_stock_figures(stock: DataFrame, *, currency: str) -> DataFrame:
    """One row per cell whose stock was counted. `stock` has a period, dimensions, date and on_hand."""
    return _by_level(
        stock.withColumn("currency", F.lit(currency)),
        stocked_item_days=F.count(F.lit(1)),
        out_of_stock_item_days=F.count_if(F.col("on_hand") <= 0),
        _on_hand=_sum(F.greatest("on_hand", F.lit(0.0))),
        _counted_days=F.count_distinct("date"),
    )


def to_session_figures(sessions: DataFrame, *, currency: str) -> DataFrame:
    """One row per period with sessions, at level all. `sessions` have a period; bots are left out."""
    people = sessions.where(~F.col("is_bot"))
    rows = people.groupBy("period").agg(
        F.count(F.lit(1)).alias("sessions"), F.count_if("is_converted").alias("_converted")
    )
    return _at_the_top(rows.withColumn("currency", F.lit(currency)))


def to_spend_figures(spend: DataFrame) -> DataFrame:
    """One row per period and currency with spend, at level all. `spend` has a period and an amount."""
    rows = spend.groupBy("period", "currency").agg(_sum(F.col("amount")).alias("marketing_spend"))
    return _at_the_top(rows)


def to_figures(*parts: DataFrame, days: int, has_orders: bool, has_customers: bool) -> DataFrame:
    """One row per cell of any part, with every figure. `days` is the length of a period.

    Where nothing was sold, sums and counts are 0, as far as the sales tell them at all.
    """
    rows = reduce(lambda left, right: left.join(right, on=list(CELL), how="full"), parts)
    absent = [name for name in _MADE_OF if name not in rows.columns]
    rows = rows.withColumns({name: F.lit(None).cast("double") for name in absent})
    none = {**dict.fromkeys(_SUMS, 0), "orders": 0 if has_orders else None,
            **dict.fromkeys(("customers", "new_customers"), 0 if has_customers else None)}  # fmt: skip
    unsold = F.col("gross_revenue").isNull()
    rows = rows.withColumns({name: F.when(unsold, F.lit(n)).otherwise(F.col(name)) for name, n in none.items()})
    by = F.try_divide
    return rows.withColumns({
        "revenue": F.col("gross_revenue") - F.col("returned_revenue"),
        "return_rate": F.when(F.col("gross_revenue") > 0, F.least(by("returned_revenue", "gross_revenue"), F.lit(1.0))),
        "returning_customers": F.col("customers") - F.col("new_customers"),
        "repeat_rate": by(F.col("customers") - F.col("new_customers"), "customers"),
        "average_order_value": by("gross_revenue", "orders"),
        "basket_size": by("units_sold", "orders"),
        "gross_margin": F.when(F.col("_costed") > 0, by(F.col("_costed") - F.col("_cost"), "_costed")),
        "costed_share": by(F.coalesce("_costed_gross", F.lit(0.0)), "gross_revenue"),
        "promotion_share": by("_promoted", "gross_revenue"),
        "out_of_stock_share": by("out_of_stock_item_days", "stocked_item_days"),
        "stock_turn": by(F.col("units_sold") * F.col("_counted_days") * 365, F.col("_on_hand") * days),
        "conversion": by("_converted", "sessions"),
        "customer_acquisition_cost": by("marketing_spend", "new_customers"),
        "return_on_ad_spend": by(F.col("gross_revenue") - F.col("returned_revenue"), "marketing_spend"),
    })  # fmt: skip


_SUMS = ("gross_revenue", "returned_revenue", "units_sold", "units")
_MADE_OF = ("stocked_item_days", "out_of_stock_item_days", "_on_hand", "_counted_days", "sessions", "_converted",
            "marketing_spend")  # fmt: skip


def _sum(value: Column) -> Column:
    return exact_sum(value, scale=_DECIMALS)


def _by_level(rows: DataFrame, **figures: Column) -> DataFrame:
    sets = [[F.col(name) for name in ("period", "currency", *dimensions)] for dimensions in _SETS]
    columns = [F.col(name) for name in ("period", "currency", *DIMENSIONS)]
    grouped = rows.groupingSets(sets, *columns).agg(*(figure.alias(name) for name, figure in figures.items()))
    return grouped.transform(_with_level)


def _with_level(grouped: DataFrame) -> DataFrame:
    by_store, by_channel, by_category = (F.col(n).isNotNull() for n in ("store_id", "channel", "category"))
    place = F.when(by_store, "store").when(by_channel, "channel").otherwise("")
    name = F.concat_ws("_", F.nullif(place, F.lit("")), F.when(by_category, "category"))
    level = F.when(name == "", "all").otherwise(name)
    all_of_it = {d: F.coalesce(F.col(d), F.lit(EVERYTHING)) for d in DIMENSIONS}
    return grouped.withColumns({"level": level, **all_of_it})


def _at_the_top(rows: DataFrame) -> DataFrame:
    return rows.withColumns({"level": F.lit("all"), **{name: F.lit(EVERYTHING) for name in DIMENSIONS}})
