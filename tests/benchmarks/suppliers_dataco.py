"""Lateness on DataCo, one row an order, and the leak check held to a column that decides the label.

Late is counted in calendar days. Cut at the 80 % quantile of the time of order; what is known is what the order
itself tells, its hour included. Only mode and hour foretell anything here: an AUC above .79 would be a leak.

    python -m tests.benchmarks.suppliers_dataco
"""

from __future__ import annotations

import os
import tempfile
from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.config.section import section
from retail_spark.domains.supplier_risk.deliveries import to_lines
from retail_spark.domains.supplier_risk.features import fit_encoder, to_features
from retail_spark.domains.supplier_risk.leakage import check_no_leak
from retail_spark.domains.supplier_risk.settings import JobSettings
from retail_spark.domains.supplier_risk.train import compare, count_known, with_shipment_end
from retail_spark.engine.run_job import run_job
from retail_spark.engine.settings_layers import resolve
from retail_spark.errors import InputError
from retail_spark.ingest.job import JOB as INGEST
from retail_spark.lake.lake import Lake
from retail_spark.spark.session import get_session
from retail_spark.tables.silver import DELIVERIES

HERE = Path(__file__).parents[2]
DATA_ROOT = os.environ.get("RETAIL_SPARK__DATA_ROOT", str(HERE / ".." / "shared" / "data"))
LOW, HIGH = 0.77, 0.79


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sets = [f"lake.root={folder}/lake", f"data_root={DATA_ROOT}", "quality.data_docs=false"]
        settings = resolve(files=[HERE / "conf" / "sources" / "dataco_orders.yml"], sets=sets)
        spark = get_session(settings)
        run_job(INGEST, settings, spark=spark)
        lake = Lake.open(spark, settings.lake)
        own = section(settings, "supplier_risk", JobSettings)
        orders = lake.stage("benchmark", "orders", lake.read(DELIVERIES.table).dropDuplicates(["shipment_id"]))
        train, test = split(lake, orders, own)
        print(f"{train.count():,} orders to learn from, {test.count():,} to measure on")
        found = compare(train, test, counted=count_known(train), settings=own, seed=42)
        for rival, values in found.measured.values.items():
            print(f"{rival:12} AUC {values['auc']:.4f}  Brier {values['brier']:.4f}  ECE {values['ece']:.4f}")
        auc = found.measured.values["candidate"]["auc"]
        print(f"AUC {auc:.4f}, expected between {LOW} and {HIGH}: {'reached' if LOW <= auc <= HIGH else 'missed'}")
        leak(lake, orders, own)
        spark.stop()


def split(lake: Lake, orders: DataFrame, own: JobSettings) -> tuple[DataFrame, DataFrame]:
    """Features of the first 80 % and of the last 20 % of the orders by time."""
    rows = features(lake, orders, own, name="rows")
    timed = rows.join(orders.select("delivery_id", F.unix_micros("ordered_at").alias("at")), "delivery_id", how="inner")
    cut = timed.selectExpr("percentile(at, 0.8) AS cut").collect()[0]["cut"]
    return timed.where(F.col("at") <= cut).drop("at"), timed.where(F.col("at") > cut).drop("at")


def features(lake: Lake, orders: DataFrame, own: JobSettings, *, name: str) -> DataFrame:
    lines = orders.transform(
        to_lines, as_of=date(2018, 12, 31), predict_days=own.predict_days_before_promise, outcome_known="recorded"
    )
    rows = lines.transform(to_features, recipe=own.recipe()).transform(with_shipment_end)
    return lake.stage("benchmark", name, rows.where(F.col("is_late").isNotNull()))


def leak(lake: Lake, orders: DataFrame, own: JobSettings) -> None:
    """A column as the original data set has it, the real days of shipping less the scheduled ones."""
    days = F.datediff("delivered_on", "promised_on").cast("string")
    with_days = orders.withColumn("attributes", F.map_concat("attributes", F.create_map(F.lit("days_over"), days)))
    leaking = JobSettings(**{**own.model_dump(), "number_columns": (*own.number_columns, "days_over")})
    rows = features(lake, with_days, leaking, name="leaking")
    encoder = fit_encoder(rows, recipe=leaking.recipe())
    try:
        check_no_leak(rows, encoder=encoder, limit=leaking.leak_auc)
    except InputError as error:
        print(f"a column that decides the label was added, and refused: {error.what}")
    else:
        raise AssertionError("the leak was not seen")


if __name__ == "__main__":
    main()
