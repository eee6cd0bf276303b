"""The job in the whole life of a run, on a small shop with two kinds of category and every kind of bad input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from pydantic import create_model
from pyspark.sql import SparkSession

from retail_spark.config.section import LakeSettings, Settings
from retail_spark.domains.elasticity.job import JOB
from retail_spark.domains.elasticity.settings import JobSettings
from retail_spark.engine.job import Result
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.lake.commit import carry_out
from retail_spark.lake.lake import Lake
from retail_spark.lake.write import replace_slice
from retail_spark.tables.elasticity import (
    CROSS_ELASTICITIES,
    ELASTICITIES,
    ELASTICITY_ESTIMATES,
    MARKDOWN_PLANS,
    PRICE_RECOMMENDATIONS,
    UNIDENTIFIED,
    WORDS,
)
from retail_spark.tables.silver import INVENTORY, PLANNED_PRICES, PRODUCTS, SALES
from tests.integration.elasticity.made_up import ELASTICITY, LAST, one_shop, shaped, shop, troublesome

SMALL: dict[str, Any] = {"ml_trees": 10, "ml_folds": 2, "season_harmonics": 0, "holdout_periods": 8}
TABLES = (ELASTICITIES, ELASTICITY_ESTIMATES, CROSS_ELASTICITIES, PRICE_RECOMMENDATIONS, MARKDOWN_PLANS)


@dataclass(frozen=True)
class Done:
    """A run, and its tables in memory."""

    lake: Lake
    result: Result
    tables: dict[str, pd.DataFrame]

    def price(self, level: str, estimator: str) -> pd.DataFrame:
        found = self.tables["elasticity_estimates"]
        found = found[(found["level"] == level) & (found["estimator"] == estimator) & (found["term"] == "price")]
        return found.set_index("member")


def settings_of(lake: Lake) -> Settings:
    whole = create_model("Whole", __base__=Settings, elasticity=(JobSettings, JobSettings(**SMALL)))
    return whole(lake=LakeSettings(root=lake.root))


def run(lake: Lake) -> Result:
    quiet = Progress("elasticity", quiet=True)
    return run_job(JOB, settings_of(lake), spark=lake.spark, progress=quiet)


@pytest.fixture(scope="module")
def done(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Done:
    lake = Lake.open(spark, LakeSettings(root=str(tmp_path_factory.mktemp("elasticity"))))
    sales, planned, products = shop()
    numbered = [{**row, "sale_id": str(n)} for n, row in enumerate([*sales, *troublesome()])]
    stock = [{"store_id": f"s{n}", "product_id": "dense0", "date": LAST, "on_hand": 900.0} for n in range(4)]
    given = ((SALES, numbered), (PLANNED_PRICES, planned), (PRODUCTS, products), (INVENTORY, stock))
    for contract, rows in given:
        carry_out(lake, replace_slice(contract, shaped(spark, contract, rows), source="made_up"), run_id="input")
    result = run(lake)
    tables = {c.table.parts[-1]: lake.read(c.table).toPandas() for c in TABLES}
    return Done(lake, result, tables)


@pytest.mark.slow
def test_each_category_is_read_by_the_rule_that_fits_its_units(done: Done) -> None:
    units = done.tables["elasticities"]
    found = units[units["status"] == "ok"].groupby("category")
    assert found["estimator"].unique().map(list).to_dict() == {"dense": ["log_log"], "sparse": ["poisson"]}
    for category, truth in ELASTICITY.items():
        assert found["elasticity"].mean()[category] == pytest.approx(truth, abs=0.5)
    poisson = done.price("category", "poisson").loc["sparse"]
    assert poisson["ci_low"] < ELASTICITY["sparse"] < poisson["ci_high"]
    assert done.price("category", "poisson").loc["sparse", "is_default"]
    assert done.price("category", "ols").loc["dense", "is_default"]
    assert not done.price("category", "ols").loc["sparse", "is_default"]


@pytest.mark.slow
def test_what_cannot_be_told_is_a_status_and_nothing_is_lost(done: Done) -> None:
    units = done.tables["elasticities"].set_index("product_id")
    for status in UNIDENTIFIED:
        assert units.loc[status, "status"] == status
        assert pd.isna(units.loc[status, "elasticity"])
        assert pd.isna(units.loc[status, "ci_low"])
    assert len(units) == 12 * 4 + len(UNIDENTIFIED)
    assert (units.loc[units["status"] == "ok", "ci_low"] <= units.loc[units["status"] == "ok", "elasticity"]).all()
    assert units["shrink_weight"].dropna().between(0, 1).all()
    is_ok = units["status"] == "ok"
    assert units.loc[is_ok, "error"].isna().all()
    assert units.loc[~is_ok, "error"].to_dict() == {status: WORDS[status] for status in UNIDENTIFIED}


@pytest.mark.slow
def test_a_typo_and_a_foreign_line_are_counted_and_block_nothing(done: Done) -> None:
    units = done.tables["elasticities"].set_index(["store_id", "product_id"])
    for product, counted in (("dense1", "outlier_lines"), ("dense2", "foreign_lines")):
        assert units.loc[("s0", product), counted] == 1
        assert units.loc[("s0", product), "status"] == "ok"
        assert units[counted].sum() == 1
    assert done.result.metrics["price_outlier_lines"] == done.result.metrics["foreign_currency_lines"] == 1


@pytest.mark.slow
def test_a_category_of_one_product_is_not_identified_and_warned_of(done: Done) -> None:
    category = done.price("category", "ols").loc["solo"]
    assert (category["status"], category["price_left"]) == ("not_identified", pytest.approx(0, abs=1e-6))
    assert "holds one product" in category["warning"]
    assert done.price("product", "shrunk").loc["not_identified", "status"] == "not_identified"
    assert pd.isna(done.price("category", "ols").loc["dense", "warning"])


@pytest.mark.slow
def test_the_rows_of_a_product_are_those_of_its_stores(done: Done) -> None:
    rows = done.tables["elasticities"].groupby("product_id")["n_obs"].sum()
    products = done.price("product", "shrunk")["n_obs"]
    assert products.to_dict() == rows.reindex(products.index).to_dict()


@pytest.mark.slow
def test_an_instrument_that_does_not_move_is_refused_and_the_other_estimators_are_there(done: Done) -> None:
    assert done.price("category", "iv")["status"].reindex(list(ELASTICITY)).tolist() == ["no_instrument"] * 2
    for estimator in ("double_ml", "lags"):
        dense = done.price("category", estimator).loc["dense"]
        assert dense["ci_low"] - 0.3 < ELASTICITY["dense"] < dense["ci_high"] + 0.3
    products = done.price("product", "shrunk")
    assert {f"dense{n}" for n in range(6)} <= set(products.index)
    assert done.result.metrics["rmse"] < done.result.metrics["rmse_no_price"]


@pytest.mark.slow
def test_prices_keep_their_bounds_and_say_why(done: Done) -> None:
    prices = done.tables["price_recommendations"]
    moved = prices[prices["is_recommended"]]
    assert len(moved) > 0
    assert ((moved["recommended_price"] / moved["current_price"] - 1).abs() <= 0.1 + 1e-9).all()
    assert (moved["expected_margin_change"] > 0).all()
    assert ((moved["recommended_price"] * 100).round() % 10 == 9).all()
    untold = prices[prices["product_id"].isin(UNIDENTIFIED)]
    assert not untold["is_recommended"].any()
    assert prices["reason"].str.len().min() > 10


@pytest.mark.slow
def test_the_ladder_of_a_brand_keeps_its_order(done: Done) -> None:
    prices = done.tables["price_recommendations"]
    prices = prices[prices["product_id"].str.fullmatch(r"(dense|sparse)\d")]
    brand = prices["product_id"].str.replace(r"\d", "", regex=True) + (
        prices["product_id"].str[-1].astype(int) % 2
    ).astype(str)
    for _, shelf in prices.groupby(["store_id", brand]):
        ordered = shelf.sort_values("current_price")["recommended_price"]
        assert ordered.is_monotonic_increasing


@pytest.mark.slow
def test_items_that_end_get_a_falling_path(done: Done) -> None:
    plans = done.tables["markdown_plans"]
    assert set(plans["product_id"]) == {"dense0"}
    for _, path in plans.sort_values("week").groupby("store_id"):
        assert len(path) == 6
        assert path["price"].is_monotonic_decreasing
        assert path["expected_units"].sum() <= 900


@pytest.mark.slow
def test_the_registered_model_answers_a_price(done: Done) -> None:
    from retail_spark.registry.connection import Connection

    assert done.result.status == "done"
    with Connection.of(settings_of(done.lake)).talking():
        model = mlflow.pyfunc.load_model("models:/retail_spark_elasticity@champion")
    asked = pd.DataFrame({
        "product_id": ["dense1", "stranger"], "category": ["dense", "dense"], "price": [3.3, 3.3],
        "reference_price": [3.0, 3.0], "reference_units": [100.0, 100.0],
    })  # fmt: skip
    answer = model.predict(asked)
    assert answer["units"].to_numpy() == pytest.approx(100 * 1.1 ** ELASTICITY["dense"], rel=0.05)
    assert (answer["units_low"] < answer["units"]).all()
    assert (answer["units"] < answer["units_high"]).all()


@pytest.mark.slow
def test_one_store_with_few_units_is_told_with_honest_errors(spark: SparkSession, tmp_path: Path) -> None:
    """No other store tells a week's price: before, no row had one, and the run ended in a TypeError."""
    lake = Lake.open(spark, LakeSettings(root=str(tmp_path)))
    sales, products = one_shop()
    given = ((SALES, [{**row, "sale_id": str(n)} for n, row in enumerate(sales)]), (PRODUCTS, products))
    for contract, rows in given:
        carry_out(lake, replace_slice(contract, shaped(spark, contract, rows), source="made_up"), run_id="input")
    assert run(lake).status in ("done", "gate_refused")
    units = lake.read(ELASTICITIES.table).toPandas()
    assert units["n_obs"].tolist() == [100] * 3
    assert units["status"].tolist() == ["ok"] * 3
    assert (units["std_error"] > 0.05).all()
    pooled = lake.read(ELASTICITY_ESTIMATES.table).toPandas()
    pooled = pooled[(pooled["level"] == "category") & (pooled["term"] == "price")].set_index("estimator")
    assert pooled.loc["poisson", "std_error"] > 0.05
    true = -2 / 3  # of 1 + .5 (price / 3) ** -2 units, at a price of 3
    assert pooled.loc["poisson", "ci_low"] < true < pooled.loc["poisson", "ci_high"]
    assert pooled["std_error_store"].isna().all()


@pytest.mark.slow
def test_a_second_run_is_unchanged(done: Done) -> None:
    assert run(done.lake).status == "unchanged"
