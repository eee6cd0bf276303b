"""The calendar over Spark: which stores are closed when, and whose holidays are whose."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.forecast.series.periods import Clock

_EVERYWHERE = "*"


def period_of(day: Column, *, clock: Clock) -> Column:
    """The number of the period that holds the day."""
    if clock.frequency == "month":
        return ((F.year(day) - 1970) * 12 + F.month(day) - 1).cast("int")
    days = F.datediff(day, F.lit(date(1970, 1, 1))) - clock.offset
    return F.floor(days / F.lit(clock.days)).cast("int")


def to_closed(calendar: DataFrame | None, *, series: DataFrame, clock: Clock, start: int, stop: int) -> DataFrame:
    """One row per store that has closed days: `closed`, the share of each period's days from start to stop.

    What the calendar says of the store itself goes before what it says of its region, and that before what it says of
    all.
    """
    stores = series.select("store_id", "region").distinct()
    if calendar is None or "is_closed" not in calendar.columns:
        return stores.select("store_id", F.lit(None).cast("array<double>").alias("closed")).limit(0)
    first, after = clock.first_day(start), clock.first_day(stop + 1)
    is_inside = F.col("date").between(first, after - timedelta(days=1)) & F.col("is_closed").isNotNull()
    told = calendar.where(is_inside).select("date", "is_closed", F.col("store_id").alias("own"), "region")
    own = told.where("own IS NOT NULL").select(
        F.col("own").alias("store_id"), "date", "is_closed", F.lit(2).alias("rank")
    )
    shared = told.where("own IS NULL").drop("own")
    regional = shared.join(stores, "region", how="inner").where(F.col("region") != _EVERYWHERE)
    all_over = shared.where(F.col("region") == _EVERYWHERE).drop("region").crossJoin(F.broadcast(stores))
    parts = [own.join(stores, "store_id", how="left_semi"), *(
        part.select("store_id", "date", "is_closed", F.lit(rank).alias("rank"))
        for rank, part in ((1, regional), (0, all_over))
    )]  # fmt: skip
    every = parts[0].unionByName(parts[1]).unionByName(parts[2])
    days = every.groupBy("store_id", "date").agg(F.max_by("is_closed", "rank").alias("is_closed"))
    shut = days.where("is_closed").withColumn("period", period_of(F.col("date"), clock=clock))
    lengths = [float((clock.first_day(p + 1) - clock.first_day(p)).days) for p in range(start, stop + 1)]
    counts = shut.groupBy("store_id", "period").agg(F.count(F.lit(1)).alias("days"))
    share = F.col("days") / F.element_at(F.lit(lengths), F.col("period") - start + 1)
    by_period = F.map_from_entries(F.collect_list(F.struct("period", share.alias("share"))))
    shares = counts.groupBy("store_id").agg(by_period.alias("_by_period"))
    closed = F.transform(
        F.sequence(F.lit(start), F.lit(stop)),
        lambda period: F.coalesce(F.try_element_at("_by_period", period), F.lit(0.0)),
    )
    return shares.select("store_id", closed.alias("closed"))


def events_of(
    calendar: DataFrame, *, stores: DataFrame | None, clock: Clock
) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
    """The periods that hold a holiday of all, and for each store with further ones, of its region or its own, all its.

    A store that `stores` does not know has those of all and its own.
    """
    own = F.col("store_id") if "store_id" in calendar.columns else F.lit(None).cast("string")
    period = period_of(F.col("date"), clock=clock).alias("period")
    rows = calendar.where("is_holiday").select(period, "region", own.alias("own")).distinct().collect()  # dates
    every = {row["period"] for row in rows if row["own"] is None and row["region"] == _EVERYWHERE}
    by_region: dict[str, set[int]] = {}
    by_store: dict[str, set[int]] = {}
    for row in rows:
        if row["own"] is not None:
            by_store.setdefault(row["own"], set()).add(row["period"])
        elif row["region"] != _EVERYWHERE:
            by_region.setdefault(row["region"], set()).add(row["period"])
    known = (
        stores.where("region IS NOT NULL").select("store_id", "region").collect()
        if stores is not None and by_region
        else []
    )
    regions: Mapping[str, str] = {row["store_id"]: row["region"] for row in known}  # a row a store
    found = {}
    for store in sorted(set(by_store) | {s for s, region in regions.items() if region in by_region}):
        found[store] = tuple(sorted(every | by_region.get(regions.get(store, ""), set()) | by_store.get(store, set())))
    return tuple(sorted(every)), found
