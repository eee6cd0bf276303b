"""The figures of two real logs: python -m tests.benchmarks.sessions_real

Said in advance: Diginetica 2,986 sessions, 4.15 events each, bounce 31.2 %; the Apache log by address and agent 3,223
sessions, 3.10 events each, bounce (one event) 55.0 %.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pyspark.sql import functions as F

from retail_spark.cli.demo import conf_folder
from retail_spark.engine.catalogue import entry
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.engine.settings_layers import resolve
from retail_spark.lake.lake import Lake
from retail_spark.spark.session import get_session
from retail_spark.tables.sessionize import SESSIONS

OWN = {"diginetica_views": [], "apache_access_log": ["sessionize.own_hosts=[semicomplete.com]"]}


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        for source, own in OWN.items():
            mapping = conf_folder() / "sources" / f"{source}.yml"
            sets = [f"lake.root={home}/{source}", "quality.data_docs=false", *own]
            settings = resolve(files=[Path(mapping)], environ=os.environ, sets=sets)
            spark = get_session(settings)
            for job in ("ingest", "sessionize"):
                result = run_job(entry(job).job(), settings, spark=spark, progress=Progress(job, quiet=True))
            sessions = Lake.open(spark, settings.lake).read(SESSIONS.table)
            by_bot = sessions.groupBy("is_bot").agg(
                F.count(F.lit(1)).alias("sessions"),
                F.sum("events").alias("events"),
                F.avg(F.col("is_bounce").cast("int")).alias("bounce"),
            )
            print(source, {name: round(value, 4) for name, value in result.metrics.items()})
            for row in by_bot.orderBy("is_bot").collect():
                print("   bots  " if row["is_bot"] else "   people", row.asDict())
            for row in sessions.groupBy("channel").count().orderBy(F.desc("count")).collect():
                print("  ", row["channel"], row["count"])


if __name__ == "__main__":
    main()
