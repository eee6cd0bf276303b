"""What promotions did to a product is known in all its stores, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retail_spark.domains.forecast.features.matrix import NAMES, Past, matrix
from retail_spark.domains.forecast.features.promotions import promotions
from retail_spark.domains.forecast.models.global_booster import lessons, train_here
from retail_spark.domains.forecast.series.panel import NEVER, PAID
from retail_spark.stats.arrays import Array
from tests.unit.forecast.shop import block, panel_of, recipe_of
from tests.unit.forecast.test_features import PERIODS, RECIPE, days, panel

FLAT = [0.0] * 8


def told(prices: Array, promotion: Array | None = None) -> dict[str, Array]:
    none = np.zeros_like(prices)
    return {"price": np.log(prices), "promotion": none if promotion is None else promotion, "deal": none}


def test_what_a_cut_sold_elsewhere_is_known_where_there_was_none() -> None:
    prices = block([2, 2, 2, 1, 2, 2, 2, 2, 1], [2, 2, 2, 1, 2, 2, 2, 2, 1], [2, 2, 2, 1, 2, 2, 2, 2, 1])
    ratio = block([0, 0, 0, 1.5, 0, 0, 0, 0], [np.nan] * 8, FLAT)
    found = promotions(told(prices), ratio, np.array([0, 0, 1]))
    assert found["product_similar"][:2] == pytest.approx([1.0, 1.0], abs=1e-3), "1.5 once, half of none"
    assert found["product_similar"][2] == 0.0, "another product"
    assert found["product_similar_count"] == pytest.approx(np.log(2), abs=1e-3)


def test_cuts_are_told_by_the_regular_price_and_by_when_they_were() -> None:
    prices = block([2, 2, 2, 2, 2, 1, 2, 2, 1], [2] * 9)
    found = promotions(told(prices), block(FLAT, FLAT), np.array([0, 1]))
    assert found["price_to_regular"] == pytest.approx([-np.log(2), 0.0])
    assert found["cut_3_before"] == pytest.approx([-np.log(2), 0.0])
    assert found["cut_1_before"].tolist() == [0.0, 0.0]
    assert found["since_promoted"].tolist() == [3.0, 13.0]


def test_a_promotion_counts_without_a_cut() -> None:
    promoted = block([0, 0, 0, 0, 0, 0, 0, 1, 0])
    found = promotions(told(block([2] * 9), promoted), block(FLAT), np.array([0]))
    assert found["since_promoted"].tolist() == [1.0]
    assert found["promotion_1_before"].tolist() == [1.0]


def test_promotions_planned_without_a_price_are_predicted_as_what_they_sell() -> None:
    """6 stores x 15 products, each alone in its category, one price, sales of 1.5 a week, three times as many when
    promoted: what was paid is known only where something sold, and must not tell that nothing will be."""
    weeks, ahead, rng = 80, 4, np.random.default_rng(5)
    promoted = rng.random((90, weeks + ahead)) < 0.2
    units = rng.poisson(np.where(promoted, 4.5, 1.5))[:, :weeks].astype(float)
    names = [f"s{s}/p{p}" for s in range(6) for p in range(15)]
    blank = np.full(promoted.shape, np.nan)
    paid = blank.copy()
    paid[:, :weeks] = np.where(units > 0, 2.0, np.nan)
    ours = replace(
        panel_of(dict(zip(names, units.tolist(), strict=True)), reach=ahead),
        paid=dict.fromkeys(PAID, blank) | {"price": paid}, peer_price=paid, peer_y=np.where(blank == 0, 0.0, blank),
        planned=dict.fromkeys(PAID, blank) | {"promotion": np.where(promoted, 1.0, np.nan)},
        known=np.where(promoted, np.arange(weeks + ahead) - 8, NEVER),
    )  # fmt: skip
    recipe = recipe_of(global_model=True, horizon=ahead, trees=60, objective="poisson")
    rows = lessons(ours, Past.of(ours), days(ours), codes={}, recipe=recipe)
    booster = train_here(rows, recipe=recipe, seed=1, codes={})
    said = booster.forecast(ours, Past.of(ours), days(ours), cut=weeks, recipe=recipe)
    assert said[promoted[:, weeks:]].mean() == pytest.approx(4.5, rel=0.15)
    assert said[~promoted[:, weeks:]].mean() == pytest.approx(1.5, rel=0.15)


def test_a_product_is_told_the_same_whatever_other_products_are_beside_it() -> None:
    ours = panel()
    is_one = (ours.keys["product_id"] == "p2").to_numpy()
    alone = ours.rows(is_one)
    given = {"target": PERIODS + 1, "lead": 2, "codes": {}, "recipe": RECIPE}
    whole = matrix(ours, Past.of(ours), days(ours), **given)
    assert whole.shape[1] == len(NAMES)
    np.testing.assert_array_equal(whole[is_one], matrix(alone, Past.of(alone), days(alone), **given))
