"""The made-up retailer knows its sessions and its bots: both are found again."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import LakeSettings, Settings
from retail_spark.domains.sessionize.cut import with_sessions
from retail_spark.domains.sessionize.job import rule_of, to_measured, with_flags
from retail_spark.domains.sessionize.settings import JobSettings
from retail_spark.engine.job import Run
from retail_spark.engine.progress import Progress
from retail_spark.lake.lake import Lake
from retail_spark.synthetic.job import JOB as SYNTHETIC
from retail_spark.synthetic.settings import JobSettings as Retailer
from retail_spark.tables.silver import EVENTS


@pytest.fixture(scope="module")
def told(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[DataFrame, DataFrame]:
    """The retailer's events as ingest would map them, and the truth of each."""
    settings = Settings(lake=LakeSettings(root=str(tmp_path_factory.mktemp("retailer"))))
    lake = Lake.open(spark, settings.lake)
    run = Run("test", "synthetic", None, 42, spark, lake, settings, {}, {}, Progress("test", quiet=True))
    outcome = SYNTHETIC(run, Retailer(size="tiny", visits=1500))
    assert isinstance(outcome.tables, tuple)
    made = {write.contract.name: write.frame for write in outcome.tables}
    truth = made["truth.sessions"].select("event_id", F.col("session_id").alias("true_id"), "is_bot", "is_declared_bot")
    raw = (
        made["raw.events"]
        .dropDuplicates(["event"])
        .join(truth, on=F.col("event") == F.col("event_id"), how="left_semi")
    )
    named = {"event_id": "event", "visitor_id": "visitor", "customer_id": "card", "event_type": "type"}
    named |= {"page_url": "page", "product_id": "sku", "order_id": "order_no"}
    mapped = raw.withColumns({new: F.col(old) for new, old in named.items()}).withColumns(
        {
            "occurred_at": F.to_timestamp("occurred_at"),
            "received_at": F.to_timestamp("received_at"),
            "revenue": F.col("value").cast("double"),
            "source": F.lit("made_up"),
            "row_hash": F.lit(""),
        }
    )
    missing = {c.name: F.lit(None).cast(c.type) for c in EVENTS.columns if c.name not in mapped.columns}
    place = str(Path(lake.root) / "events")
    mapped.withColumns(missing).transform(EVENTS.select).write.parquet(place)
    return spark.read.parquet(place), truth


@pytest.mark.slow
def test_the_true_sessions_are_found_again(told: tuple[DataFrame, DataFrame]) -> None:
    events, truth = told
    cut = with_sessions(events, rule=rule_of(JobSettings()))
    # event_id is the key of both sides
    pairs = cut.join(truth, on="event_id", how="inner").select("session_id", "true_id")
    row = pairs.agg(
        F.count(F.lit(1)).alias("events"),
        F.count_distinct("session_id").alias("found"),
        F.count_distinct("true_id").alias("true"),
        F.count_distinct("session_id", "true_id").alias("pairs"),
    ).collect()[0]
    assert row["events"] > 5_000
    assert row["found"] == row["true"] == row["pairs"]


@pytest.mark.slow
def test_bots_are_found_whether_they_say_so_or_not_and_people_are_none(told: tuple[DataFrame, DataFrame]) -> None:
    events, truth = told
    own = JobSettings()
    cut = with_sessions(events, rule=rule_of(own))
    sessions = (
        cut.transform(to_measured, settings=own)
        .transform(with_flags, cut=cut, settings=own)
        .select("session_id", F.col("is_bot").alias("flagged"))
    )
    by_event = cut.join(truth, on="event_id", how="inner").join(sessions, on="session_id", how="inner")
    kinds = ("is_bot", "is_declared_bot", "flagged")
    each = by_event.select("session_id", *kinds).distinct().groupBy(*kinds).agg(F.count(F.lit(1)).alias("n"))
    found = {tuple(row[kind] for kind in kinds): row["n"] for row in each.collect()}
    assert found.get((False, False, True), 0) == 0
    assert found.get((True, True, False), 0) == 0
    assert found.get((True, False, False), 0) == 0
    assert found[True, False, True] > 0
    assert found[False, False, False] > 1000
