"""How much is sold: prices by week, mean demand by day, and the sales lines drawn from it.

For store s, product p, day t in week w, the mean demand in units is

    m(s,p,t) = lines_per_day(s,p) * units_per_line(p) * season(p,t) * trend(p,t) * weekday(t) * event(p,s,t)
               * newness(p,t) * activity(s,p,w) * exp(feature_lift(p) * advertised + display_lift(p) * displayed)
               * (price(s,p,w) / base_price(p)) ^ elasticity(p)

Units are compound: the lines are negative binomial with mean m / units_per_line, and every line holds
1 + Geometric units with mean units_per_line. So the mean given prices and dates is exactly m, a Poisson or log-log
regression finds the elasticity, and prices are set without looking at demand (no confounding). A stock-out takes
the whole day's demand away: what was sold is censored, what was wanted is in truth.demand.
"""

from __future__ import annotations

import math

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.synthetic.chance import Chance
from retail_spark.synthetic.settings import World

DISPERSION_SHAPE = 3
"""Variance of the lines of a cell: mean + mean^2 / 3."""
PROMOTION_SHARE = 0.08
PRICE_SPREAD = 0.10
"""Standard deviation of the log of the regular price around the base price of the store."""
DISCOUNTS = (0.0, 0.10, 0.15, 0.20, 0.25, 0.30)
_ACTIVE_SHARE = 0.3
_LONGEST_OUTAGE_DAYS = 6


def to_price_weeks(listings: DataFrame, *, world: World, chance: Chance) -> DataFrame:
    """One row per (store_no, product_no, week) while listed, with price, promotion and stock-outs of the week.

    Regular prices change every few weeks by store and product; promotions are national, a store joins four in five.
    """
    last = world.settings.weeks + world.settings.plan_weeks - 1
    weeks = listings.withColumn("week", F.explode(F.sequence(F.lit(0), F.lit(last))))
    first_day = F.col("week") * 7
    is_listed = (first_day + 6 >= F.col("introduced_day")) & (first_day <= F.col("ended_day"))
    is_open = (first_day + 6 >= F.col("opened_day")) & (first_day <= F.col("closed_day"))
    return (
        weeks.where(is_listed & is_open)
        .transform(_with_prices, chance=chance)
        .transform(_with_outages, world=world, chance=chance)
        .withColumn("log_week_effect", _log_week_effect(chance))
    )


def _with_prices(weeks: DataFrame, *, chance: Chance) -> DataFrame:
    store, product, week = F.col("store_no"), F.col("product_no"), F.col("week")
    start = chance.pick("block start", F.col("price_block_weeks"), store, product)
    block = F.floor((week + start) / F.col("price_block_weeks")).cast("int")
    level = F.exp(F.lit(PRICE_SPREAD) * chance.normal("price level", store, product, block))
    is_promoted = chance.happens("promotion", PROMOTION_SHARE, product, week) & chance.happens(
        "joins", 0.8, store, product, week
    )
    discount = F.element_at(
        F.array(*[F.lit(x) for x in DISCOUNTS]), chance.pick("discount", len(DISCOUNTS), product, week) + 1
    )
    is_displayed = chance.happens(
        "display", F.when(is_promoted, F.lit(0.5)).otherwise(F.lit(0.02)), store, product, week
    )
    regular = _ending_in_nine(F.col("base_price") * F.col("price_index") * level)
    priced = weeks.withColumns(
        {
            "regular_price": regular,
            "on_promotion": is_promoted,
            "on_display": is_displayed,
            "discount": F.when(is_promoted, discount).otherwise(F.lit(0.0)),
        }
    )
    return priced.withColumn("unit_price", F.round(F.col("regular_price") * (F.lit(1.0) - F.col("discount")), 2))


def _ending_in_nine(price: Column) -> Column:
    """The price with 9 as its last digit, as shops do."""
    return F.round((F.floor(price * 10) + F.lit(0.9)) / 10, 2)


def _with_outages(weeks: DataFrame, *, world: World, chance: Chance) -> DataFrame:
    """Adds the days [from, until) of the outage that begins this week and of the one that began the week before."""
    store, product = F.col("store_no"), F.col("product_no")

    def outage(week: Column) -> tuple[Column, Column]:
        begins = week * 7 + chance.pick("outage day", 7, store, product, week)
        lasts = F.lit(1) + chance.pick("outage length", _LONGEST_OUTAGE_DAYS, store, product, week)
        is_there = chance.happens("outage", world.settings.stockout_share, store, product, week)
        return F.when(is_there, begins), F.when(is_there, begins + lasts)

    now, before = outage(F.col("week")), outage(F.col("week") - 1)
    return weeks.withColumns(
        {"out_from": now[0], "out_until": now[1], "earlier_from": before[0], "earlier_until": before[1]}
    )


def _log_week_effect(chance: Chance) -> Column:
    """Log of everything in m(s,p,t) that stays the same all week, but the price and promotion effects.

    An intermittent product is wanted in three weeks of ten, drawn by store.
    """
    is_active = chance.happens("is active", _ACTIVE_SHARE, F.col("store_no"), F.col("product_no"), F.col("week"))
    activity = F.when(F.col("demand_class") != "intermittent", F.lit(0.0)).otherwise(
        F.when(is_active, F.lit(math.log(1 / _ACTIVE_SHARE))).otherwise(F.lit(math.log(0.01)))
    )
    trend = F.col("yearly_trend") * (F.col("week") / F.lit(52.0) - F.lit(1.0))
    return activity + trend


def to_cells(price_weeks: DataFrame, days: DataFrame, *, world: World, chance: Chance) -> DataFrame:
    """One row per (store_no, product_no, day) of history while listed and open, with mean_units and is_out_of_stock.

    `price_effect` and `base_units` (mean demand at base price without promotion) make up mean_units with the lifts.
    """
    spread = price_weeks.where(F.col("week") < world.settings.weeks)
    daily = spread.withColumn("day", F.explode(F.sequence(F.col("week") * 7, F.col("week") * 7 + 6)))
    is_listed = F.col("day").between(F.col("introduced_day"), F.col("ended_day"))
    is_open = F.col("day").between(F.col("opened_day"), F.col("closed_day"))
    # (day, region) is a key of the calendar: many to one.
    joined = daily.where(is_listed & is_open).join(F.broadcast(days), on=["day", "region"], how="inner")
    season = F.col("season_strength") * F.cos(
        F.lit(2 * math.pi / 365.25) * (F.dayofyear("date") - F.col("season_peak_day"))
    )
    age = F.col("day") - F.col("introduced_day")
    newness = F.when(F.col("introduced_day") == 0, F.lit(1.0)).otherwise(F.lit(1.0) - F.exp(-(age + 1) / F.lit(21.0)))
    base = (
        F.col("lines_per_day")
        * F.col("units_per_line")
        * F.exp(F.col("log_week_effect") + season + F.col("holiday_lift") * F.col("holiday_pull"))
        * F.col("weekday_factor")
        * F.col("campaign_factor")
        * newness
    )
    lifts = F.col("feature_lift") * F.col("on_promotion").cast("int") + F.col("display_lift") * F.col(
        "on_display"
    ).cast("int")
    price_effect = F.col("elasticity") * F.ln(F.col("unit_price") / F.col("base_price"))
    is_out = _is_within("out") | _is_within("earlier")
    cells = joined.where(~F.col("is_closed")).withColumns({"base_units": base, "is_out_of_stock": is_out})
    return cells.withColumn("mean_units", F.col("base_units") * F.exp(price_effect + lifts))


def _is_within(outage: str) -> Column:
    inside = (F.col("day") >= F.col(f"{outage}_from")) & (F.col("day") < F.col(f"{outage}_until"))
    return F.coalesce(inside, F.lit(False))


def to_lines(cells: DataFrame, *, chance: Chance) -> DataFrame:
    """One row per sales line (store_no, product_no, day, line_no), with its quantity."""
    cell = (F.col("store_no"), F.col("product_no"), F.col("day"))
    mean_lines = F.col("mean_units") / F.col("units_per_line")
    wanted = cells.where(~F.col("is_out_of_stock")).withColumn("mean_lines", mean_lines)
    count = chance.negative_binomial("lines", F.col("mean_lines"), DISPERSION_SHAPE, *cell)
    # One generator, and no filter on the count: Spark would push the filter down and draw every cell twice.
    lines = wanted.select("*", F.posexplode(F.array_repeat(F.lit(0), count)).alias("line_no", "_nothing"))
    more = chance.geometric("units", F.col("units_per_line") - F.lit(1.0), *cell, F.col("line_no"))
    return lines.withColumn("quantity", F.lit(1) + more).drop("_nothing")
