"""The models against published figures, their own derivatives, and worlds whose parameters are known."""

from __future__ import annotations

import numpy as np
import pytest

from retail_spark.domains.customers.models.beta_geometric import BetaGeometric
from retail_spark.domains.customers.models.cells import Cells
from retail_spark.domains.customers.models.gamma_gamma import GammaGamma
from retail_spark.domains.customers.models.pareto import Pareto
from tests.unit.customers.worlds import TRUE, cdnow, made_up


def test_bg_nbd_of_cdnow_is_as_published() -> None:
    cells, _, _ = cdnow(decimals=2)
    model = BetaGeometric.fit(cells)
    assert [round(value, 3) for value in model.parameters.values()] == [0.243, 4.414, 0.793, 2.426]
    assert model.r == pytest.approx(0.2426, abs=5e-5)
    assert (model.a, model.b) == (pytest.approx(0.7929, abs=5e-5), pytest.approx(2.4258, abs=2e-4))
    assert model.log_likelihood(cells) == pytest.approx(-9582.43, abs=0.005)


def test_pareto_nbd_of_cdnow_is_as_published() -> None:
    cells, _, _ = cdnow()
    model = Pareto.fit(cells)
    assert model.r == pytest.approx(0.5533, abs=5e-5)
    assert model.alpha == pytest.approx(10.577, abs=2e-3)
    assert model.s == pytest.approx(0.6062, abs=1e-4)
    assert model.beta == pytest.approx(11.667, abs=5e-3)


def test_gamma_gamma_of_cdnow_is_as_published() -> None:
    _, x, mean = cdnow(decimals=2)
    model = GammaGamma.fit(x, mean, np.ones(len(x)))
    assert (len(x), round(model.p, 2), round(model.q, 2)) == (946, 6.25, 3.74)
    assert model.v == pytest.approx(15.448, rel=5e-4)


@pytest.mark.parametrize("modified", [False, True])
def test_the_gradient_is_that_of_the_likelihood(modified: bool) -> None:
    cells = made_up(60, seed=1)
    values, step = np.array([0.6, 5.0, 1.2, 2.0]), 1e-6
    _, gradient = BetaGeometric(*values, modified=modified)._log_likelihood(cells.x, cells.t_x, cells.age)
    for n in range(4):
        moved = [values + sign * step * (np.arange(4) == n) for sign in (1, -1)]
        up, down = (BetaGeometric(*m, modified=modified).log_likelihood(cells) for m in moved)
        assert gradient[n].sum() == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("modified", [False, True])
def test_known_parameters_are_found_again(modified: bool) -> None:
    found = BetaGeometric.fit(made_up(20_000, seed=7, modified=modified), modified=modified)
    assert found.r == pytest.approx(TRUE.r, rel=0.1)
    assert found.alpha == pytest.approx(TRUE.alpha, rel=0.1)
    assert found.a / (found.a + found.b) == pytest.approx(TRUE.a / (TRUE.a + TRUE.b), abs=0.03)


def test_customers_alike_are_one_cell() -> None:
    single = made_up(500, seed=3)
    rounded = Cells(single.x, single.t_x.round(0), single.age.round(0), single.customers)
    keys, counts = np.unique(np.column_stack([rounded.x, rounded.t_x, rounded.age]), axis=0, return_counts=True)
    joined = Cells(*keys.T, counts.astype(float))
    assert len(joined.x) < 500
    assert TRUE.log_likelihood(joined) == pytest.approx(TRUE.log_likelihood(rounded), abs=1e-6)
    assert BetaGeometric.fit(joined).parameters == pytest.approx(BetaGeometric.fit(rounded).parameters, rel=1e-4)


def test_expected_purchases_are_the_mean_of_the_draws() -> None:
    x, t_x, age = np.array([0.0, 3.0, 12.0]), np.array([0.0, 20.0, 39.0]), np.array([40.0, 40.0, 40.0])
    for model in (TRUE, BetaGeometric(0.8, 6.0, 0.9, 2.5, modified=True)):
        drawn = model.drawn_purchases(x, t_x, age, weeks=26.0, draws=200_000, rng=np.random.default_rng(5))
        assert model.expected_purchases(x, t_x, age, weeks=26.0) == pytest.approx(drawn.mean(axis=1), rel=0.02)
        assert model.p_purchase(x, t_x, age, weeks=26.0) == pytest.approx((drawn > 0).mean(axis=1), abs=0.01)


def test_who_bought_once_is_alive_for_certain_in_bg_nbd_alone() -> None:
    once = np.array([0.0]), np.array([0.0]), np.array([200.0])
    assert TRUE.p_alive(*once).tolist() == [1.0]
    modified = BetaGeometric(0.8, 6.0, 0.9, 2.5, modified=True)
    assert 0 < modified.p_alive(*once)[0] < 0.2


def test_a_first_purchase_today_and_very_long_histories_have_finite_answers() -> None:
    x, t_x, age = np.array([0.0, 900.0]), np.array([0.0, 299.0]), np.array([0.0, 300.0])
    for model in (TRUE, BetaGeometric(0.8, 6.0, 1.0, 2.5), BetaGeometric(0.8, 6.0, 0.9, 2.5, modified=True)):
        found = model.expected_purchases(x, t_x, age, weeks=52.0)
        assert np.isfinite(found).all()
        assert (found > 0).all()


def test_nobody_who_came_again_has_no_maximum_or_no_purchases() -> None:
    nobody = Cells(np.zeros(100), np.zeros(100), np.full(100, 30.0), np.ones(100))
    model = BetaGeometric.fit(nobody)
    assert model.expected_purchases(np.zeros(1), np.zeros(1), np.full(1, 30.0), weeks=10.0)[0] < 0.01


def test_spend_is_shrunk_to_that_of_all() -> None:
    model = GammaGamma(6.25, 3.74, 15.44)
    everybody = model.expected_spend(np.zeros(1), np.zeros(1))[0]
    assert everybody == pytest.approx(6.25 * 15.44 / 2.74)
    few, many = model.expected_spend(np.array([1.0, 50.0]), np.array([100.0, 100.0]))
    assert everybody < few < many < 100
