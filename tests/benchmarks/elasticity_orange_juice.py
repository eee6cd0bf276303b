"""The job on Dominick's orange juice, in the whole life of a run: the pooled figures said in advance.

Prints the metrics of the run and the rows of gold.elasticity_estimates beside what independent packages give.

    python -m tests.benchmarks.elasticity_orange_juice [--in-memory]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.domains.elasticity.estimate.category import COLUMNS, Rules, estimate_rows, lagged_rows
from retail_spark.domains.elasticity.panel.cells import SHARES
from retail_spark.domains.elasticity.settings import JobSettings
from retail_spark.engine.catalogue import entry
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.engine.settings_layers import resolve
from retail_spark.lake.commit import carry_out
from retail_spark.lake.lake import Lake
from retail_spark.lake.write import replace_slice
from retail_spark.spark.session import get_session
from retail_spark.tables.silver import SALES
from tests.benchmarks.elasticity_holdout import orange_juice
from tests.benchmarks.in_memory import cells_of, net_of_effects

DATA_ROOT = Path(os.environ.get("RETAIL_SPARK__DATA_ROOT", Path(__file__).parents[2] / ".." / "shared" / "data"))
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


def sales(spark: SparkSession) -> DataFrame:
    """silver.sales of the file, by the expressions of conf/sources/dominicks_orange_juice.yml."""
    raw = spark.read.csv(str(DATA_ROOT / "dominicks_orange_juice" / "yx.csv.gz"), header=True, inferSchema=True)
    price = F.element_at(F.array(*[f"price{n}" for n in range(1, 12)]), F.col("brand").cast("int")).cast("double")
    given: dict[str, Column] = {
        "sale_id": F.concat_ws("-", "store", "brand", "week"),
        "sold_at": F.date_add(F.lit(date(1989, 9, 14)), ((F.col("week") - 1) * 7).cast("int")).cast("timestamp"),
        "store_id": F.col("store"),
        "product_id": F.col("brand"),
        "quantity": F.round(F.exp("logmove")),
        "unit_price": price,
        "unit_cost": price * (1 - F.col("profit") / 100),
        "currency": F.lit("USD"),
        "on_promotion": F.col("feat"),
        "on_deal": F.col("deal"),
        "source": F.lit("dominicks_orange_juice"),
        "row_hash": F.lit("0"),
    }
    return raw.select(*[given.get(c.name, F.lit(None)).cast(c.type).alias(c.name) for c in SALES.columns])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--in-memory", action="store_true", help="the job's numpy without Spark: seconds")
    if arguments.parse_args().in_memory:
        in_memory()
    else:
        as_a_run()


def verdicts(metrics: Mapping[str, float]) -> None:
    for name, (said, near) in SAID.items():
        verdict = "reached" if abs(metrics[name] - said) <= near else "missed"
        print(f"  {name:32} {metrics[name]:>12.4f}   said {said:>10}: {verdict}")


def in_memory() -> None:
    """The same estimates from moments made by pandas."""
    rows = orange_juice().rename(columns={"rival_price": "other_markets"})
    raw = pd.read_csv(DATA_ROOT / "dominicks_orange_juice" / "yx.csv.gz")
    rows = rows.assign(cost=rows["price"] + np.log(1 - raw["profit"] / 100), base_price=rows["price"], discount=0.0,
                       on_display=0.0, other_markets=0.0)  # fmt: skip
    rules = Rules.of(JobSettings())
    cells = cells_of(net_of_effects(rows, COLUMNS, periods=True), COLUMNS)
    found = estimate_rows(cells, columns=COLUMNS, rules=rules).set_index(["estimator", "term"])
    prices = rows.set_index(["store_id", "product_id", "period"])["price"]
    keys = [rows["store_id"], rows["product_id"]]
    for lag in (1, 2, 3):
        rows[f"price_lag_{lag}"] = prices.reindex(pd.MultiIndex.from_arrays([*keys, rows["period"] - lag])).to_numpy()
    lagged = ("y", "price", "price_lag_1", "price_lag_2", "price_lag_3", *SHARES)
    past = cells_of(net_of_effects(rows.dropna(), lagged, periods=True), lagged)
    lags = lagged_rows(past, columns=lagged, rules=rules).set_index("term")
    ols, iv = found.loc[("ols", "price")], found.loc[("iv", "price")]
    verdicts({
        "pooled_rows": ols["n_obs"], "pooled_elasticity": ols["estimate"],
        "pooled_std_error_store": ols["std_error_store"], "pooled_std_error_two_way": ols["std_error"],
        "iv_elasticity": iv["estimate"],
        "iv_std_error_two_way": iv["std_error"], "iv_first_stage_f": iv["first_stage_f"],
        "lags_rows": lags.loc["price", "n_obs"], "lags_same_period_elasticity": lags.loc["price", "estimate"],
        "lags_long_run_elasticity": lags.loc["long_run", "estimate"],
    })  # fmt: skip


def as_a_run() -> None:
    """The whole life of a run."""
    with tempfile.TemporaryDirectory() as folder:
        settings = resolve(sets=[f"lake.root={folder}", "quality.data_docs=false", "mlflow.experiment=benchmark"])
        spark = get_session(settings)
        lake = Lake.open(spark, settings.lake)
        carry_out(lake, replace_slice(SALES, sales(spark), source="dominicks_orange_juice"), run_id="input")
        progress = Progress("elasticity")
        result = run_job(entry("elasticity").job(), settings, spark=spark, progress=progress)
        print(f"status {result.status}; seconds a part: { {k: round(v) for k, v in progress.seconds.items()} }")
        verdicts(result.metrics)
        for name in sorted(set(result.metrics) - set(SAID)):
            print(f"  {name:32} {result.metrics[name]:>12.4f}")
        told = spark.read.format("delta").load(f"{lake.root}/gold/elasticity_estimates")
        few = told.where("level = 'category'").select("estimator", "term", "estimate", "std_error", "std_error_store",
                                                      "first_stage_f", "status")  # fmt: skip
        print(few.orderBy("estimator", "term").toPandas().to_string(index=False))
        prices = spark.read.format("delta").load(f"{lake.root}/gold/price_recommendations")
        print(prices.groupBy("is_recommended", "bound_hit").count().orderBy("count").toPandas().to_string(index=False))
        spark.stop()


if __name__ == "__main__":
    main()
