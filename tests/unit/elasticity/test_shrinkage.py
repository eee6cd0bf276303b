"""Empirical Bayes in two levels: what it recovers, and what its intervals cover."""

from __future__ import annotations

import numpy as np
import pytest

from retail_spark.domains.elasticity.models.hierarchical import Shrunk, shrink
from retail_spark.stats.clustered import design_effect, precisions_of


def world(*, products: int, units: int, noise: float, seed: int = 7) -> tuple[np.ndarray, np.ndarray, Shrunk]:
    """Scalar elasticities of units around products around -2; what each unit and product says is told exactly."""
    rng = np.random.default_rng(seed)
    of_product = rng.normal(-2, 0.5, products)
    place = np.repeat(np.arange(products), units)
    of_unit = of_product[place] + rng.normal(0, 0.3, products * units)
    precision = 1 / (noise * rng.uniform(0.5, 2.0, len(place))) ** 2
    heard = of_unit + rng.normal(size=len(place)) / np.sqrt(precision)
    total = np.bincount(place, precision)
    says = np.bincount(place, precision * heard) / total
    found = shrink(
        precision[:, None, None], (precision * heard)[:, None], place, says[:, None], total[:, None, None],
        rounds=1000,
    )  # fmt: skip
    return of_product, of_unit, found


def test_means_and_spreads_are_recovered() -> None:
    _, _, found = world(products=300, units=8, noise=0.5)
    assert found.centre[0] == pytest.approx(-2, abs=0.1)
    assert found.between_products[0, 0] == pytest.approx(0.25, abs=0.06)
    assert found.between_units[0, 0] == pytest.approx(0.09, abs=0.05)


def test_shrunk_is_nearer_the_truth_than_raw_and_covered() -> None:
    products, units, found = world(products=300, units=8, noise=0.8)
    error = np.sqrt(np.mean((found.units[:, 0] - units) ** 2))
    assert error < 0.45
    inside = np.abs(found.products[:, 0] - products) < 1.96 * np.sqrt(found.product_covariance[:, 0, 0])
    assert 0.90 < inside.mean() < 0.985


def test_a_single_product_is_its_own_category() -> None:
    _, _, found = world(products=1, units=5, noise=0.2)
    assert found.products[0, 0] == pytest.approx(found.centre[0], abs=1e-3)


def test_a_unit_that_says_nothing_gets_its_product() -> None:
    squares, heard = np.array([[[100.0]], [[100.0]], [[0.0]]]), np.array([[-200.0], [-180.0], [0.0]])
    found = shrink(squares, heard, np.array([0, 0, 0]), np.array([[-1.9]]), np.array([[[200.0]]]), rounds=200)
    assert found.units[2, 0] == pytest.approx(found.products[0, 0])


def test_errors_that_follow_on_each_other_count_for_less() -> None:
    assert design_effect(np.array([-0.5, 0.0, 0.2, np.nan])) == pytest.approx([1, 1, 1.5, 1])


def scored(*, groups: int = 5, rows: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Groups of rows of three columns: scores, X'X, residual variances, and the codes of group and period."""
    rng = np.random.default_rng(3)
    group, period = rng.integers(0, groups, rows), rng.integers(0, 20, rows)
    x = rng.normal(size=(rows, 3)) * [0.1, 0.5, 1.0]
    scores = x * rng.normal(size=(rows, 1))
    information = np.array([x[group == g].T @ x[group == g] for g in range(groups)])
    return scores, information, rng.uniform(0.5, 2.0, groups), group, period


def test_a_precision_is_half_clustered_half_plain() -> None:
    scores, information, variance, group, period = scored()
    found = precisions_of(information, variance, scores, group=group, period=period)
    for g, told in enumerate(found):
        inverse = np.linalg.inv(information[g])
        mine = [scores[(group == g) & (period == p)].sum(axis=0) for p in np.unique(period[group == g])]
        n = len(mine)
        clustered = inverse @ (np.array(mine).T @ np.array(mine)) @ inverse * n / (n - 1) * n / (n - 4)
        plain = variance[g] * inverse
        scale = max(float(np.trace(np.linalg.solve(plain, clustered))) / 3, 1.0)
        np.testing.assert_allclose(told, np.linalg.inv(0.5 * clustered + 0.5 * scale * plain), rtol=1e-9)


@pytest.mark.parametrize("size", [1.0, 1e-12, 1e-30])
def test_what_the_rows_do_not_tell_has_no_precision(size: float) -> None:
    """The third column is twice the second, and the rows may weigh next to nothing (a Poisson fit without sales)."""
    scores, information, variance, group, period = scored()
    mix = np.array([[1.0, 0, 0], [0, 1, 2], [0, 0, 0]])
    given = (mix.T @ information @ mix * size, variance, scores @ mix * np.sqrt(size))
    found = precisions_of(*given, group=group, period=period)
    along = np.array([0.0, 2.0, -1.0])
    np.testing.assert_allclose(found @ along / size, 0.0, atol=1e-7)
    apart = precisions_of(information[:, :2, :2], variance, scores[:, :2], group=group, period=period)
    np.testing.assert_allclose(found[:, :2, :2] / size, apart, rtol=1e-6)
    assert not precisions_of(information * 0, variance, scores * 0, group=group, period=period).any()


def test_units_and_columns_that_tell_nothing_change_no_other() -> None:
    rng = np.random.default_rng(11)
    place = np.repeat(np.arange(20), 6)
    squares = np.array([np.diag(d) for d in rng.uniform(5, 50, (120, 2))])
    heard = np.einsum("nkl,nl->nk", squares, rng.normal(-2, 0.5, (120, 2)))
    precisions, means = np.zeros((20, 2, 2)), rng.normal(-2, 0.2, (20, 2))
    np.add.at(precisions, place, squares)
    plain = shrink(squares, heard, place, means, precisions, rounds=500)
    wide = np.zeros((150, 3, 3))
    wide[:120, :2, :2] = squares
    wider = np.zeros((20, 3, 3))
    wider[:, :2, :2] = precisions
    silent = rng.integers(0, 20, 30)
    found = shrink(
        wide, np.pad(heard, ((0, 30), (0, 1))), np.r_[place, silent], np.pad(means, ((0, 0), (0, 1))), wider,
        rounds=500,
    )  # fmt: skip
    np.testing.assert_allclose(found.units[:120, :2], plain.units, rtol=1e-12)
    np.testing.assert_allclose(found.units[120:], found.products[silent])
    assert found.rounds == plain.rounds
    assert not found.units[:, 2].any()
    inside = plain.between_units[0, 0] + plain.product_covariance[silent, 0, 0]
    np.testing.assert_allclose(found.unit_covariance[120:, 0, 0], inside)


def test_a_category_that_tells_nothing_knows_nothing() -> None:
    found = shrink(np.zeros((3, 2, 2)), np.zeros((3, 2)), np.array([0, 0, 1]), np.zeros((2, 2)), np.zeros((2, 2, 2)),
                   rounds=50)  # fmt: skip
    assert not found.units.any()
    assert (found.unit_covariance[:, 0, 0] > 100).all(), "its centre has a prior of precision 1e-4"
