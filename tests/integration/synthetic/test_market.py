"""The market whose prices react to demand, and its twin: the same draws, another reaction, a truth that adds up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from retail_spark.synthetic.chance import Chance
from retail_spark.synthetic.market import MARKETS, MarketSize, to_market, to_true_elasticities

SIZE, CHANCE = MarketSize(categories=2, stores=8, weeks=52), Chance(42)
CELL = ["product_id", "store_id", "week"]


@pytest.fixture(scope="module")
def markets(spark: SparkSession) -> dict[str, pd.DataFrame]:
    return {
        name: to_market(spark, market=name, size=SIZE, chance=CHANCE).toPandas().set_index(CELL).sort_index()
        for name in MARKETS
    }


@pytest.fixture(scope="module")
def truth(spark: SparkSession) -> pd.DataFrame:
    pairs = to_true_elasticities(spark, size=SIZE, chance=CHANCE).toPandas()
    return pairs.pivot(index="product_id", columns="other_product_id", values="elasticity")


def slopes(cells: pd.DataFrame) -> pd.Series:
    """Least squares of log units on log price by product, means of store-products and category weeks removed."""
    rows = cells.reset_index().assign(x=lambda f: np.log(f["price"]), y=lambda f: np.log(f["units"].clip(lower=0.5)))
    for keys in (["product_id", "store_id"], ["category", "week"]) * 3:
        rows[["x", "y"]] -= rows.groupby(keys)[["x", "y"]].transform("mean")
    return (rows["x"] * rows["y"]).groupby(rows["product_id"]).sum() / (rows["x"] ** 2).groupby(
        rows["product_id"]
    ).sum()


def test_both_markets_hold_every_cell_and_the_same_costs(markets: dict[str, pd.DataFrame]) -> None:
    one, two = markets["confounded"], markets["twin"]
    assert len(one) == 2 * 6 * 8 * 52
    assert one.index.equals(two.index)
    assert (one["unit_cost"] == two["unit_cost"]).all()
    assert np.log(one["price"]).std() == pytest.approx(np.log(two["price"]).std(), rel=0.03)
    assert not (one["price"] == two["price"]).all()


def test_only_where_prices_react_to_demand_least_squares_is_fooled(
    markets: dict[str, pd.DataFrame], truth: pd.DataFrame
) -> None:
    own = pd.Series(np.diag(truth), truth.index)
    apart = {name: (slopes(cells) - own).mean() for name, cells in markets.items()}
    assert apart["confounded"] > 0.7
    assert abs(apart["twin"]) < 0.3


def test_the_scenario_is_the_own_elasticity_and_nothing_else(
    markets: dict[str, pd.DataFrame], truth: pd.DataFrame
) -> None:
    cells = markets["confounded"].reset_index()
    own = pd.Series(np.diag(truth), truth.index)
    assert (cells["units_up"] / cells["mean_units"]).to_numpy() == pytest.approx(
        1.1 ** cells["product_id"].map(own).to_numpy()
    )
    assert truth.notna().sum().sum() == 2 * 36, "no pair crosses categories"
    assert (own < -0.5).all()


def test_units_are_drawn_around_their_mean(markets: dict[str, pd.DataFrame]) -> None:
    cells = markets["twin"]
    deviance = (cells["units"] - cells["mean_units"]) / np.sqrt(cells["mean_units"])
    assert deviance.mean() == pytest.approx(0, abs=0.05)
    assert deviance.std() == pytest.approx(1, abs=0.05)
