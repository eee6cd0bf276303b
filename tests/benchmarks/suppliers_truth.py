"""Supplier risk held to what is known to be true: made-up deliveries whose every probability to be late is known.

Prints the expected calibration error of P(late) on the held-out window, against outcomes and against the true
probabilities; and for changes in lateness how many weeks after them they were seen, and how often one was seen where
there was none.

    python -m tests.benchmarks.suppliers_truth [--lines 150000] [--suppliers 150] [--weeks 208]
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import date

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.config.section import LakeSettings, Settings
from retail_spark.domains.supplier_risk.changes import to_alarms, to_outcomes
from retail_spark.domains.supplier_risk.deliveries import to_lines
from retail_spark.domains.supplier_risk.evaluate import measure, to_bins
from retail_spark.domains.supplier_risk.features import to_features
from retail_spark.domains.supplier_risk.history import SHRUNK
from retail_spark.domains.supplier_risk.rates import with_lane
from retail_spark.domains.supplier_risk.settings import JobSettings
from retail_spark.domains.supplier_risk.train import (
    compare,
    count_known,
    day_of_share,
    lines_a_day,
    only_before,
    only_from,
    with_shipment_end,
)
from retail_spark.domains.supplier_risk.train_boosters import with_scores
from retail_spark.lake.lake import Lake
from retail_spark.spark.session import get_session
from retail_spark.stats.change_detection import SHARES, Rule, fewest_days
from tests.benchmarks.made_up_deliveries import deliveries, last_day, world_of

ECE_BAR, WEEKS_BAR = 0.02, 3.0
EPOCH = date(1970, 1, 1)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--lines", type=int, default=150_000)
    arguments.add_argument("--suppliers", type=int, default=150)
    arguments.add_argument("--weeks", type=int, default=208)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(lake=LakeSettings(root=folder))
        spark = get_session(settings)
        lake = Lake.open(spark, settings.lake)
        world = world_of(lines=given.lines, suppliers=given.suppliers, weeks=given.weeks)
        rows = lake.stage("benchmark", "deliveries", deliveries(spark, world=world, seed=42))
        own = JobSettings()
        lines = lake.stage(
            "benchmark",
            "lines",
            rows.transform(to_lines, as_of=last_day(world), predict_days=30, outcome_known="recorded"),
        )
        print(f"{given.lines:,} lines, {given.suppliers} suppliers, {given.weeks} weeks")
        calibration(lake, lines, own)
        changes(spark, lines, own, start=(world.start_on - EPOCH).days, as_of_day=(last_day(world) - EPOCH).days)
        spark.stop()


def calibration(lake: Lake, lines: DataFrame, own: JobSettings) -> None:
    rows = lake.stage(
        "benchmark", "rows", lines.transform(to_features, recipe=own.recipe()).transform(with_shipment_end)
    )
    cut = day_of_share(lines_a_day(rows), share=own.test_share)
    assert cut is not None
    train, test = only_before(rows, day=cut), only_from(rows, day=cut)
    found = compare(train, test, counted=count_known(train), settings=own, seed=42)
    for rival in ("candidate", "raw", "shrunk", "constant"):
        values = found.measured.values[rival]
        print(f"  {rival:10} AUC {values['auc']:.4f}  Brier {values['brier']:.4f}  ECE on outcomes {values['ece']:.4f}")
    plain = test.select("delivery_id", SHRUNK)
    scored = with_scores(test, scorer=found.scorer, explain=False).join(
        lines.select("delivery_id", "true_p"), "delivery_id", how="inner"
    )
    scored = lake.stage("benchmark", "scored", scored.join(plain, "delivery_id", how="inner"))
    rivals = {"candidate": "p_late", "shrunk": SHRUNK, "truth": "true_p"}
    among = measure(to_bins(scored, rivals=rivals).toPandas(), replicates=own.replicates, seed=42)
    for rival in ("candidate", "truth"):
        better = among.difference(rival, "shrunk", metric="brier")
        print(f"  {rival} has AUC {among.values[rival]['auc']:.4f} and is better than the shrunk rate by Brier "
              f"{better.mean:+.4f} ({better.low:+.4f} to {better.high:+.4f})")  # fmt: skip
    tenth = F.ntile(10).over(W.orderBy("p_late", "delivery_id"))
    by_tenth = (
        scored.withColumn("tenth", tenth)
        .groupBy("tenth")
        .agg(F.abs(F.avg("p_late") - F.avg("true_p")).alias("gap"), F.count(F.lit(1)).alias("lines"))
    )
    row = by_tenth.agg((F.sum(F.col("gap") * F.col("lines")) / F.sum("lines")).alias("ece")).collect()[0]
    floor = scored.agg(F.avg(F.col("true_p") * (1 - F.col("true_p"))).alias("brier")).collect()[0]["brier"]
    verdict = "reached" if row["ece"] <= ECE_BAR else "missed"
    print(f"  ECE against the true probabilities {row['ece']:.4f}, bar at most {ECE_BAR}: {verdict}")
    print(f"  the truth itself would have Brier {floor:.4f} on these lines")


def changes(spark: SparkSession, lines: DataFrame, own: JobSettings, *, start: int, as_of_day: int) -> None:
    """Alarms of lateness by supplier; the truth has no lead times that change, and no shocks of lanes."""
    outcomes = to_outcomes(with_lane(lines), as_of_day=as_of_day)
    rule = Rule(own.odds_ratio, own.false_alarm_years, own.min_known, own.prior_weight)
    told = outcomes.transform(to_alarms, rule=rule).where("level = 'supplier'")
    is_late = F.col("changed_what").isin("late_up", "late_down")
    alarms = told.where(is_late).withColumn("is_up", F.col("changed_what") == "late_up")
    truth = lines.groupBy(F.col("supplier_id").alias("member")).agg(
        (F.max("changed_day") + start).alias("true_day"), F.count_distinct("shipment").alias("shipments"),
        (F.max("promised_day") - F.min("promised_day")).alias("span"),
    )  # fmt: skip
    suppliers = truth.toPandas()  # one row a supplier
    found = alarms.toPandas()
    never = suppliers[suppliers["true_day"].isna()]
    decades = (never["span"].sum() / 3652.5) or float("nan")
    false = found[found["member"].isin(never["member"])]
    print(f"  {len(never)} suppliers without a change: {len(false)} alarms in {decades:.1f} supplier-decades: "
          f"{len(false) / decades:.2f} a supplier-decade, stated at most "
          f"{sum(SHARES['supplier', 'late']) * 10 / own.false_alarm_years:.2f}")  # fmt: skip
    changed = suppliers[suppliers["true_day"].notna()].copy()
    changed["a_week"] = changed["shipments"] / changed["span"] * 7
    changed["seen"] = [
        found[(found["member"] == r.member) & found["is_up"] & (found["seen_day"] >= r.true_day)]["seen_day"].min()
        for r in changed.itertuples()
    ]
    changed["weeks"] = (changed["seen"] - changed["true_day"]) / 7
    for least, most in ((0, 1), (1, 3), (3, 6), (6, 1e9)):
        some = changed[(changed["a_week"] >= least) & (changed["a_week"] < most)]
        if len(some):
            seen = some["weeks"].notna().sum()
            bound = fewest_days(0.15, 0.442, shipments_a_day=some["a_week"].median() / 7, years=rule.years,
                                share=SHARES["supplier", "late"][0]) / 7  # fmt: skip
            print(f"  changed, {least} to {most:g} shipments a week: {len(some)} suppliers, {seen} of them seen, "
                  f"median {some['weeks'].fillna(np.inf).median():.1f} weeks after the change "
                  f"(bound for the mean, 15 % to 44 %: {bound:.1f})")  # fmt: skip
    median = changed["weeks"].fillna(np.inf).median()
    print(f"  all {len(changed)}: median {median:.1f} weeks, bar at most {WEEKS_BAR:g}: "
          f"{'reached' if median <= WEEKS_BAR else 'missed'}")  # fmt: skip


if __name__ == "__main__":
    main()
