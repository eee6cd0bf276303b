"""Submitted to the cluster by a test: tells from where the driver and the executors import the package."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession

import retail_spark


def seen_by_executor(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    import retail_spark
    from retail_spark.lake.table_name import TableName

    for batch in batches:
        parsed = [str(TableName.parse(f"silver.t{number}")) for number in batch["id"]]
        yield pd.DataFrame({"origin": retail_spark.__file__, "folder": str(Path.cwd()), "table": parsed})


if __name__ == "__main__":
    spark = SparkSession.builder.getOrCreate()
    path = sys.argv[1]
    spark.range(0, 64, 1, 8).write.format("delta").save(path)
    # Eight partitions, so that both one-core executors get some.
    rows = spark.read.format("delta").load(path).repartition(8)
    seen = rows.mapInPandas(seen_by_executor, "origin string, folder string, table string")
    told = [row.asDict() for row in seen.distinct().collect()]
    print(json.dumps({"driver": retail_spark.__file__, "master": spark.conf.get("spark.master"), "executors": told}))
