"""Empirical Bayes in two levels: what it recovers, and what its intervals cover."""

from __future__ import annotations

import numpy as np
import pytest

from retail_spark.elasticity.shrinkage import Shrunk, design_effect, shrink


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
