"""A later run works out again only what is new; it ends where a rebuild ends."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from retail_spark.config.section import LakeSettings
from retail_spark.domains.forecast import pipeline as making
from retail_spark.domains.forecast.job import JOB
from retail_spark.domains.forecast.settings import JobSettings
from retail_spark.engine.job import Result
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.lake.commit import carry_out
from retail_spark.lake.content_hash import content_hash
from retail_spark.lake.lake import Lake
from retail_spark.lake.write import replace_slice
from retail_spark.tables.forecast import FORECAST_ACCURACY, FORECASTS
from retail_spark.tables.silver import SALES
from tests.unit.forecast.shop import MONDAY, frame_of, shop

WEEKS = 40
SUNDAY = MONDAY + timedelta(days=7 * WEEKS - 1)
STORES, PRODUCTS = 2, 3


def lake_of(spark: SparkSession, root: Path, *, late: bool) -> Lake:
    """A shop; with `late`, one sale of p1 in the first week is larger than it was told at first."""
    lake = Lake.open(spark, LakeSettings(root=str(root)))
    for contract, rows in shop(WEEKS, stores=STORES, products=PRODUCTS).items():
        write(lake, contract, corrected(rows) if late and contract is SALES else rows)
    return lake


def corrected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    at = next(n for n, row in enumerate(rows) if row["product_id"] == "p1")
    return [*rows[:at], rows[at] | {"quantity": rows[at]["quantity"] + 5}, *rows[at + 1 :]]


def write(lake: Lake, contract: Any, rows: list[dict[str, Any]]) -> None:
    carry_out(lake, replace_slice(contract, frame_of(lake.spark, contract, rows), source="made_up"), run_id="input")


def run(lake: Lake, *, as_of: date | None = None, global_model: bool) -> Result:
    from pydantic import create_model

    from retail_spark.config.section import Settings

    section = JobSettings(
        horizon=2, windows=2, step=2, trees=5, buckets=2, replicates=20, models=("mean", "ses"), transform="raw",
        global_model=global_model, max_coverage_error=0.5, max_total_bias=2.0,
    )  # fmt: skip
    whole = create_model("Whole", __base__=Settings, forecast=(JobSettings, section))
    settings = whole(lake=LakeSettings(root=lake.root), quality={"data_docs": False})
    return run_job(JOB, settings, spark=lake.spark, as_of=as_of, progress=Progress("forecast", quiet=True))


@pytest.mark.slow
def test_a_late_sale_has_its_product_fitted_again_and_the_end_is_a_rebuild(spark: SparkSession, tmp_path: Path) -> None:
    lake = lake_of(spark, tmp_path / "kept", late=False)
    assert run(lake, global_model=False).metrics["series_fitted"] == STORES * PRODUCTS
    write(lake, SALES, corrected(shop(WEEKS, stores=STORES, products=PRODUCTS)[SALES]))
    assert run(lake, global_model=False).metrics["series_fitted"] == STORES
    rebuilt = lake_of(spark, tmp_path / "rebuilt", late=True)
    assert run(rebuilt, global_model=False).metrics["series_fitted"] == STORES * PRODUCTS
    for contract in (FORECASTS, FORECAST_ACCURACY):
        assert content_hash(lake.read(contract.table)) == content_hash(rebuilt.read(contract.table))


@pytest.mark.slow
def test_within_a_week_nothing_is_fitted_or_trained_again(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = lake_of(spark, tmp_path / "lake", late=False)
    first = run(lake, as_of=SUNDAY, global_model=True)
    assert first.metrics["series_fitted"] == STORES * PRODUCTS
    monkeypatch.setattr(making, "learn", lambda *_, **__: pytest.fail("trained again"))
    second = run(lake, as_of=SUNDAY + timedelta(days=2), global_model=True)
    assert second.metrics["series_fitted"] == 0
    means = [
        [tuple(row) for row in lake.read(FORECASTS.table).where(f"as_of = '{day}'").select(
            "store_id", "product_id", "date", "mean").orderBy("store_id", "product_id", "date").collect()]
        for day in (SUNDAY, SUNDAY + timedelta(days=2))
    ]  # fmt: skip
    assert means[0] == means[1] != []
