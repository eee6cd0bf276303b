"""Sparse units: the log of sold rows truncates the response, Poisson with the zeros does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_spark.elasticity.poisson import Panel, fit_poisson


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
