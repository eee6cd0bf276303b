"""A market whose prices react to demand, and its twin where they do not: a truth to judge causal claims by.

For product j in store s of region r, week t:

    log units  = size(j,s) + season(category,t) + shock(j,r,t)
                 + sum over k of elasticity(j,k) * log(price(k,s,t) / base(k))
    log price  = log base(j) + store(s) + 0.8 * cost(j,t) + 0.3 * reaction(j,r,t) + own(j,s,t)

In the confounded market the reaction is the demand shock itself: shops raise prices where demand is strong, and a
regression of units on price reads much too small an elasticity. In the twin it is another draw of the same
distribution, and all else is the same draw for draw. Two instruments are valid in both: the cost, and prices of the
same product in other regions, whose demand shocks are their own. Units are Poisson.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.synthetic.assortment import REGIONS
from retail_spark.synthetic.chance import Chance, label, one_of
from retail_spark.synthetic.exports import money

MARKETS = ("confounded", "twin")
SCENARIO_CHANGE = 0.10
SHOCK, REACTION = 0.25, 0.3
_COST, _PASSED_ON, _OWN = 0.12, 0.8, 0.05
_COST_BLOCK_WEEKS = 5
_SHELF = 6
"""Products of a category."""


@dataclass(frozen=True)
class MarketSize:
    """How many of each; products come in categories of six."""

    categories: int
    stores: int
    weeks: int


def to_market(spark: SparkSession, *, market: str, size: MarketSize, chance: Chance) -> DataFrame:
    """One row per product, store and week, with prices, cost, mean units, units drawn, and units at a price 10 % up."""
    placed = _placed(spark, size)
    product, store, week = F.col("product_no"), F.col("store_no"), F.col("week")
    change = _log_price(product, store, week, market=market, chance=chance)
    price = F.round(_base(product, chance) * F.exp(change), 2)
    first = F.col("category_no") * _SHELF

    def pull_of(other: Column) -> Column:
        moved = _cross(product, other, chance) * _log_price(other, store, week, market=market, chance=chance)
        return F.when(other == product, F.lit(0.0)).otherwise(moved)

    others = F.transform(F.sequence(first, first + _SHELF - 1), pull_of)
    pull = F.aggregate(others, F.lit(0.0), lambda total, term: total + term)
    log_units = (
        F.lit(3.2) + F.lit(0.4) * chance.normal("market size", product, store)
        + F.lit(0.3) * F.cos(F.lit(0.1208) * (week - chance.pick("market season", 52, F.col("category_no"))))
        + F.lit(SHOCK) * chance.normal("market shock", product, F.col("region_no"), week)
        + own_elasticity(product, chance) * F.ln(price / _base(product, chance)) + pull
    )  # fmt: skip
    drawn = placed.withColumns({"price": price, "mean_units": F.exp(log_units)})
    return drawn.select(
        F.lit(market).alias("market"),
        label("M", store, 3).alias("store_id"),
        one_of(REGIONS, F.col("region_no")).alias("region"),
        label("Q", product, 4).alias("product_id"),
        label("G", F.col("category_no"), 2).alias("category"),
        "week",
        "price",
        F.round(_base(product, chance) * 0.6 * F.exp(_cost(product, week, chance)), 4).alias("unit_cost"),
        "mean_units",
        (F.col("mean_units") * F.pow(F.lit(1 + SCENARIO_CHANGE), own_elasticity(product, chance))).alias("units_up"),
        _poisson(F.col("mean_units"), chance, product, store, week).alias("units"),
    )


def _placed(spark: SparkSession, size: MarketSize) -> DataFrame:
    cells = size.categories * _SHELF * size.stores * size.weeks
    number = F.col("id")
    rows = spark.range(cells, numPartitions=max(2, cells // 500_000)).select(
        (number % size.weeks).cast("int").alias("week"),
        (F.floor(number / size.weeks) % size.stores).cast("int").alias("store_no"),
        F.floor(number / (size.weeks * size.stores)).cast("int").alias("product_no"),
    )
    return rows.withColumns(
        {
            "category_no": F.floor(F.col("product_no") / _SHELF).cast("int"),
            "region_no": F.col("store_no") % len(REGIONS),
        }
    )


def with_dates(cells: DataFrame, *, start: date) -> DataFrame:
    """Adds week_start, from a Monday on. Same grain."""
    return cells.withColumn("week_start", F.date_add(F.lit(start), F.col("week") * 7))


def to_market_sales(cells: DataFrame) -> DataFrame:
    """One row per cell with a sale, all texts, as the tills of the market export them."""
    return cells.where("units > 0").select(
        "market",
        F.col("store_id").alias("store"),
        "region",
        F.col("product_id").alias("sku"),
        "category",
        F.col("week_start").cast("string").alias("week_start"),
        F.col("units").cast("bigint").cast("string").alias("qty"),
        money(F.col("price")).alias("price"),
        F.col("unit_cost").cast("string").alias("cost"),
    )


def to_true_elasticities(spark: SparkSession, *, size: MarketSize, chance: Chance) -> DataFrame:
    """One row per ordered pair of products of a category, own price included; the same in both markets."""
    products = spark.range(size.categories * _SHELF, numPartitions=1).select(
        F.col("id").cast("int").alias("product_no")
    )
    first = F.floor(F.col("product_no") / _SHELF).cast("int") * _SHELF
    pairs = products.withColumn("other_no", F.explode(F.sequence(first, first + _SHELF - 1)))
    product, other = F.col("product_no"), F.col("other_no")
    value = F.when(product == other, own_elasticity(product, chance)).otherwise(_cross(product, other, chance))
    return pairs.select(
        label("Q", product, 4).alias("product_id"), label("Q", other, 4).alias("other_product_id"),
        value.alias("elasticity"),
    )  # fmt: skip


def own_elasticity(product: Column, chance: Chance) -> Column:
    """Around a category's own level between -1.6 and -3."""
    category = F.floor(product / _SHELF).cast("int")
    typical = F.lit(-1.6) - F.lit(1.4) * chance.uniform("market typical", category)
    return typical + F.lit(0.25) * chance.normal("market own", product)


def _cross(product: Column, other: Column, chance: Chance) -> Column:
    """Half of the pairs are rivals, from 0.1 to 0.5; the others have nothing to do with each other."""
    is_rival = chance.happens("market rival", 0.5, product, other)
    size = F.lit(0.1) + F.lit(0.4) * chance.uniform("market cross", product, other)
    return F.when(is_rival, size).otherwise(F.lit(0.0))


def _base(product: Column, chance: Chance) -> Column:
    return F.lit(20.0) * chance.lognormal("market base", 0.4, product)


def _cost(product: Column, week: Column, chance: Chance) -> Column:
    block = F.floor((week + chance.pick("market block", _COST_BLOCK_WEEKS, product)) / _COST_BLOCK_WEEKS).cast("int")
    return F.lit(_COST) * chance.normal("market cost", product, block)


def _log_price(product: Column, store: Column, week: Column, *, market: str, chance: Chance) -> Column:
    """log(price / base price)."""
    heard = "market shock" if market == "confounded" else "market other shock"
    region = store % len(REGIONS)
    return (
        F.lit(0.05) * chance.normal("market store", store)
        + F.lit(_PASSED_ON) * _cost(product, week, chance)
        + F.lit(SHOCK * REACTION) * chance.normal(heard, product, region, week)
        + F.lit(_OWN) * chance.normal("market own price", product, store, week)
    )


def _poisson(mean: Column, chance: Chance, *keys: Column) -> Column:
    """A count with mean and variance `mean`: the normal approximation, rounded; the means lie far above zero."""
    drawn = mean + F.sqrt(mean) * chance.normal("market units", *keys)
    return F.greatest(F.round(drawn), F.lit(0.0))
