"""Pooled estimates from moments equal those of a package that sees every row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyfixest as pf
import pytest

from retail_spark.domains.elasticity.estimate.category import Member, Rules, estimate_rows
from retail_spark.domains.elasticity.models.least_squares import (
    CellMoments,
    Fit,
    fit,
    overidentification_p,
    solve_small,
    wald_f,
)
from retail_spark.domains.elasticity.panel.fixed_effects import period_effects

COLUMNS = ("y", "price", "base_price", "discount", "on_promotion", "on_display", "on_deal", "cost", "other_markets")
SSC = pf.ssc(k_adj=False, G_adj=True, G_df="min")
EXACT = pf.MapDemeaner(fixef_tol=1e-12)
RULES = Rules(("cost", "other_markets"), 10.0, 0.01, 0.05, 0.001)


def panel(*, reaction: float = 0.0, seed: int = 5) -> pd.DataFrame:
    """An unbalanced panel of 12 stores, 5 products, 40 weeks; the elasticity is -2."""
    rng = np.random.default_rng(seed)
    cells = pd.MultiIndex.from_product([range(12), range(5), range(40)], names=["store", "product", "period"])
    rows = cells.to_frame(index=False)
    rows = rows[rng.uniform(size=len(rows)) < 0.85].reset_index(drop=True)
    shock = rng.normal(0, 0.3, len(rows)) + rng.normal(0, 0.1, 40)[rows["period"]]
    rows["cost"] = rng.normal(0, 0.1, (5, 40))[rows["product"], rows["period"]] + rng.normal(0, 0.02, len(rows))
    rows["other_markets"] = 0.5 * rows["cost"] + rng.normal(0, 0.05, len(rows))
    rows["on_promotion"] = (rng.uniform(size=len(rows)) < 0.2).astype(float)
    rows["base_price"] = 1 + rng.normal(0, 0.1, len(rows)) + rows["cost"]
    rows["discount"] = -0.2 * rows["on_promotion"] * rng.uniform(size=len(rows)) + reaction * shock
    rows["price"] = rows["base_price"] + rows["discount"]
    rows["on_display"] = rows["on_deal"] = 0.0
    rows["y"] = -2 * rows["price"] + 0.4 * rows["on_promotion"] + shock + rng.normal(0, 1, (12, 5))[
        rows["store"], rows["product"]]  # fmt: skip
    rows["unit"] = rows["store"] * 10 + rows["product"]
    return rows


def net_of_both(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns net of unit and period effects, by the same algebra as the job."""
    values = rows[list(COLUMNS)].to_numpy()
    unit, period = pd.factorize(rows["unit"])[0], pd.factorize(rows["period"], sort=True)[0]
    presence = np.zeros((unit.max() + 1, period.max() + 1))
    presence[unit, period] = 1
    sums = [rows[list(COLUMNS)].groupby(codes).sum().to_numpy() for codes in (unit, period)]
    net = values - period_effects(presence, sums[0], sums[1])[period]
    return rows.assign(**dict(zip(COLUMNS, net.T, strict=True))).pipe(
        lambda f: f.assign(**{c: f[c] - f.groupby("unit")[c].transform("mean") for c in COLUMNS})
    )


def cells_of(net: pd.DataFrame) -> pd.DataFrame:
    """The frame of cell moments that Spark hands over."""
    rows, upper = [], np.triu_indices(len(COLUMNS))
    for (store, period), some in net.groupby(["store", "period"]):
        matrix = some[list(COLUMNS)].to_numpy()
        rows.append((f"s{store}", period, len(some), (matrix.T @ matrix)[upper]))
    frame = pd.DataFrame(rows, columns=["store_id", "period", "rows", "crossed"])
    return frame.assign(level="category", member="c")


def moments_of(net: pd.DataFrame) -> CellMoments:
    return Member.of(cells_of(net), COLUMNS).moments


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return panel()


def test_coefficients_and_both_errors_equal_pyfixest(rows: pd.DataFrame) -> None:
    m = moments_of(net_of_both(rows))
    found = fit(m, y=m.row("y"), x=[m.row("price"), m.row("on_promotion")], z=None, terms=["price", "on_promotion"])
    other = pf.feols(
        "y ~ price + on_promotion | unit + period", rows, vcov={"CRV1": "store+period"}, ssc=SSC, demeaner=EXACT
    )
    assert found.values == pytest.approx(other.coef().to_numpy(), abs=1e-8)
    assert np.sqrt(np.diag(found.two_way)) == pytest.approx(other.se().to_numpy(), abs=1e-8)
    one_way = other.vcov({"CRV1": "store"})
    assert np.sqrt(np.diag(found.by_store)) == pytest.approx(one_way.se().to_numpy(), abs=1e-8)


def test_instruments_equal_pyfixest_and_give_the_first_stage(rows: pd.DataFrame) -> None:
    m = moments_of(net_of_both(rows))
    x, z = [m.row("price"), m.row("on_promotion")], [m.row("cost"), m.row("on_promotion")]
    found = fit(m, y=m.row("y"), x=x, z=z, terms=["price", "on_promotion"])
    other = pf.feols("y ~ on_promotion | unit + period | price ~ cost", rows, vcov={"CRV1": "store+period"}, ssc=SSC,
                     demeaner=EXACT)  # fmt: skip
    assert found.of(found.unit("price"))[:2] == pytest.approx((other.coef()["price"], other.se()["price"]), abs=1e-8)
    first = fit(m, y=m.row("price"), x=z, z=None, terms=["cost", "on_promotion"])
    assert wald_f(first, ["cost"]) == pytest.approx((first.values[0] / np.sqrt(first.two_way[0, 0])) ** 2)


def test_prices_that_react_to_demand_are_found_out_and_the_instruments_answer() -> None:
    found = estimate_rows(cells_of(net_of_both(panel(reaction=0.3))), columns=COLUMNS, rules=RULES)
    price = found[found["term"] == "price"].set_index("estimator")
    assert price.loc["ols", "estimate"] > -1.5, "least squares is fooled"
    assert price.loc["iv", "estimate"] == pytest.approx(-2, abs=0.25)
    assert price.loc["iv", "endogeneity_p"] < 0.01
    assert bool(price.loc["iv", "is_default"])
    assert not bool(price.loc["ols", "is_default"])


def test_without_reaction_least_squares_stays_the_default(rows: pd.DataFrame) -> None:
    found = estimate_rows(cells_of(net_of_both(rows)), columns=COLUMNS, rules=RULES)
    price = found[found["term"] == "price"].set_index("estimator")
    assert bool(price.loc["ols", "is_default"])
    assert price.loc["ols", "ci_low"] < -2 < price.loc["ols", "ci_high"]
    split = found[found["estimator"] == "base_discount"].set_index("term")
    assert split.loc["base_price", "estimate"] == pytest.approx(-2, abs=0.3)
    assert split.loc["discount", "estimate"] == pytest.approx(-2, abs=0.6)


def test_a_weak_instrument_is_refused(rows: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    weak = net_of_both(rows.assign(cost=rng.normal(size=len(rows)), other_markets=0.0))
    found = estimate_rows(cells_of(weak), columns=COLUMNS, rules=RULES)
    iv = found[found["estimator"] == "iv"].iloc[0]
    assert iv["status"] == "weak_instrument"
    assert iv["first_stage_f"] <= 10
    assert np.isnan(iv["estimate"])


def test_instruments_that_contradict_each_other_are_told_apart(rows: pd.DataFrame) -> None:
    wrong = net_of_both(rows.assign(other_markets=rows["other_markets"] + 0.2 * (rows["y"] + 2 * rows["price"])))
    m = moments_of(wrong)
    x = [m.row("price"), m.row("on_promotion")]
    z = [m.row("cost"), m.row("other_markets"), m.row("on_promotion")]
    found = fit(m, y=m.row("y"), x=x, z=z, terms=["price", "on_promotion"])
    assert overidentification_p(m, found, y=m.row("y"), x=x, z=z) < 0.01


@pytest.mark.parametrize(
    ("change", "status"),
    [({"price": 1.0}, "no_price_variation"), ({"price": None}, "collinear")],
)
def test_what_is_not_told_is_a_status(rows: pd.DataFrame, change: dict[str, float], status: str) -> None:
    made = rows.assign(price=change["price"] if change["price"] is not None else 2 - rows["on_promotion"] / 5)
    found = estimate_rows(cells_of(net_of_both(made)), columns=COLUMNS, rules=RULES)
    ols = found[found["estimator"] == "ols"].iloc[0]
    assert (ols["status"], np.isnan(ols["estimate"])) == (status, True)


def test_many_small_regressions_equal_lstsq() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, 30, 3)), rng.normal(size=(50, 30))
    x[3, :, 2] = 0.0
    x[4, :, 1] = -2 * x[4, :, 0]
    small = solve_small(np.einsum("gnk,gnl->gkl", x, x), np.einsum("gnk,gn->gk", x, y), share=1e-6)
    whole = [np.linalg.lstsq(x[g], y[g], rcond=None)[0] for g in range(50)]
    rest = [g for g in range(50) if g != 4]
    assert small.values[rest] == pytest.approx(np.stack(whole)[rest], abs=1e-9)
    assert np.isnan(small.values[4]).all(), "a collinear price has no number"
    assert small.left[4] == pytest.approx(0, abs=1e-6)


def test_an_indefinite_two_way_covariance_leaves_the_f_to_the_stores() -> None:
    by_store = np.array([[2.0, 0.5], [0.5, 1.0]])
    indefinite = np.array([[1.0, 2.0], [2.0, 1.0]])
    values = np.array([1.0, -1.0])
    found = Fit(("cost", "other_markets"), values, indefinite, by_store, np.zeros(0), 5)
    assert wald_f(found, ["cost", "other_markets"]) == pytest.approx(values @ np.linalg.solve(by_store, values) / 2)
    flat = Fit(("cost", "other_markets"), values, indefinite, np.zeros((2, 2)), np.zeros(0), 5)
    assert wald_f(flat, ["cost", "other_markets"]) == 0.0
