"""From rows by period to packed series: a row a series, what is known of it in arrays."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.forecast.features.calendar import period_of, to_closed
from retail_spark.domains.forecast.series.aggregate import _ANY, _LATE, PARTS, exact_sum
from retail_spark.domains.forecast.series.availability import OPENING
from retail_spark.domains.forecast.series.missing_data import store_rows
from retail_spark.domains.forecast.series.panel import ENORMOUS, KEYS, PEERS
from retail_spark.domains.forecast.series.periods import Clock


def to_packed(
    periods: DataFrame,
    *,
    products: DataFrame | None,
    stores: DataFrame | None,
    clock: Clock,
    end: int,
    history: int,
    future: int,
    closed_periods: int,
    buckets: int,
    calendar: DataFrame | None = None,
) -> DataFrame:
    """One row per (store_id, product_id): attributes, when listed, and its last `history` periods as arrays.

    Only series that were ever sold, or are planned for what lies ahead. A series whose store sold nothing on its
    open days of late, or whose product has left the range, is_closed.
    """
    start = end - history + 1
    series = _to_series(periods, start=start, end=end, future=future)
    series = series.transform(_with_attributes, products=products, stores=stores, clock=clock)
    states = to_store_states(periods, clock=clock, start=start, end=end, closed_periods=closed_periods)
    series = series.join(states, "store_id", how="left")  # many to one: a row a store
    series = series.transform(
        _with_closed, calendar=calendar, clock=clock, start=start, end=end, future=future, closed_periods=closed_periods
    )
    listed = F.greatest(F.col("_introduced"), F.col("_seen"))
    series = series.withColumn("first", F.coalesce(F.least(F.col("_sold"), listed), F.lit(end + 1)))
    peers = to_peers(periods, series=series, start=start, end=end, future=future)
    packed = series.join(peers, ["store_id", "category"], how="left")
    arrays = [F.col(f"rows.{name}").alias(name) for name in ("period", *PARTS)]
    bucket = F.pmod(F.xxhash64("product_id"), F.lit(buckets)).cast("int").alias("bucket")
    days = [F.datediff(f"_{name}_on", F.lit(date(1970, 1, 1))).cast("double").alias(name) for name in OPENING[1:]]
    about = (*KEYS, "category", "region", "first", "is_closed", "closed", "store_state")
    return packed.select(*about, *days, bucket, *arrays, *PEERS, *_begun(clock))


def _to_series(periods: DataFrame, *, start: int, end: int, future: int) -> DataFrame:
    """One row per (store_id, product_id) that was ever sold or is planned: its periods, and when it sold."""
    is_past = F.col("period") <= end
    entries = F.struct("period", *(F.coalesce(F.col(n), F.lit(float("nan"))).alias(n) for n in PARTS))
    is_inside = F.col("period").between(start, end + future)
    is_sold = is_past & (F.col("quantity") > 0)
    series = periods.groupBy(*KEYS).agg(
        F.sort_array(F.collect_list(F.when(is_inside, entries))).alias("rows"),
        F.min(F.when(is_past, F.col("period"))).alias("_seen"),
        F.min(F.when(is_sold, F.col("period"))).alias("_sold"),
        F.max(F.when(is_sold, F.col("period"))).alias("_last"),
        F.min(F.when(is_sold, F.struct("period", _LATE))).alias("_start"),
        F.max(F.when(~is_past & F.col("planned_price").isNotNull(), F.lit(True))).alias("_is_planned"),
        F.max(F.coalesce(is_inside & (F.abs("quantity") > ENORMOUS), F.lit(False))).alias("_is_broken"),
    )
    return series.where(F.col("_sold").isNotNull() | F.col("_is_planned"))


def _begun(clock: Clock) -> list[Column]:
    """What `unknown.partial_first` asks: the first period with a sale, whether it began late, and with its store."""
    is_late = F.lit(clock.row_days == 1) & (F.col(f"_start.{_LATE}") > 0)
    is_stores = (F.col("_start.period") == F.col("_store_start.period")) & (F.col(f"_store_start.{_LATE}") > 0)
    flags = {"is_late": is_late, "is_stores": is_stores}
    found = [F.coalesce(flag, F.lit(False)).alias(name) for name, flag in flags.items()]
    return [F.col("_start.period").alias("sold_from"), *found]


def to_store_states(periods: DataFrame, *, clock: Clock, start: int, end: int, closed_periods: int) -> DataFrame:
    """One row per store that sold anything since `start`: store_state, a value a period (`unknown.store_states`)."""
    counts = periods.where((F.col("quantity") > 0) & F.col("period").between(start, end))
    counts = counts.groupBy("store_id", "period").agg(F.count(F.lit(1)).cast("double").alias("n"))
    packed = counts.groupBy("store_id").agg(F.map_from_entries(F.collect_list(F.struct("period", "n"))).alias("_by"))
    every = F.sequence(F.lit(start), F.lit(end))
    sold = F.transform(every, lambda period: F.coalesce(F.try_element_at("_by", period), F.lit(0.0)))
    season = 7 if clock.frequency == "day" else 1

    def each(batches: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
        for batch in batches:
            if len(batch):
                yield store_rows(batch, season=season, closed_periods=closed_periods)

    return packed.select("store_id", sold.alias("sold")).mapInPandas(each, "store_id STRING, store_state ARRAY<DOUBLE>")


def _with_closed(
    series: DataFrame, *, calendar: DataFrame | None, clock: Clock, start: int, end: int, future: int,
    closed_periods: int
) -> DataFrame:  # fmt: skip
    """Adds closed, the share of each period's days by the calendar, and is_closed: nothing is sold here any more."""
    last = series.groupBy("store_id").agg(F.max("_last").alias("_store_last"), F.min("_start").alias("_store_start"))
    series = series.join(last, "store_id", how="left")
    closed = to_closed(calendar, series=series, clock=clock, start=start, stop=end + future)
    series = series.join(closed, "store_id", how="left")  # many to one, as `last`: a row a store
    seen = F.greatest("_store_last", F.lit(start - 1))
    since = F.coalesce(F.slice("closed", seen - start + 2, end - seen), F.array().cast("array<double>"))
    shut = F.size(F.filter(since, lambda share: share >= 1))
    is_idle = F.col("_store_last") <= end - closed_periods - shut
    return series.withColumn("is_closed", F.coalesce(is_idle | (F.col("_discontinued") <= end), F.lit(False)))


def _with_attributes(
    series: DataFrame, *, products: DataFrame | None, stores: DataFrame | None, clock: Clock
) -> DataFrame:
    none = F.lit(None)
    if products is not None:
        about = products.select(
            "product_id", "category", period_of(F.col("introduced_on"), clock=clock).alias("_introduced"),
            period_of(F.col("discontinued_on"), clock=clock).alias("_discontinued"),
            F.col("introduced_on").alias("_introduced_on"), F.col("discontinued_on").alias("_discontinued_on"),
        )  # fmt: skip
        series = series.join(about, "product_id", how="left")  # many to one: product_id is the key of products
    else:
        kinds = {"category": "string", "_introduced": "int", "_discontinued": "int", "_introduced_on": "date",
                 "_discontinued_on": "date"}  # fmt: skip
        series = series.withColumns({name: none.cast(kind) for name, kind in kinds.items()})
    if stores is not None:
        series = series.join(stores.select("store_id", "region"), "store_id", how="left")  # store_id is its key
    else:
        series = series.withColumn("region", none.cast("string"))
    return series.withColumns({name: F.coalesce(F.col(name), F.lit(_ANY)) for name in ("category", "region")})


def to_peers(periods: DataFrame, *, series: DataFrame, start: int, end: int, future: int) -> DataFrame:
    """One row per (store_id, category): PEERS, arrays with a value for every period.

    What was paid tells of the past alone: for a period that is to be foretold only plans count, with the period in
    which the last of them was known, since a price is paid only where something sold.
    A broken series is nobody's peer; where all are, nothing is known.
    """
    series = series.where(~F.col("_is_broken"))
    listed = series.groupBy("store_id", "category").agg(F.collect_list("first").alias("_firsts"))
    rows = periods.where(F.col("period").between(start, end + future)).join(
        series.select(*KEYS, "category"), list(KEYS), how="inner"
    )
    price = F.coalesce("planned_price", F.when(F.col("period") <= end, F.col("price")))
    sums = rows.groupBy("store_id", "category", "period").agg(
        exact_sum(F.when(F.col("period") <= end, F.col("quantity"))).alias("_units"),
        F.try_divide(exact_sum(price), F.count(price)).alias("_price"),
        F.try_divide(exact_sum(F.col("planned_price")), F.count("planned_price")).alias("_plan"),
        F.max(F.when(F.col("planned_price").isNotNull(), F.col("known"))).alias("_known"),
    )
    values = F.map_from_entries(F.collect_list(F.struct("period", F.struct("_units", "_price", "_plan", "_known"))))
    packed = sums.groupBy("store_id", "category").agg(values.alias("_by_period"))
    packed = packed.join(listed, ["store_id", "category"], how="inner")
    nan = F.lit(float("nan"))
    every = F.sequence(F.lit(start), F.lit(end + future))

    def units(period: Column) -> Column:
        count = F.size(F.filter("_firsts", lambda first: first <= period))
        told = F.coalesce(F.try_element_at("_by_period", period)["_units"], F.lit(0.0))
        return F.when((period <= end) & (count > 0), told / count).otherwise(nan)

    def told(name: str) -> Column:
        return F.transform(every, lambda period: F.coalesce(F.try_element_at("_by_period", period)[name], nan))

    parts = (F.transform(every, units), told("_price"), told("_plan"), told("_known"))
    return packed.select("store_id", "category", *(part.alias(name) for name, part in zip(PEERS, parts, strict=True)))
