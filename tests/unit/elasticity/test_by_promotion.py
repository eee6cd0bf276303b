"""Slopes by product and promotion equal those of the regression with all interactions, and so do their errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyfixest as pf
import pytest

from retail_spark.domains.elasticity.estimate.by_promotion import by_promotion_rows
from retail_spark.domains.elasticity.estimate.estimate_rows import guarded


def shop() -> pd.DataFrame:
    """Three products in 6 stores over 30 weeks, a fifth of them promoted."""
    rng = np.random.default_rng(8)
    rows = pd.MultiIndex.from_product(
        [[f"s{n}" for n in range(6)], ["a", "b", "c"], range(30)], names=["store_id", "product_id", "period"]
    ).to_frame(index=False)
    feature = (rng.uniform(size=len(rows)) < 0.2).astype(float)
    price = rng.normal(0, 0.2, len(rows)) - 0.1 * feature
    slope = rows["product_id"].map({"a": -1.0, "b": -2.0, "c": -3.0}).to_numpy() - 0.5 * feature
    y = 4 + slope * price + feature + rng.normal(0, 0.4, len(rows))
    return rows.assign(category="c", on_promotion=feature, price=price, y=y)


def test_slopes_and_plain_errors_are_those_of_all_interactions() -> None:
    rows = shop()
    found = by_promotion_rows(rows).set_index(["member", "term"])
    other = pf.feols("y ~ price * C(product_id) * on_promotion", rows, vcov="iid")
    assert found.loc[("a", "price"), "estimate"] == pytest.approx(other.coef()["price"], abs=1e-8)
    assert found.loc[("a", "price"), "std_error_plain"] == pytest.approx(other.se()["price"], abs=1e-8)
    both = other.coef()["price"] + other.coef()["price:on_promotion"]
    assert found.loc[("a", "price_promoted"), "estimate"] == pytest.approx(both, abs=1e-8)
    assert found.loc["c"].loc["price", "ci_low"] < -3 < found.loc["c"].loc["price", "ci_high"]


def test_a_group_that_tells_nothing_has_a_status() -> None:
    rows = shop()
    rows.loc[(rows["product_id"] == "b") & (rows["on_promotion"] == 0), "price"] = 0.3
    few = (rows["product_id"] == "c") & (rows["on_promotion"] > 0)
    rows = rows.drop(rows[few].index[3:])
    found = by_promotion_rows(rows).set_index(["member", "term"])
    assert found.loc[("b", "price"), "status"] == "no_price_variation"
    assert found.loc[("c", "price_promoted"), "status"] == "too_few_weeks"
    assert found.loc[("a", "price"), "status"] == "ok"


def test_what_a_category_raises_is_its_row() -> None:
    def raises(some: pd.DataFrame) -> pd.DataFrame:
        raise ValueError("no\nluck")

    row = guarded(raises, "double_ml")(shop()).iloc[0]
    assert (row["level"], row["member"], row["estimator"], row["status"]) == ("category", "c", "double_ml", "failed")
    assert row["error"] == "ValueError: no luck"


@pytest.mark.real
def test_the_published_regression_of_three_juices(data_folder: Callable[[str], Path]) -> None:
    """Taddy, Business Data Science: log price by brand and feature on 28,947 rows, -2.774 (.0388) for Dominick's."""
    raw = pd.read_csv(data_folder("dominicks_orange_juice") / "yx.csv.gz")
    raw = raw[raw["brand"].isin([1, 5, 10])]
    assert len(raw) == 28_947
    prices = raw[[f"price{n}" for n in range(1, 12)]].to_numpy()[np.arange(len(raw)), raw["brand"] - 1]
    rows = pd.DataFrame({
        "category": "c", "store_id": raw["store"].astype(str), "product_id": raw["brand"].astype(str),
        "period": raw["week"], "y": raw["logmove"], "price": np.log(prices), "on_promotion": raw["feat"],
    })  # fmt: skip
    found = by_promotion_rows(rows).set_index(["member", "term"]).loc[("10", "price")]
    assert (found["estimate"], found["std_error_plain"]) == (
        pytest.approx(-2.774, abs=5e-4), pytest.approx(0.0388, abs=5e-5),
    )  # fmt: skip
