"""What can be told with one store, one price list or one product, and what is said where nothing can."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyfixest as pf
import pytest

from retail_spark.domains.elasticity.estimate.category import COLUMNS, Rules, estimate_rows
from retail_spark.domains.elasticity.models.least_squares import Fit
from retail_spark.domains.elasticity.panel.identification import (
    RIVAL,
    least_left,
    left_shares,
    not_identified,
    warnings_of,
)
from tests.benchmarks.in_memory import cells_of, net_of_effects, shrunk_of

RULES = Rules(("cost", "other_markets"), 10.0, 0.01, 0.05, 0.001)
SHARE = 0.001


def chain(*, products: int = 12, stores: int = 4, weeks: int = 100, reaction: float = 0.0) -> pd.DataFrame:
    """One price per product and week in all stores, shocks of a week that the stores share; the elasticity is -2.

    With `reaction` prices rise with demand, and a cost moves them as well.
    """
    rng = np.random.default_rng(11)
    shape = (products, weeks)
    shock, cost = rng.normal(0, 0.3, shape), rng.normal(0, 0.1, shape)
    price = cost + rng.normal(0, 0.1, shape) + reaction * shock
    rows = pd.MultiIndex.from_product(
        [range(stores), range(products), range(weeks)], names=["store_id", "product_id", "period"]
    ).to_frame(index=False)
    at = (rows["product_id"], rows["period"])
    rows = rows.assign(
        category="c", price=price[at], cost=cost[at], y=-2 * price[at] + shock[at] + rng.normal(0, 0.2, len(rows))
    )
    total = rows.groupby(["store_id", "period"])["price"].transform("sum")
    rows[RIVAL] = (total - rows["price"]) / max(products - 1, 1) if products > 1 else 0.0
    rows["store_id"], rows["product_id"] = "s" + rows["store_id"].astype(str), "p" + rows["product_id"].astype(str)
    return rows.assign(**{name: 0.0 for name in (*COLUMNS, RIVAL) if name not in rows})


def left_of(rows: pd.DataFrame, net: pd.DataFrame) -> pd.DataFrame:
    """The shares as the job has them, from sums made by pandas."""
    columns = ("price", "cost", RIVAL)
    own = rows.groupby(["store_id", "product_id"])[list(columns)].transform("mean")
    sums = {f"{n}_before": [((rows[n] - own[n]) ** 2).sum()] for n in columns}
    sums |= {f"{n}_after": [(net[n] ** 2).sum()] for n in columns}
    counts = {"products": [rows["product_id"].nunique()], "stores": [rows["store_id"].nunique()]}
    frame = pd.DataFrame({"category": ["c"], **counts, "crossed": [(net["price"] * net[RIVAL]).sum()], **sums})
    return left_shares(frame, columns=columns)


@pytest.mark.parametrize("stores", [4, 1])
def test_one_price_list_is_told_by_product_and_handed_down_to_its_stores(stores: int) -> None:
    rows = chain(stores=stores)
    net = net_of_effects(rows, ("y", "price", RIVAL, "cost"), periods=True)
    left = left_of(rows, net)
    assert left[RIVAL].iloc[0] <= least_left(RIVAL, share=SHARE), "the rivals' mean is the own price with a factor"
    assert left["price"].iloc[0] == pytest.approx(11 / 12, abs=0.03)
    found = shrunk_of(net.assign(**{RIVAL: 0.0}), ("price", RIVAL)).set_index("level")
    products, units = found.loc["product"], found.loc["unit"]
    assert len(units) == 12 * stores
    assert products["elasticity"].to_numpy() == pytest.approx(-2, abs=0.45)
    assert units["elasticity"].to_numpy() == pytest.approx(-2, abs=0.5)
    inside = (products["elasticity"] + 2).abs() < 1.96 * products["std_error"]
    assert inside.mean() >= 0.75
    assert products["std_error"].between(0.02, 0.5).all()
    assert (units["left"] > 0.5).all()


def test_with_several_price_lists_the_rivals_stay() -> None:
    rows = chain()
    rows["price"] = rows["price"] + np.random.default_rng(1).normal(0, 0.1, len(rows))
    rows[RIVAL] = (rows.groupby(["store_id", "period"])["price"].transform("sum") - rows["price"]) / 11
    net = net_of_effects(rows, ("y", "price", RIVAL, "cost"), periods=True)
    assert left_of(rows, net)[RIVAL].iloc[0] > least_left(RIVAL, share=SHARE)


def test_errors_of_one_store_are_clustered_by_period_and_equal_pyfixest() -> None:
    rows = chain(stores=1)
    found = estimate_rows(cells_of(net_of_effects(rows, COLUMNS, periods=True), COLUMNS), columns=COLUMNS, rules=RULES)
    price = found[found["term"] == "price"].set_index("estimator").loc["ols"]
    other = pf.feols(
        "y ~ price | product_id + period", rows, vcov={"CRV1": "period"}, ssc=pf.ssc(k_adj=False, G_adj=True)
    )
    assert price["estimate"] == pytest.approx(other.coef()["price"], abs=1e-7)
    assert price["std_error"] == pytest.approx(other.se()["price"], abs=1e-7)
    assert price["ci_low"] < -2 < price["ci_high"]
    assert np.isnan(price["std_error_store"])


def test_prices_of_one_store_that_react_to_demand_are_found_out() -> None:
    rows = chain(stores=1, reaction=0.4)
    found = estimate_rows(cells_of(net_of_effects(rows, COLUMNS, periods=True), COLUMNS), columns=COLUMNS, rules=RULES)
    price = found[found["term"] == "price"].set_index("estimator")
    assert price.loc["ols", "estimate"] > -1.5, "least squares is fooled"
    assert price.loc["iv", "estimate"] == pytest.approx(-2, abs=0.3)
    assert 10 < price.loc["iv", "first_stage_f"] < 1e5
    assert price.loc["iv", "endogeneity_p"] < 0.01
    assert bool(price.loc["iv", "is_default"])


def test_a_cost_that_is_a_share_of_the_price_is_no_instrument() -> None:
    rows = chain(stores=1)
    rows["cost"] = rows["price"] - 0.5
    found = estimate_rows(cells_of(net_of_effects(rows, COLUMNS, periods=True), COLUMNS), columns=COLUMNS, rules=RULES)
    assert found.set_index("estimator").loc["iv", "status"] == "no_instrument"


@pytest.mark.parametrize("stores", [4, 1])
def test_a_category_of_one_product_and_one_price_list_is_not_identified(stores: int) -> None:
    rows = chain(products=1, stores=stores)
    net = net_of_effects(rows, (*COLUMNS, RIVAL), periods=True)
    left = left_of(rows, net)
    assert not_identified(left, share=SHARE) == ["c"]
    assert "holds one product" in warnings_of(left, least=0.5)["c"]
    found = estimate_rows(cells_of(net, COLUMNS), columns=COLUMNS, rules=RULES)
    assert set(found["status"]) == {"no_price_variation"}, "no estimate is made of rounding"
    assert found["estimate"].isna().all()


def test_a_category_that_moves_as_one_is_warned_of_and_no_other() -> None:
    rows = chain()
    brand = np.random.default_rng(3).normal(0, 0.4, 100)
    moved = rows.assign(price=rows["price"] + brand[rows["period"]])
    for some, is_warned in ((moved, True), (rows, False)):
        left = left_of(some, net_of_effects(some, ("y", "price", RIVAL, "cost"), periods=True))
        warnings = warnings_of(left, least=0.5)
        assert ("moves as one" in warnings.get("c", "")) is is_warned
        assert not_identified(left, share=SHARE) == []


def test_an_exact_fit_tells_nothing_instead_of_an_error_of_zero() -> None:
    """Eight rows, three products, five weeks: effects and terms fit them without a residual."""
    rows = chain(products=3, stores=1, weeks=5)
    last = rows["product_id"].map({"p0": 4, "p1": 1, "p2": 0})
    rows = rows[rows["period"] <= last]
    net = net_of_effects(rows, (*COLUMNS, RIVAL), periods=True)
    found = estimate_rows(cells_of(net, COLUMNS), columns=COLUMNS, rules=RULES).set_index("estimator")
    assert found.loc["ols", "status"] in ("not_identified", "too_few_weeks")
    assert np.isnan(found.loc["ols", "estimate"])
    products = shrunk_of(net, ("price", RIVAL)).set_index("level").loc["product"]
    assert (products["std_error"] > 3).all()


def test_a_negative_two_way_variance_gives_the_error_by_store() -> None:
    one = np.array([[1.0]])
    found = Fit(("price",), np.array([2.0]), -one, 4 * one, np.zeros(1), 3)
    assert found.of(found.unit("price")) == (2.0, 2.0, 2.0)
