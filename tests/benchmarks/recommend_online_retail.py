"""Ranking quality on UCI Online Retail, beside the baselines, and the seconds of each part.

Protocol: rows with a customer, not cancelled, quantity and price > 0, StockCode beginning with five digits; train
before 2011-11-09, tested on what comes after; warm customers, products seen in train; all products ranked, binary
relevance, ideal DCG over min(10, relevant).

    python -m tests.benchmarks.recommend_online_retail            the held-out window, once
    python -m tests.benchmarks.recommend_online_retail --choose   fit and choose the defaults on windows before it
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.canonical import SALES
from retail_spark.lake.content import content_hash
from retail_spark.lake.store import Lake
from retail_spark.progress import Progress
from retail_spark.recommend.evaluate import to_truth
from retail_spark.recommend.job import HeldOut, measure, wanted_of
from retail_spark.recommend.learning import learn
from retail_spark.recommend.model import Blend
from retail_spark.recommend.ranking import Wanted
from retail_spark.recommend.settings import JobSettings
from retail_spark.recommend.transforms import only_purchases
from retail_spark.run import Run
from retail_spark.session import get_session
from retail_spark.settings import LakeSettings, Settings, SparkSettings

DATA_ROOT = Path(os.environ.get("RETAIL_SPARK__DATA_ROOT", Path(__file__).parents[2] / ".." / "shared" / "data"))
TRAIN_UNTIL = date(2011, 11, 8)
NESTED = (date(2011, 10, 8), date(2011, 9, 7), date(2011, 8, 7))
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


def bare_run(spark: SparkSession, lake: Lake, *, as_of: date) -> Run:
    """A run outside the machinery: a place to stage, a seed, a clock."""
    return Run(
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
        rivals = sorted((n for n in means.means if n.startswith(f"{own}/")), key=lambda n: means.means[n]["ndcg"])
        print(f"\nlist {own}: {means.customers[rivals[0]]:,} customers, at {found.k}")
        print(f"{'':26}{'nDCG':>8}{'95 % interval':>20}{'recall':>8}{'MAP':>8}{'hit':>8}{'covers':>8}{'issue':>8}")
        for name in rivals:
            values, (low, high), known = means.means[name], means.interval(name), PUBLISHED.get(name)
            print(
                f"{name.partition('/')[2]:26}{values['ndcg']:8.4f}{f'{low:.4f} to {high:.4f}':>20}"
                f"{values['recall']:8.4f}{values['map']:8.4f}{values['hit_rate']:8.4f}{found.coverage[name]:8.1%}"
                + (f"{known:8.3f}" if known else "")
            )


def entries(run: Run, purchases: DataFrame, *, cut: date, settings: JobSettings) -> pd.DataFrame:
    """One row per product bought before by a customer of the window: features, and whether it was bought again."""
    learned = learn(run, purchases, until=cut, recipe=settings.recipe(), settings=settings, name=f"until_{cut}")
    assert learned.factors is not None
    window = purchases.where(F.col("day").between(F.lit(cut + timedelta(days=1)), F.lit(cut + timedelta(WINDOW_DAYS))))
    truth = to_truth(window, learned.history)
    active = truth.select("customer_id").distinct()
    again = truth.where(~F.col("is_new")).select("customer_id", "product_id", F.lit(1).alias("again"))
    rows = learned.history.join(active, "customer_id", how="left_semi")
    rows = rows.join(again, ["customer_id", "product_id"], how="left").fillna(0, ["again"])
    rows = rows.join(learned.products.drop("product_no"), "product_id", how="inner")
    for side, number in (("customers", "customer_no"), ("products", "product_no")):
        factors = getattr(learned.factors, side).select(F.col("id").alias(number), F.col("features").alias(side))
        rows = rows.join(factors, number, how="inner")
    frame = rows.toPandas()
    frame["als"] = [max(float(np.dot(u, v)), 1e-4) for u, v in zip(frame["customers"], frame["products"], strict=True)]
    return frame


def choose(run: Run, purchases: DataFrame) -> None:
    """Fits the powers of the features, then tries the weights behind them; sees nothing of the held-out window."""
    from sklearn.linear_model import LogisticRegression

    settings = JobSettings()
    names, floors = list(settings.repurchase_powers), {"buyers": 1.0, "recent": 0.5, "trend": 0.3}
    rows = pd.concat([entries(run, purchases, cut=cut, settings=settings) for cut in NESTED])
    logs = np.column_stack([np.log(rows[name] + floors.get(name, 0.0)) for name in names])
    fitted = LogisticRegression(max_iter=2000).fit(logs, rows["again"])
    powers = dict(zip(names, fitted.coef_[0].round(2).tolist(), strict=True))
    scale = float(np.exp(fitted.intercept_[0]).round(2))
    print(f"repurchase_powers {powers}  repurchase_scale {scale}")
    changed = settings.model_copy(update={"repurchase_powers": powers, "repurchase_scale": scale})
    tries: dict[str, Wanted] = {}
    for weight in (0.0, 0.003, 0.01, 0.02):
        blend = changed.model_copy(update={"all_als_scale": weight}).recipe().all
        tries[f"all_als_scale={weight}"] = Wanted(f"all/all_als_scale={weight}", blend, only_new=False)
    for power in (0.25, 0.5, 0.75):
        blend = changed.model_copy(update={"als_trend_power": power}).recipe().discover
        tries[f"als_trend_power={power}"] = Wanted(f"discover/als_trend_power={power}", blend, only_new=True)
    compare(run, purchases, tuple(tries.values()), settings=changed)


def compare(run: Run, purchases: DataFrame, tries: Sequence[Wanted], *, settings: JobSettings) -> None:
    scores: dict[str, list[float]] = {}
    for cut in NESTED:
        within = purchases.where(F.col("day") <= F.lit(cut + timedelta(WINDOW_DAYS)))
        found = measure(run, within, cut=cut, settings=settings, others=tries)
        assert found is not None
        for name, means in found.means.means.items():
            scores.setdefault(name, []).append(means["ndcg"])
    for name, values in sorted(scores.items()):
        print(f"{name:36}" + "".join(f"{value:8.4f}" for value in values) + f"   mean {np.mean(values):.4f}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--choose", action="store_true", help="choose defaults on windows before the held-out one")
    arguments.add_argument("--cores", type=int, default=2, help="cores of the local session")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = LakeSettings(root=f"{folder}/lake")
        spark = get_session(Settings(lake=lake, spark=SparkSettings(master=f"local[{given.cores}]")))
        run = bare_run(spark, Lake.open(spark, lake), as_of=date(2011, 12, 9))
        with run.progress.step("purchases"):
            purchases = run.stage("purchases", sales(spark).transform(only_purchases))
        if given.choose:
            choose(run, purchases)
            return
        found = measure(run, purchases, cut=TRAIN_UNTIL, settings=JobSettings(), others=RIVALS)
        assert found is not None, f"{SALES.name} has no held-out customers"
        show(found)
        settings = JobSettings()
        with run.progress.step("refit"):
            learned = learn(
                run, purchases, until=run.as_of, recipe=settings.recipe(), settings=settings, name="refitted"
            )
        with run.progress.step("score"):
            rows = run.stage("scored", learned.lists(wanted_of(settings.recipe()), k=settings.k, settings=settings))
        print(
            f"\n{rows.count():,} rows, content {content_hash(rows)}; seconds: "
            + ", ".join(f"{k} {v:.1f}" for k, v in run.progress.seconds.items())
        )
        spark.stop()


if __name__ == "__main__":
    main()
