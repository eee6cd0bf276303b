"""Lateness on SCMS deliveries, beside the baselines, by the protocol of the issue.

Late is delivered after scheduled; train scheduled and delivered before 2014-05-02, tested on the 2,070 lines
scheduled from then on; a history holds what was delivered strictly before scheduled - 30 days, one event per
(shipment, key), prior weight 20; no freight, weight or insurance. Two recipes: `protocol` with the columns and the
one rate a history that the protocol names (the shipped mapping's), and `job`, the job's own histories (windows, delays,
overdue shipments).

    python -m tests.benchmarks.suppliers_scms                    both on the test window, and the concentration
    python -m tests.benchmarks.suppliers_scms --years            2010 to 2015 by rolling origin
    python -m tests.benchmarks.suppliers_scms --nested           six half years before the cut, to choose by
"""

from __future__ import annotations

import argparse
import os
import tempfile
from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import Settings, section
from retail_spark.domains.supplier_risk.concentration import herfindahl
from retail_spark.domains.supplier_risk.deliveries import to_lines
from retail_spark.domains.supplier_risk.evaluate import Measured
from retail_spark.domains.supplier_risk.features import to_features
from retail_spark.domains.supplier_risk.settings import JobSettings
from retail_spark.domains.supplier_risk.train import (
    compare,
    count_known,
    only_before,
    only_from,
    rolling,
    with_shipment_end,
)
from retail_spark.engine.run_job import run_job
from retail_spark.engine.settings_layers import resolve
from retail_spark.ingest.job import JOB as INGEST
from retail_spark.lake.lake import Lake
from retail_spark.spark.session import get_session
from retail_spark.tables.silver import DELIVERIES

HERE = Path(__file__).parents[2]
DATA_ROOT = os.environ.get("RETAIL_SPARK__DATA_ROOT", str(HERE / ".." / "shared" / "data"))
EPOCH, CUT, LAST = date(1970, 1, 1), date(2014, 5, 2), date(2015, 12, 31)
BARS = {"auc": (0.833, "at least"), "average_precision": (0.405, "at least"), "brier": (0.0902, "at most")}
SAID = {"constant": (0.5, 0.1127), "shrunk": (0.816, 0.1004)}
RECIPES: dict[str, dict[str, object]] = {
    "protocol": {"history_kinds": ("rate",), "recent_days": ()},
    "job": {name: getattr(JobSettings(), name) for name in ("history_kinds", "recent_days")},
}
HALF_YEARS = tuple(date(y, m, 2) for y in (2011, 2012, 2013, 2014) for m in (5, 11))[:7]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--years", action="store_true", help="2010 to 2015 by rolling origin")
    arguments.add_argument("--nested", action="store_true", help="six half years before the cut")
    arguments.add_argument("--recipe", choices=sorted(RECIPES), help="only this recipe")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sets = [f"lake.root={folder}/lake", f"data_root={DATA_ROOT}", "quality.data_docs=false"]
        settings = resolve(files=[HERE / "conf" / "sources" / "scms_deliveries.yml"], sets=sets)
        spark = get_session(settings)
        run_job(INGEST, settings, spark=spark)
        lake = Lake.open(spark, settings.lake)
        deliveries = lake.read(DELIVERIES.table)
        for name in [given.recipe] if given.recipe else RECIPES:
            own = job_settings(settings, **RECIPES[name])
            rows = lake.stage("benchmark", name, features(deliveries, own))
            print(f"\n{name}: {len(rows.columns)} columns")
            if given.years or given.nested:
                over_time(rows, own, nested=given.nested)
            else:
                test_window(rows, own)
        concentration(spark, deliveries)
        spark.stop()


def job_settings(settings: Settings, **changed: object) -> JobSettings:
    """The settings of the source, an outcome known from the delivery itself as the protocol says."""
    own = section(settings, "supplier_risk", JobSettings)
    return JobSettings(**{**own.model_dump(), "outcome_known": "delivered", **changed})


def features(deliveries: DataFrame, settings: JobSettings) -> DataFrame:
    lines = deliveries.transform(to_lines, as_of=LAST, predict_days=30, outcome_known="delivered")
    return lines.transform(to_features, recipe=settings.recipe()).transform(with_shipment_end)


def test_window(rows: DataFrame, settings: JobSettings) -> None:
    cut = (CUT - EPOCH).days
    train, test = only_before(rows, day=cut), only_from(rows, day=cut)
    found = compare(train, test, counted=count_known(train), settings=settings, seed=42)
    print(f"{found.train_lines:,} lines to learn from, {found.measured.lines:,} to measure on")
    print(f"{'':12}{'AUC':>8}{'AP':>8}{'Brier':>8}{'log loss':>10}{'ECE':>8}")
    for rival, values in found.measured.values.items():
        said = f"   said: AUC {SAID[rival][0]}, Brier {SAID[rival][1]}" if rival in SAID else ""
        print(
            f"{rival:12}{values['auc']:8.4f}{values['average_precision']:8.4f}{values['brier']:8.4f}"
            f"{values['log_loss']:10.4f}{values['ece']:8.4f}{said}"
        )
    for metric, (bar, sense) in BARS.items():
        value = found.measured.values["candidate"][metric]
        low, high = found.measured.interval("candidate", metric=metric)
        is_reached = value >= bar if sense == "at least" else value <= bar
        verdict = "reached" if is_reached else "missed"
        print(f"  {metric} {value:.4f} ({low:.4f} to {high:.4f}), bar {sense} {bar}: {verdict}")
    print(f"  delays within p50 {found.coverage['delay_p50']:.3f}, within p90 {found.coverage['delay_p90']:.3f}")


def over_time(rows: DataFrame, settings: JobSettings, *, nested: bool) -> None:
    if nested:
        ends = [(day - EPOCH).days for day in HALF_YEARS]
        origins = {str(HALF_YEARS[n]): (ends[n], ends[n + 1]) for n in range(len(ends) - 1)}
    else:
        years = range(2010, 2016)
        origins = {str(y): ((date(y, 1, 1) - EPOCH).days, (date(y + 1, 1, 1) - EPOCH).days) for y in years}
    found: dict[str, Measured] = rolling(rows, origins=origins, settings=settings, seed=42)
    print(f"{'from':12}{'lines':>7}{'late':>7}{'AUC':>8}{'AP':>8}{'Brier':>8}   shrunk: AUC, Brier")
    for name, measured in found.items():
        own, shrunk = measured.values["candidate"], measured.values["shrunk"]
        print(
            f"{name:12}{measured.lines:7,}{measured.late / measured.lines:7.1%}{own['auc']:8.4f}"
            f"{own['average_precision']:8.4f}{own['brier']:8.4f}   {shrunk['auc']:.4f}, {shrunk['brier']:.4f}"
        )


def concentration(spark: SparkSession, deliveries: DataFrame) -> None:
    spent = deliveries.withColumn("value", F.col("order_value"))
    warehouse = F.col("supplier_id") == "SCMS from RDC"
    share = spent.agg(F.sum(F.when(warehouse, F.col("value"))) / F.sum("value")).collect()[0][0]
    by_supplier = spent.where(~warehouse).groupBy("supplier_id").agg(F.sum("value").alias("value"))
    direct = by_supplier.agg(herfindahl(F.col("value"))).collect()[0][0]
    print(f"\nthe warehouse has {share:.1%} of the value (said: 67 %); direct drop's HHI {direct:.3f} (said: 0.140)")


if __name__ == "__main__":
    main()
