"""Cut events to sessions with what is told of them: times, counts, pages, campaign, orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.sessionize.channels import host_of
from retail_spark.domains.sessionize.cut import MICROS

_UTM = ("utm_source", "utm_medium", "utm_campaign")
# Doubles would add up differently in another order of rows; shop currency to the billionth adds up exactly.
_MONEY = "decimal(38,9)"


@dataclass(frozen=True)
class Measures:
    """What is counted of a session."""

    engaged_micros: int
    engaged_views: int
    key_events: Sequence[str]
    dwell_micros: int
    own_hosts: Sequence[str] = ()


def to_sessions(cut: DataFrame, *, measures: Measures) -> DataFrame:
    """One row per session_id: times, counts, pages, campaign, customer; `user_agent` is its first."""
    rows = cut.select(
        *("session_id", "visitor_id", "chain_id", "occurred_at", "event_number", "pause_micros", "event_type"),
        *("customer_id", "client_session_id", "page_url", "user_agent"),
        F.when(F.coalesce(*_UTM).isNotNull(), F.struct(*_UTM)).alias("_utm"),
        _outside(measures.own_hosts).alias("_referrer"),
    )
    is_known = F.col("customer_id").isNotNull()
    counted = rows.groupBy("session_id").agg(
        F.min("visitor_id").alias("visitor_id"),
        F.min("chain_id").alias("chain_id"),
        _last("customer_id").alias("customer_id"),
        _first("client_session_id").alias("client_session_id"),
        F.min("occurred_at").alias("started_at"),
        F.max("occurred_at").alias("ended_at"),
        F.sum(_dwell(measures.dwell_micros)).alias("_dwell"),
        F.max("pause_micros").alias("longest_pause"),
        F.count(F.lit(1)).alias("events"),
        *[F.count_if(F.col("event_type") == kind).alias(name) for kind, name in _COUNTED.items()],
        F.count_if(F.col("event_type").isin(*measures.key_events)).alias("_key_events"),
        _first("page_url").alias("entry_page"),
        _last("page_url").alias("exit_page"),
        _first("_referrer").alias("referrer"),
        _first("_utm").alias("_utm"),
        _first("user_agent").alias("user_agent"),
        F.count_if(is_known).alias("identified_events"),
        F.max(F.when(is_known, F.col("occurred_at"))).alias("identified_at"),
        F.size(F.collect_set("customer_id")).cast("bigint").alias("customers"),
    )
    return counted.transform(_with_orders, cut=cut).transform(_with_measures, measures=measures)


_COUNTED = {"page_view": "page_views", "product_view": "product_views", "add_to_cart": "cart_adds"}


def _with_measures(counted: DataFrame, *, measures: Measures) -> DataFrame:
    """Adds durations in seconds and what follows from counts."""
    lasted = F.unix_micros("ended_at") - F.unix_micros("started_at")
    is_long = lasted > measures.engaged_micros
    is_viewed = F.col("page_views") + F.col("product_views") >= measures.engaged_views
    return counted.withColumns(
        {
            "duration_seconds": lasted / F.lit(float(MICROS)),
            "dwell_seconds": F.coalesce("_dwell", F.lit(0)) / F.lit(float(MICROS)),
            "is_bounce": F.col("events") == 1,
            "is_converted": F.col("purchases") > 0,
            "is_engaged": is_long | (F.col("_key_events") > 0) | is_viewed,
            **{name: F.col(f"_utm.{name}") for name in _UTM},
        }
    ).drop("_dwell", "_key_events", "_utm")


def _with_orders(counted: DataFrame, *, cut: DataFrame) -> DataFrame:
    """Adds purchases and revenue: an order that is told twice in a session counts once, with its first value."""
    order = F.coalesce(F.concat(F.lit("order "), "order_id"), F.concat(F.lit("event "), "event_id"))
    bought = cut.where(F.col("event_type") == "purchase").withColumn("_order", order)
    orders = bought.groupBy("session_id", "_order").agg(_first("revenue").alias("_value"))
    summed = orders.groupBy("session_id").agg(
        F.count(F.lit(1)).alias("purchases"), F.sum(F.col("_value").cast(_MONEY)).cast("double").alias("revenue")
    )
    # One row per session on both sides.
    return counted.join(summed, on="session_id", how="left").fillna({"purchases": 0, "revenue": 0.0})


def _outside(own_hosts: Sequence[str]) -> Column:
    """The referrer where it is not a page of the shop itself."""
    host = host_of("referrer")
    is_own = F.coalesce(host == host_of("page_url"), F.lit(False)) | host.isin(*[h.lower() for h in own_hosts])
    return F.when(host.isNotNull() & ~is_own, F.col("referrer"))


def _first(name: str) -> Column:
    """The first value of the session that is not NULL."""
    return F.min_by(F.col(name), F.when(F.col(name).isNotNull(), F.col("event_number")))


def _last(name: str) -> Column:
    """The last value of the session that is not NULL."""
    return F.max_by(F.col(name), F.when(F.col(name).isNotNull(), F.col("event_number")))


def _dwell(most: int) -> Column:
    """The pause, up to `most`; NULL before the first event (least would pass over it)."""
    return F.when(F.col("pause_micros").isNotNull(), F.least("pause_micros", F.lit(most)))
