"""Ranking quality on UCI Online Retail, beside the baselines, and the seconds of each part.

Protocol: rows with a customer, not cancelled, quantity and price > 0, StockCode beginning with five digits; train
before 2011-11-09, tested on what comes after; warm customers, products seen in train; all products ranked, binary
relevance, ideal DCG over min(10, relevant).

Recipe and blends are chosen by the job's own code on the 31 days before the held-out window.

    python -m tests.benchmarks.recommend_online_retail [--trials 8] [--set returns='"net"']
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import LakeSettings, Settings, SparkSettings
from retail_spark.domains.recommend.holdout import HeldOut, measure, wanted_of
from retail_spark.domains.recommend.models.blend import Blend
from retail_spark.domains.recommend.purchases import to_lines, to_numbers
from retail_spark.domains.recommend.scoring.lists import Wanted
from retail_spark.domains.recommend.select import Choice, choose
from retail_spark.domains.recommend.settings import JobSettings
from retail_spark.domains.recommend.train import Data, learn
from retail_spark.engine.job import Run
from retail_spark.engine.progress import Progress
from retail_spark.lake.content_hash import content_hash
from retail_spark.lake.contract import Contract
from retail_spark.lake.lake import Lake
from retail_spark.spark.session import get_session
from retail_spark.tables.silver import SALES

DATA_ROOT = Path(os.environ.get("RETAIL_SPARK__DATA_ROOT", Path(__file__).parents[2] / ".." / "shared" / "data"))
TRAIN_UNTIL = date(2011, 11, 8)
WINDOW_DAYS = 31
BY_FREQUENCY = {"repurchase_powers": {"orders": 1.0}, "repurchase_scale": 1.0, "popularity_scale": 0.1}
PUBLISHED = {
    "all/frequency + all-time": 0.340, "all/personal": 0.360, "all/decayed x trend": 0.382,
    "discover/popular": 0.084, "discover/als alone": 0.091,
}  # fmt: skip
RIVALS = (
    Wanted("all/frequency + all-time", Blend(**BY_FREQUENCY, popularity="popular_ever"), only_new=False),
    Wanted(
        "all/decayed x trend",
        Blend({"decayed": 1.0, "recent": 1.0}, repurchase_scale=1.0, popularity_scale=1e-3),
        only_new=False,
    ),
    Wanted("discover/als alone", Blend(als_scale=1.0, popularity_scale=1e-9), only_new=True),
)


def sales(spark: SparkSession) -> DataFrame:
    """The canonical sales of the protocol's rows, straight from the file."""
    lines = spark.read.csv(str(DATA_ROOT / "online_retail" / "online_retail.csv.gz"), header=True, nullValue="")
    is_kept = ~F.col("InvoiceNo").startswith("C") & F.col("StockCode").rlike("^[0-9]{5}")
    return lines.where(is_kept).select(
        F.col("InvoiceNo").alias("order_id"),
        F.to_timestamp("InvoiceDate").alias("sold_at"),
        F.col("Country").alias("store_id"),
        F.col("StockCode").alias("product_id"),
        F.col("CustomerID").alias("customer_id"),
        F.col("Quantity").cast("double").alias("quantity"),
        F.col("UnitPrice").cast("double").alias("unit_price"),
    )


class BareRun(Run):
    """A run without a lake behind it: nothing but the sales is there."""

    def has(self, contract: Contract) -> bool:
        return False


def bare_run(spark: SparkSession, lake: Lake, *, as_of: date) -> Run:
    """A run outside the machinery: a place to stage, a seed, a clock."""
    return BareRun(
        id="benchmark",
        job="recommend",
        known_until=as_of,
        seed=42,
        spark=spark,
        lake=lake,
        settings=Settings(),
        pins={},
        last_pins={},
        progress=Progress("benchmark"),
    )


def show(found: HeldOut) -> None:
    means = found.means
    for own in ("all", "discover"):
        names = [n for n in means.means if n.startswith(f"{own}/") and n in found.spread]
        rivals = sorted(names, key=lambda n: means.means[n]["ndcg"])
        print(f"\nlist {own}: {means.customers[rivals[0]]:,} customers, at {found.k}")
        print(f"{'':26}{'nDCG':>8}{'95 % interval':>20}{'recall':>8}{'MAP':>8}{'hit':>8}{'covers':>8}{'issue':>8}")
        for name in rivals:
            values, (low, high), known = means.means[name], means.interval(name), PUBLISHED.get(name)
            print(
                f"{name.partition('/')[2]:26}{values['ndcg']:8.4f}{f'{low:.4f} to {high:.4f}':>20}"
                f"{values['recall']:8.4f}{values['map']:8.4f}{values['hit_rate']:8.4f}{found.spread[name]['coverage']:8.1%}"
                + (f"{known:8.3f}" if known else "")
            )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--trials", type=int, default=0, help="recipes of ALS tried on the nested window")
    arguments.add_argument("--set", action="append", default=[], help='a setting as JSON: returns="net"')
    arguments.add_argument("--cores", type=int, default=2, help="cores of the local session")
    given = arguments.parse_args()
    changed = {name: json.loads(value) for name, _, value in (text.partition("=") for text in given.set)}
    with tempfile.TemporaryDirectory() as folder:
        lake = LakeSettings(root=f"{folder}/lake")
        spark = get_session(Settings(lake=lake, spark=SparkSettings(master=f"local[{given.cores}]")))
        run = bare_run(spark, Lake.open(spark, lake), as_of=date(2011, 12, 9))
        settings = JobSettings(test_days=WINDOW_DAYS, search_trials=given.trials, **changed)
        with run.progress.step("purchases"):
            lines = run.stage("lines", sales(spark).transform(to_lines))
            data = Data(run, settings, lines, numbered(lines, "customer"), numbered(lines, "product"))
        choice = choose(data, cut=TRAIN_UNTIL, first=date(2010, 12, 1))
        show_choice(choice)
        found = measure(data, cut=TRAIN_UNTIL, recipe=choice.recipe, others=RIVALS)
        assert found is not None, f"{SALES.name} has no held-out customers"
        show(found)
        with run.progress.step("refit"):
            learned = learn(data, until=run.as_of, recipe=choice.recipe, name="refitted")
        with run.progress.step("score"):
            rows = run.stage("scored", learned.lists(wanted_of(choice.recipe), k=settings.k, settings=settings))
        print(
            f"\n{rows.count():,} rows, content {content_hash(rows)}; seconds: "
            + ", ".join(f"{k} {v:.1f}" for k, v in run.progress.seconds.items())
        )
        spark.stop()


def numbered(lines: DataFrame, what: str) -> DataFrame:
    """The numbers of a fresh lake."""
    key, number = f"{what}_id", f"{what}_no"
    none = lines.sparkSession.createDataFrame([], f"{key} string, {number} int")
    return to_numbers(lines.select(key).distinct(), known=none, key=key, number=number)


def show_choice(choice: Choice) -> None:
    """What was tried on the window before the held-out one, best first."""
    for metric in ("ndcg_als", "ndcg_all", "ndcg_discover"):
        tried = sorted(
            ((t["metrics"][metric], t["params"]) for t in choice.trials if metric in t["metrics"]), key=lambda x: -x[0]
        )
        for score, params in tried[:4]:
            print(f"nested {metric} {score:.4f}  {params}")
    print(f"chosen: {choice.recipe}")


if __name__ == "__main__":
    main()
