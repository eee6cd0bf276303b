"""Which visitor is which customer. Sessions keep the visitor they were made with: nothing is keyed anew."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def to_identities(sessions: DataFrame, *, max_customers: int) -> DataFrame:
    """One row per visitor_id that is known to be a customer: the last one wins. Needs all sessions of a visitor.

    A visitor with more than `max_customers` customers is a shared device, and bots are nobody: neither has a row.
    """
    known = sessions.where(F.col("customer_id").isNotNull() & ~F.col("is_bot"))
    when = F.struct("identified_at", "session_id")
    by_customer = known.groupBy("visitor_id", "customer_id").agg(
        F.max(when).alias("_last"), F.sum("identified_events").alias("events"), F.max("customers").alias("_in_one")
    )
    by_visitor = by_customer.groupBy("visitor_id").agg(
        F.max(F.struct("_last", "customer_id", "events")).alias("_it"),
        F.greatest(F.count(F.lit(1)), F.max("_in_one")).alias("_customers"),
    )
    single = by_visitor.where(F.col("_customers") <= max_customers)
    return single.select(
        "visitor_id", "_it.customer_id", F.col("_it._last.identified_at").alias("linked_at"), "_it.events"
    )
