"""The job on Dominick's orange juice: ingest, estimate, and the pooled figures said in advance.

Prints the metrics of the run and the rows of gold.elasticity_estimates beside what independent packages give.

    python -m tests.benchmarks.elasticity_orange_juice [--data-root ../shared/data]
"""

from __future__ import annotations

import argparse
import tempfile

from retail_spark.demo import conf_folder
from retail_spark.domains import entry
from retail_spark.lake.store import Lake
from retail_spark.layers import resolve
from retail_spark.lifecycle import run_job
from retail_spark.progress import Progress
from retail_spark.session import get_session

SAID = {
    "pooled_rows": (106_139, 0.5),
    "pooled_elasticity": (-3.289, 0.0005),
    "pooled_std_error_store": (0.048, 0.0005),
    "pooled_std_error_two_way": (0.123, 0.0005),
    "iv_elasticity": (-3.315, 0.0005),
    "iv_std_error_two_way": (0.349, 0.0005),
    "iv_first_stage_f": (131.9, 0.05),
    "lags_rows": (96_558, 0.5),
    "lags_same_period_elasticity": (-3.449, 0.0005),
    "lags_long_run_elasticity": (-2.970, 0.0005),
}
"""Metric -> what it must be, and how near."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data-root", default="../shared/data")
    given = arguments.parse_args()
    source = conf_folder() / "sources" / "dominicks_orange_juice.yml"
    with tempfile.TemporaryDirectory() as folder:
        sets = [f"lake.root={folder}", f"data_root={given.data_root}", "quality.data_docs=false"]
        settings = resolve(files=[source], sets=sets)
        spark = get_session(settings)
        run_job(entry("ingest").job(), settings, spark=spark, progress=Progress("ingest", quiet=True))
        progress = Progress("elasticity", quiet=True)
        result = run_job(entry("elasticity").job(), settings, spark=spark, progress=progress)
        print(f"status {result.status}, {sum(progress.seconds.values()):.0f} s in parts that may overlap")
        for name, (said, near) in SAID.items():
            verdict = "reached" if abs(result.metrics[name] - said) <= near else "missed"
            print(f"  {name:32} {result.metrics[name]:>12.4f}   said {said:>10}: {verdict}")
        for name in sorted(set(result.metrics) - set(SAID)):
            print(f"  {name:32} {result.metrics[name]:>12.4f}")
        lake = Lake.open(spark, settings.lake)
        told = spark.read.format("delta").load(f"{lake.root}/gold/elasticity_estimates")
        few = told.where("level = 'category'").select("estimator", "term", "estimate", "std_error", "std_error_store",
                                                      "first_stage_f", "status")  # fmt: skip
        print(few.orderBy("estimator", "term").toPandas().to_string(index=False))
        prices = spark.read.format("delta").load(f"{lake.root}/gold/price_recommendations")
        print(prices.groupBy("is_recommended", "bound_hit").count().orderBy("count").toPandas().to_string(index=False))
        spark.stop()


if __name__ == "__main__":
    main()
