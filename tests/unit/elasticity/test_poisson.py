"""Sparse units: the log of sold rows truncates the response, Poisson with the zeros does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_spark.domains.elasticity.models.ppml import Panel, fit_poisson


def sparse_units(*, elasticity: float, seed: int = 1) -> Panel:
    """400 store-products over 80 weeks, most of whose sold cells hold one unit; prices are dearer in the season."""
    rng = np.random.default_rng(seed)
    unit, period = np.repeat(np.arange(400), 80), np.tile(np.arange(80), 400)
    season = 0.3 * np.cos(2 * np.pi * period / 52)
    price = rng.normal(0, 0.15, len(unit)) + 0.3 * season
    mean = np.exp(rng.normal(-1.3, 0.5, 400)[unit] + elasticity * price + season)
    units = rng.poisson(mean).astype(float)
    kept = np.bincount(unit, units)[unit] > 0
    codes = np.unique(unit[kept], return_inverse=True)[1].astype(np.int64)
    return Panel(units[kept], price[kept, None], codes, period[kept], np.zeros(kept.sum(), dtype=np.int64))


def test_poisson_reads_the_elasticity_that_the_log_of_sold_rows_truncates() -> None:
    panel = sparse_units(elasticity=-1.5)
    sold = panel.y > 0
    assert np.median(panel.y[sold]) == 1
    y, x = np.log(panel.y[sold]), panel.x[sold, 0]
    for codes in (panel.unit[sold], panel.period[sold]) * 20:
        y = y - (np.bincount(codes, y) / np.maximum(np.bincount(codes), 1))[codes]
        x = x - (np.bincount(codes, x) / np.maximum(np.bincount(codes), 1))[codes]
    truncated = float(x @ y / (x @ x))
    fit = fit_poisson(panel, rounds=200)
    assert truncated > -0.5, "log-log on sold rows is far too small"
    assert fit.slopes[0, 0] == pytest.approx(-1.5, abs=0.12)
    assert fit.converged


def test_first_order_conditions_hold() -> None:
    panel = sparse_units(elasticity=-2.0)
    fit = fit_poisson(panel, rounds=300, tolerance=1e-10)
    left = panel.y - fit.mean
    assert np.abs(np.bincount(panel.unit, left)).max() < 1e-5
    assert np.abs(np.bincount(panel.period, left)).max() < 1e-5
    assert abs(panel.x[:, 0] @ left) < 1e-4


@given(st.permutations(list(range(6))))
def test_slopes_of_groups_do_not_depend_on_the_order_of_rows(order: list[int]) -> None:
    rng = np.random.default_rng(3)
    unit, period = np.repeat(np.arange(6), 12), np.tile(np.arange(12), 6)
    x = rng.normal(size=(72, 1))
    y = rng.poisson(np.exp(1 - x[:, 0])).astype(float)
    plain = Panel(y, x, unit, period, unit % 2)
    rows = np.concatenate([np.flatnonzero(unit == u) for u in order])
    turned = Panel(y[rows], x[rows], unit[rows], period[rows], unit[rows] % 2)
    assert fit_poisson(turned, rounds=100).slopes == pytest.approx(fit_poisson(plain, rounds=100).slopes, abs=1e-6)


def separated() -> Panel:
    """Group 1 sells nothing where its second column is 1; the third column is 0 throughout."""
    rng = np.random.default_rng(5)
    unit, period = np.repeat(np.arange(12), 30), np.tile(np.arange(30), 12)
    group = unit // 6
    price, promoted = rng.normal(size=360), (rng.random(360) < 0.3).astype(float)
    y = rng.poisson(np.exp(0.5 - 0.7 * price)).astype(float)
    y[(group == 1) & (promoted > 0)] = 0.0
    return Panel(y, np.stack([price, promoted, np.zeros(360)], axis=1), unit, period, group)


def test_a_group_without_finite_slopes_gets_some_and_spoils_no_other() -> None:
    panel = separated()
    fit = fit_poisson(panel, rounds=200, ridge=0.01)
    assert fit.converged
    assert fit.slopes[1, 1] < -3
    assert fit.slopes[:, 0] == pytest.approx([-0.7, -0.7], abs=0.1)
    assert not fit.slopes[:, 2].any()
    assert not fit.information[:, 2].any()
    lost = fit_poisson(panel, rounds=200)
    assert lost.slopes[1, 1] == -25
    assert not lost.information[1, 1].any()
    assert not lost.net[panel.group == 1, 1].any()
    assert lost.information[1, 0, 0] > 100


def test_a_weak_prior_moves_no_slope_that_the_rows_tell() -> None:
    panel = sparse_units(elasticity=-2.0)
    plain, held = (fit_poisson(panel, rounds=300, ridge=ridge) for ridge in (0.0, 0.01))
    error = 1 / np.sqrt(plain.information[0, 0, 0])
    assert held.slopes[0, 0] == pytest.approx(plain.slopes[0, 0], abs=0.02 * error)
    by_hand = (plain.net[:, 0] ** 2 * plain.mean).sum()
    assert plain.information[0, 0, 0] == pytest.approx(by_hand)


def test_a_single_row_tells_nothing_and_is_no_error() -> None:
    one = np.zeros(1, dtype=np.int64)
    fit = fit_poisson(Panel(np.array([2.0]), np.array([[0.5, 1.0]]), one, one, one), rounds=5, ridge=0.01)
    assert not fit.slopes.any()
    assert not fit.information.any()
    assert fit.mean == pytest.approx([2.0])
