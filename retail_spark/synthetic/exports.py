"""The retailer's own view of its shops: rows as its systems export them, all texts."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.synthetic.calendar import NATIONAL, date_of
from retail_spark.synthetic.chance import Chance, label
from retail_spark.synthetic.settings import World

_OPENS_AT = 8 * 3600
_OPEN_SECONDS = 13 * 3600
_RETURN_DAYS = 21
_LINE = ("store_no", "product_no", "day", "line_no")


def to_sales(lines: DataFrame, *, world: World, chance: Chance) -> DataFrame:
    """One row per till line: every sales line, and one more with a negative quantity where it was brought back.

    A customer's lines of a day in a store are one receipt; a guest's line is a receipt of its own.
    """
    line = [F.col(name) for name in _LINE]
    back_after = F.lit(1) + chance.pick("return after", _RETURN_DAYS, *line)
    comes_back = chance.happens("return", world.settings.return_share, *line)
    is_in_time = (F.col("day") + back_after < world.days) & (F.col("day") + back_after <= F.col("closed_day"))
    copies = F.when(comes_back & is_in_time, F.array(F.lit(0), back_after)).otherwise(F.array(F.lit(0)))
    rows = lines.withColumn("back_after", F.explode(copies)).withColumn("is_return", F.col("back_after") > 0)
    by_customer = (F.col("store_no"), F.col("day"), F.col("customer_no"))
    second = _OPENS_AT + F.coalesce(
        chance.pick("receipt time", _OPEN_SECONDS, *by_customer), chance.pick("guest time", _OPEN_SECONDS, *line)
    )
    moment = F.when(F.col("is_return"), chance.pick("return time", _OPEN_SECONDS, *line) + _OPENS_AT).otherwise(second)
    name = F.concat(
        F.col("store_no"), F.lit("-"), F.col("day"), F.lit("-"), F.col("product_no"), F.lit("-"), F.col("line_no")
    )
    by_card = F.concat(F.lit("R"), *[part for key in by_customer for part in (F.lit("-"), key)])
    return rows.select(
        F.concat(F.lit("L"), name, F.when(F.col("is_return"), "-R").otherwise("")).alias("line"),
        F.coalesce(by_card, F.concat(F.lit("G"), name)).alias("receipt"),
        time_text(F.col("day") + F.col("back_after"), moment, world=world).alias("sold_at"),
        F.col("store_id").alias("store"),
        F.col("product_id").alias("sku"),
        label("C", F.col("customer_no"), 7).alias("card"),
        F.when(F.col("is_return"), -F.col("quantity")).otherwise(F.col("quantity")).cast("string").alias("qty"),
        money(F.col("unit_price")).alias("price"),
        money(F.col("regular_price")).alias("regular_price"),
        money(F.col("unit_cost")).alias("cost"),
        *_promotion_flags(),
    )


def _promotion_flags() -> list[Column]:
    def flag(condition: Column, name: str) -> Column:
        return condition.cast("int").cast("string").alias(name)

    return [
        flag(F.col("on_promotion"), "advertised"),
        flag(F.col("on_display"), "displayed"),
        flag(F.col("discount") > 0, "deal"),
    ]


def to_planned_prices(price_weeks: DataFrame, *, world: World) -> DataFrame:
    """One row per (store, sku, week_start); fixed `plan_weeks` before."""
    monday = date_of(F.col("week") * 7, world=world)
    return price_weeks.select(
        F.col("store_id").alias("store"),
        F.col("product_id").alias("sku"),
        monday.cast("string").alias("week_start"),
        money(F.col("unit_price")).alias("price"),
        *_promotion_flags(),
        F.date_sub(monday, 7 * world.settings.plan_weeks).cast("string").alias("known_on"),
    )


def to_inventory(cells: DataFrame, *, chance: Chance) -> DataFrame:
    """One row per (store, sku, day) for Sundays and days of a stock-out. Stock is plausible, not a running balance."""
    cover = F.lit(2) + chance.pick("cover", 12, F.col("store_no"), F.col("product_no"), F.col("day"))
    on_hand = F.when(F.col("is_out_of_stock"), F.lit(0.0)).otherwise(F.ceil(F.col("mean_units") * cover) + F.lit(1.0))
    counted = cells.where(F.col("is_out_of_stock") | (F.weekday("date") == 6))
    return counted.select(
        F.col("store_id").alias("store"),
        F.col("product_id").alias("sku"),
        F.col("date").cast("string").alias("day"),
        on_hand.cast("bigint").cast("string").alias("on_hand"),
    )


def to_product_list(products: DataFrame, *, world: World) -> DataFrame:
    """One row per sku."""
    first = F.when(F.col("introduced_day") > 0, date_of(F.col("introduced_day"), world=world))
    last = F.when(F.col("ended_day") < world.days, date_of(F.col("ended_day"), world=world))
    return products.select(
        F.col("product_id").alias("sku"),
        F.col("product_name").alias("name"),
        "category",
        "subcategory",
        "brand",
        money(F.col("unit_cost")).alias("cost"),
        first.cast("string").alias("first_day"),
        last.cast("string").alias("last_day"),
    )


def to_store_list(stores: DataFrame) -> DataFrame:
    """One row per store."""
    name = F.concat_ws(" ", F.initcap("format"), "region", (F.col("store_no") + 1).cast("string"))
    return stores.select(F.col("store_id").alias("store"), name.alias("name"), "region", "format")


def to_card_list(customers: DataFrame, stores: DataFrame, *, world: World) -> DataFrame:
    """One row per card. store_no is the key of stores: many to one."""
    homes = F.broadcast(stores.select("store_no", "store_id", "region"))
    return customers.join(homes, on="store_no", how="inner").select(
        F.col("customer_id").alias("card"),
        F.col("store_id").alias("home_store"),
        "region",
        date_of(F.col("first_day"), world=world).cast("string").alias("joined"),
    )


def to_calendar(days: DataFrame) -> DataFrame:
    """One row per day for all regions, and one per regional holiday."""
    one_region = days.groupBy("date", "national_event").agg(
        F.bool_and("is_holiday").alias("is_holiday"), F.lit(NATIONAL).alias("region")
    )
    national = one_region.select("date", "region", F.col("national_event").alias("event"), "is_holiday")
    is_regional = F.col("is_holiday") & F.col("national_event").isNull()
    regional = days.where(is_regional).select("date", "region", F.col("event_name").alias("event"), "is_holiday")
    return national.unionByName(regional).select(
        F.col("date").cast("string").alias("day"),
        "region",
        "event",
        F.when(F.col("is_holiday"), "Y").otherwise("N").alias("holiday"),
    )


def money(amount: Column) -> Column:
    """An amount with two decimals."""
    return amount.cast("decimal(18,2)").cast("string")


def time_text(day: Column, second: Column, *, world: World) -> Column:
    """yyyy-MM-dd HH:mm:ss of a day number and a second of that day."""

    def two(number: Column) -> Column:
        return F.lpad(number.cast("string"), 2, "0")

    hour, minute = F.floor(second / 3600), F.floor(second / 60) % 60
    clock = F.concat_ws(":", two(hour), two(minute), two(second % 60))
    return F.concat_ws(" ", date_of(day, world=world).cast("string"), clock)
