"""What an increment must cut again, and which session ids live on.

Events that came, changed or went touch a visitor at moments. Every stored chain that one of these moments could reach
is cut anew as a whole, and nothing else is: so an increment ends with the sessions of one full rebuild.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.sessionize.cut import Rule

_FAR = 2**62


def to_spans(changed: DataFrame, sessions: DataFrame, *, rule: Rule) -> DataFrame:
    """One row per visitor_id and span of time to cut again: _from and _to, microseconds, both included.

    `changed` has visitor_id and occurred_at of events that came or went, `sessions` are the stored ones of these
    visitors. Spans of one visitor lie more than the gap apart. The tracker's own sessions know no gap: then a visitor
    is one span.
    """
    at = F.unix_micros("occurred_at")
    moments = changed.select("visitor_id", at.alias("_from"), at.alias("_to"), F.lit(True).alias("_new")).distinct()
    if rule.by_client:
        return moments.select("visitor_id", F.lit(-_FAR).alias("_from"), F.lit(_FAR).alias("_to")).distinct()
    chains = (
        sessions.groupBy("visitor_id", "chain_id")
        .agg(F.min(F.unix_micros("started_at")).alias("_from"), F.max(F.unix_micros("ended_at")).alias("_to"))
        .select("visitor_id", "_from", "_to", F.lit(False).alias("_new"))
    )
    ordered = W.partitionBy("visitor_id").orderBy("_from", "_to", "_new")
    reached = F.max("_to").over(ordered.rowsBetween(W.unboundedPreceding, -1))
    is_apart = F.coalesce(F.col("_from") > reached + rule.gap_micros, F.lit(True))
    apart = moments.unionByName(chains).withColumn("_starts", is_apart.cast("int"))
    islands = apart.withColumn("_island", F.sum("_starts").over(ordered))
    spans = islands.groupBy("visitor_id", "_island").agg(
        F.min("_from").alias("_from"), F.max("_to").alias("_to"), F.max("_new").alias("_new")
    )
    return spans.where("_new").select("visitor_id", "_from", "_to")


def only_in(frame: DataFrame, spans: DataFrame, *, time: str) -> DataFrame:
    """Rows of a visitor whose `time` lies in one of the visitor's spans. Same grain: spans do not overlap."""
    at = F.unix_micros(time)
    lies_in = (F.col("visitor_id") == F.col("_visitor")) & at.between(F.col("_from"), F.col("_to"))
    return frame.join(spans.withColumnRenamed("visitor_id", "_visitor"), lies_in, how="left_semi")


def to_redirects(gone: DataFrame, new: DataFrame) -> DataFrame:
    """One row per session that is no more: old_session_id and the session that now holds its first moment.

    `new` are sessions of the same visitors. Where none holds that moment (its events were removed), there is no row.
    """
    at = F.unix_micros("started_at")
    there = new.select(
        "visitor_id", at.alias("_at"), F.lit(0).alias("_kind"), "session_id", F.unix_micros("ended_at").alias("_to")
    )
    asked = gone.select(
        "visitor_id", at.alias("_at"), F.lit(1).alias("_kind"), "session_id", F.lit(None).cast("bigint").alias("_to")
    )
    so_far = W.partitionBy("visitor_id").orderBy("_at", "_kind", "session_id").rowsBetween(W.unboundedPreceding, 0)
    holder = F.last(F.when(F.col("_kind") == 0, F.struct("session_id", "_to")), ignorenulls=True).over(so_far)
    met = there.unionByName(asked).withColumn("_holder", holder).where("_kind = 1 AND _holder._to >= _at")
    return met.select(F.col("session_id").alias("old_session_id"), F.col("_holder.session_id").alias("session_id"))


def with_followed(redirects: DataFrame, stored: DataFrame) -> DataFrame:
    """The new redirects, and the stored ones that led to a session which is no more, led on."""
    onward = redirects.select(F.col("old_session_id").alias("_at"), F.col("session_id").alias("_to"))
    # _at is the key of redirects: many to one.
    led_on = stored.join(onward, on=F.col("session_id") == F.col("_at"), how="inner")
    again = led_on.select("old_session_id", F.col("_to").alias("session_id"))
    return redirects.unionByName(again.join(redirects, on="old_session_id", how="left_anti"))
