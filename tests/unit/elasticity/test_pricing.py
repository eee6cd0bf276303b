"""Prices: what the rules allow, what the draws say, and why."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_spark.domains.elasticity.pricing.items import _advised
from retail_spark.domains.elasticity.pricing.markdown import Ending, plan
from retail_spark.domains.elasticity.pricing.optimise import Item, PriceRules, grid_of, recommend
from retail_spark.domains.elasticity.served import DemandModel

NORMALS = np.random.default_rng(0).standard_normal(300)
RULES = PriceRules(max_change=0.10, min_margin=0.0, endings=(9,), step=0.01, horizon=4)
ITEM = Item(
    price=2.49, cost=1.5, units=20.0, elasticity=-2.5, std_error=0.2, ci_high=-2.1, lowest=1.79, highest=3.49
)  # fmt: skip


def test_the_best_price_lies_at_cost_times_e_over_one_plus_e() -> None:
    free = replace(RULES, max_change=None, endings=())
    advice = recommend(replace(ITEM, std_error=1e-6, cost=1.8), free, NORMALS)
    assert advice.price == pytest.approx(1.8 * 2.5 / 1.5, abs=0.011)
    assert advice.bound_hit == "none"


def test_a_bound_is_named_and_the_ending_kept() -> None:
    advice = recommend(replace(ITEM, elasticity=-1.5, ci_high=-1.1), RULES, NORMALS)
    assert (advice.price, advice.bound_hit, advice.is_recommended) == (2.69, "max_change", True)
    assert "max_change" in advice.reason
    assert recommend(replace(ITEM, elasticity=-1.5, highest=2.6), RULES, NORMALS).bound_hit == "observed_range"


def test_inelastic_demand_is_never_priced_without_a_bound() -> None:
    inelastic = replace(ITEM, elasticity=-0.9, ci_high=-0.5)
    unbound = recommend(inelastic, replace(RULES, max_change=None), NORMALS)
    assert (unbound.price, unbound.is_recommended) == (2.49, False)
    bound = recommend(inelastic, RULES, NORMALS)
    assert bound.is_recommended
    assert "the bound (max_change), not demand" in bound.reason


def test_no_price_keeps_a_margin_that_the_range_forbids() -> None:
    advice = recommend(ITEM, replace(RULES, min_margin=0.6), NORMALS)
    assert (advice.is_recommended, advice.price) == (False, 2.49)
    assert "min_margin" in advice.reason


def test_scarce_stock_raises_the_price() -> None:
    scarce = recommend(replace(ITEM, elasticity=-4.0, ci_high=-3.5, stock=10.0), RULES, NORMALS)
    plenty = recommend(replace(ITEM, elasticity=-4.0, ci_high=-3.5), RULES, NORMALS)
    assert plenty.price < 2.49 < scarce.price
    assert scarce.bound_hit == "stock"


@given(
    st.floats(0.5, 50), st.floats(0.2, 1.2), st.floats(-6, -0.1), st.floats(0, 1), st.floats(0.5, 1), st.floats(1, 2)
)
def test_a_recommended_price_keeps_every_rule(
    price: float, cost: float, elasticity: float, error: float, low: float, high: float
) -> None:
    item = Item(price, price * cost, 10.0, elasticity, error, elasticity + 1.96 * error, price * low, price * high)
    advice = recommend(item, RULES, NORMALS)
    if advice.is_recommended:
        assert item.lowest - 1e-9 <= advice.price <= item.highest + 1e-9
        assert abs(advice.price / price - 1) <= 0.1 + 1e-9
        assert advice.price >= item.cost - 1e-9
        assert round(advice.price * 100) % 10 == 9
        assert advice.margin_change is not None
        assert advice.margin_change > 0
    else:
        assert advice.price == price


@given(st.floats(0.01, 1000), st.floats(0.01, 1000))
def test_the_grid_stays_inside_and_small(low: float, width: float) -> None:
    grid = grid_of(low, low + width, RULES)
    assert len(grid) <= 400
    assert all(low - 1e-6 <= p <= low + width + 1e-6 for p in grid)


ENDING = Ending(price=10.0, cost=6.0, units=5.0, elasticity=-2.5, std_error=0.3, stock=60.0, periods=6)
STEPS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)


def test_a_markdown_path_only_falls_and_sells_no_more_than_there_is() -> None:
    path = plan(ENDING, steps=STEPS, salvage_share=0.0)
    prices = [step.price for step in path]
    assert len(path) == 6
    assert prices == sorted(prices, reverse=True)
    assert sum(step.expected_units for step in path) <= 60 + 1e-9
    assert path[0].discount > 0, "60 units are twice what six weeks would sell"


def test_little_stock_is_not_marked_down_and_salvage_holds_prices_up() -> None:
    assert all(step.discount == 0 for step in plan(ENDING_SCARCE, steps=STEPS, salvage_share=0.0))
    kept = plan(ENDING, steps=STEPS, salvage_share=1.0)
    sold_off = plan(ENDING, steps=STEPS, salvage_share=0.0)
    assert kept[-1].price >= sold_off[-1].price


def test_the_first_price_is_worth_most_of_all_first_prices() -> None:
    """One week, no posterior spread: the plan is the best single price by brute force."""
    item = replace(ENDING, periods=1, std_error=1e-9, stock=12.0)
    worth = []
    for step in STEPS:
        mean = 5 * (1 - step) ** -2.5
        chances = [math.exp(-mean) * mean**k / math.factorial(k) for k in range(12)]
        sold = sum(k * p for k, p in enumerate(chances)) + 12 * (1 - sum(chances))
        worth.append(10 * (1 - step) * sold)
    assert plan(item, steps=STEPS, salvage_share=0.0)[0].discount == STEPS[int(np.argmax(worth))]


ENDING_SCARCE = replace(ENDING, stock=8.0)


def row_of(**known: object) -> dict[str, object]:
    """An item as `to_items` hands it over."""
    return {
        "store_id": "s", "product_id": "p", "current_price": 2.49, "unit_cost": 1.5, "units": 20.0, "elasticity": -2.5,
        "std_error": 0.2, "ci_high": -2.1, "status": "ok", "error": None, "lowest": 1.79, "highest": 3.49,
        "ladder_low": None, "ladder_high": None, "stock": None, **known,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"elasticity": 2.9, "ci_high": 3.3}, "not below zero"),
        ({"elasticity": 0.0, "ci_high": 4400.0, "std_error": 2238.0}, "not below zero"),
        ({"std_error": math.inf}, "not finite"),
        ({"std_error": math.nan}, "not finite"),
        ({"elasticity": None, "std_error": None, "status": "not_identified", "error": "why"}, "not_identified: why"),
    ],
)
def test_no_price_is_advised_on_an_elasticity_that_is_not_believed(known: dict[str, object], reason: str) -> None:
    advice = _advised(row_of(**known), RULES, NORMALS)
    assert (advice["is_recommended"], advice["recommended_price"]) == (False, 2.49)
    assert reason in advice["reason"]
    sound = row_of(elasticity=-1.5, ci_high=-1.1)
    assert _advised(sound, RULES, NORMALS)["is_recommended"], "the same item with a sound one moves"


def test_a_spread_without_bounds_gives_no_infinite_change() -> None:
    wild = replace(ITEM, elasticity=-400.0, std_error=4000.0, ci_high=-1.5, lowest=0.01)
    advice = recommend(wild, replace(RULES, max_change=None), NORMALS)
    assert advice.units_change is None or math.isfinite(advice.units_change)


def test_the_served_model_gives_no_infinite_units() -> None:
    known = pd.DataFrame({"level": ["all"], "member": ["*"], "elasticity": [-2.0], "std_error": [0.1]})
    prices = [0.0, -1.0, math.inf, math.nan, 1e-300, 1.1]
    asked = pd.DataFrame({
        "product_id": None, "category": None, "price": prices, "reference_price": 1.0, "reference_units": 100.0,
    })  # fmt: skip
    units = DemandModel(known).answer(asked)[["units", "units_low", "units_high"]].to_numpy()
    assert np.isnan(units[:5]).all()
    assert units[5, 0] == pytest.approx(100 * 1.1**-2.0)
