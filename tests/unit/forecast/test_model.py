"""The laws of the local models: what they say, and that a series is alone whatever stands beside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_spark.domains.forecast.models.auto import searched
from retail_spark.domains.forecast.models.local import LOCAL
from retail_spark.domains.forecast.models.svd_seasonal import svd_seasonal
from tests.unit.forecast.shop import block, recipe_of

nan = float("nan")
WAVE = [float(3 + t % 4 + (t % 7 == 0) * 5) for t in range(40)]
RARE = [0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 2.0, 0.0, 4.0, 0.0, 0.0, 1.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 2.0]


def said(name: str, *rows: list[float], reach: int = 3, season: int = 4) -> np.ndarray:
    y = block(*rows)
    return LOCAL[name](y, cuts=[y.shape[1]], reach=reach, season=season)[0]


def test_plain_models_say_what_they_are() -> None:
    row = [1.0, 2.0, 3.0, 4.0, nan, 6.0]
    assert said("naive", row).tolist() == [[6.0, 6.0, 6.0]]
    assert said("mean", row).tolist() == [[3.2, 3.2, 3.2]]
    # one season before lie 3, 4 and what is not known, for which the mean stands
    assert said("seasonal_naive", row)[0].tolist() == [3.0, 4.0, 3.2]


@pytest.mark.parametrize("name", ["croston_sba", "tsb", "adida", "imapa"])
def test_intermittent_models_agree_with_statsforecast(name: str) -> None:
    from statsforecast import models

    theirs = {
        "croston_sba": models.CrostonSBA(), "tsb": models.TSB(0.1, 0.1), "adida": models.ADIDA(),
        "imapa": models.IMAPA(),
    }[name]  # fmt: skip
    expected = float(theirs.forecast(y=np.array(RARE), h=1)["mean"][0])
    # those that search a weight search on a grid here
    tolerance = 1e-6 if name in ("croston_sba", "tsb") else 0.25
    assert said(name, RARE, reach=1)[0, 0] == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("name", sorted(LOCAL))
def test_a_poisoned_neighbour_changes_nothing(name: str) -> None:
    alone = said(name, WAVE)
    poison = [[nan] * 40, [7.0] * 40, [nan] * 39 + [5.0], [0.0] * 40, [1e11] * 40]
    with_neighbours = said(name, WAVE, *poison)
    assert with_neighbours[0].tolist() == alone[0].tolist()
    assert np.isfinite(with_neighbours[2]).all() or name in ("never",)


@pytest.mark.parametrize("name", sorted(LOCAL))
@given(cut=st.integers(8, 30))
def test_what_comes_after_a_cut_changes_nothing_before_it(name: str, cut: int) -> None:
    y = block(WAVE, RARE + RARE)
    other = y.copy()
    other[:, cut:] = 999.0
    ours = LOCAL[name](y, cuts=[cut, 40], reach=3, season=4)[0]
    theirs = LOCAL[name](other, cuts=[cut, 40], reach=3, season=4)[0]
    np.testing.assert_array_equal(ours, theirs)


def test_searched_models_leave_out_what_they_cannot_take() -> None:
    found = searched("auto_ets", block(WAVE, [nan] * 40, [nan] * 37 + [1.0, 2.0, 3.0]), cuts=[40], reach=2, season=4)
    assert np.isfinite(found[0, 0]).all()
    assert np.isnan(found[0, 1:]).all()


def test_last_year_comes_again_with_its_growth() -> None:
    clock = recipe_of().clock
    weeks = np.arange(104)
    year = 50 + 20 * np.sin(2 * np.pi * weeks / 52.18)
    y = np.vstack([year * (1 + 0.2 * (weeks >= 52)), year])
    found = svd_seasonal(
        y, products=np.array([0, 0]), clock=clock, end=2900, cuts=[104], reach=4, ranks=(0,), growth_share=1.0,
        with_easter=False,
    )[0]  # fmt: skip
    expected = 50 + 20 * np.sin(2 * np.pi * np.arange(104, 108) / 52.18)
    np.testing.assert_allclose(found[1], expected, rtol=0.02)
    np.testing.assert_allclose(found[0], expected * 1.2 * 1.2, rtol=0.03)
