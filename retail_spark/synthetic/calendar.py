"""Days: their events, and how much more or less is sold on them."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.synthetic.assortment import REGIONS
from retail_spark.synthetic.settings import World

NATIONAL = "*"
WEEKDAY = (0.9, 0.85, 0.9, 1.0, 1.25, 1.35, 0.75)
"""Sales of Monday to Sunday around 1."""
_RAMP_DAYS = 6
_HOLIDAYS = {
    "New Year": (1, 1),
    "Spring Day": (5, 1),
    "Midsummer": (6, 24),
    "Christmas": (12, 25),
    "Boxing Day": (12, 26),
}


def to_days(spark: SparkSession, *, world: World) -> DataFrame:
    """One row per (day, region) up to a year after the end, with its event and the run-up to it.

    `holiday_pull` is 1 on the eve of a holiday, halves with every two days before it, and is 0 without one ahead.
    """
    days = spark.range(world.days + 365, numPartitions=1).select(F.col("id").cast("int").alias("day"))
    regions = F.explode(F.array(*[F.lit(name) for name in REGIONS])).alias("region")
    dated = days.select("day", date_of(F.col("day"), world=world).alias("date")).select("*", regions)
    holidays = [_holiday(F.date_add("date", ahead), F.col("region")).isNotNull() for ahead in range(1, _RAMP_DAYS + 1)]
    pulls = [F.when(ahead, F.lit(2.0 ** (-at / 2))).otherwise(F.lit(0.0)) for at, ahead in enumerate(holidays)]
    holiday = _holiday(F.col("date"), F.col("region"))
    return dated.select(
        "day",
        "date",
        "region",
        _national(F.col("date")).alias("national_event"),
        F.coalesce(holiday, _campaign(F.col("date"))).alias("event_name"),
        holiday.isNotNull().alias("is_holiday"),
        _is_closed(F.col("date")).alias("is_closed"),
        F.greatest(*pulls).alias("holiday_pull"),
        F.element_at(F.array(*[F.lit(x) for x in WEEKDAY]), _weekday(F.col("date"))).alias("weekday_factor"),
        F.when(_campaign(F.col("date")).isNotNull(), F.lit(1.5)).otherwise(F.lit(1.0)).alias("campaign_factor"),
    )


def date_of(day: Column, *, world: World) -> Column:
    """The date of a day number."""
    return F.date_add(F.lit(world.start_on), day)


def _weekday(date: Column) -> Column:
    """1 for Monday to 7 for Sunday."""
    return F.weekday(date) + F.lit(1)


def _holiday(date: Column, region: Column) -> Column:
    """National holidays, and a fair in one region; NULL on other days."""
    in_region = F.when((region == REGIONS[0]) & _is_on(date, 10, 3), "Harvest Fair")
    return F.coalesce(_national_holiday(date), in_region)


def _national(date: Column) -> Column:
    return F.coalesce(_national_holiday(date), _campaign(date))


def _national_holiday(date: Column) -> Column:
    named = {
        "New Year": (1, 1),
        "Spring Day": (5, 1),
        "Midsummer": (6, 24),
        "Christmas": (12, 25),
        "Boxing Day": (12, 26),
    }
    return F.coalesce(*[F.when(_is_on(date, *at), name) for name, at in named.items()])


def _campaign(date: Column) -> Column:
    """Black Friday, the day after the fourth Thursday of November: a Friday from the 23rd to the 29th."""
    is_friday = _weekday(date) == 5
    is_late_november = (F.month(date) == 11) & F.dayofmonth(date).between(23, 29)
    return F.when(is_friday & is_late_november, "Black Friday")


def _is_on(date: Column, month: int, day: int) -> Column:
    return (F.month(date) == month) & (F.dayofmonth(date) == day)


def _is_closed(date: Column) -> Column:
    return _is_on(date, 1, 1) | _is_on(date, 12, 25)
