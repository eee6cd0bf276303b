"""Features of many deliveries by window functions alone: seconds for three sizes, 10 million lines at the end.

python -m tests.benchmarks.suppliers_speed [--lines 10000000] [--suppliers 50000]
"""

from __future__ import annotations

import argparse
import tempfile
import time

from retail_spark.config.section import LakeSettings, Settings, SparkSettings
from retail_spark.domains.supplier_risk.deliveries import to_lines
from retail_spark.domains.supplier_risk.features import to_features
from retail_spark.domains.supplier_risk.settings import JobSettings
from retail_spark.lake.lake import Lake
from retail_spark.spark.session import get_session
from tests.benchmarks.made_up_deliveries import deliveries, last_day, world_of


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--lines", type=int, default=10_000_000)
    arguments.add_argument("--suppliers", type=int, default=50_000)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        memory = SparkSettings(driver_memory="8g", shuffle_partitions=16)
        settings = Settings(lake=LakeSettings(root=folder), spark=memory)
        spark = get_session(settings)
        lake = Lake.open(spark, settings.lake)
        recipe = JobSettings().recipe()
        for part in (4, 2, 1):
            count, suppliers = given.lines // part, given.suppliers // part
            world = world_of(lines=count, suppliers=suppliers, weeks=156)
            rows = lake.stage("benchmark", f"deliveries{part}", deliveries(spark, world=world, seed=42))
            began = time.monotonic()
            lines = rows.transform(to_lines, as_of=last_day(world), predict_days=30, outcome_known="recorded")
            lines.transform(to_features, recipe=recipe).write.format("noop").mode("overwrite").save()
            seconds = time.monotonic() - began
            print(
                f"{count:>12,} lines, {suppliers:>7,} suppliers: {seconds:7.1f} s, {count / seconds:>9,.0f} lines/s",
                flush=True,
            )
        spark.stop()


if __name__ == "__main__":
    main()
