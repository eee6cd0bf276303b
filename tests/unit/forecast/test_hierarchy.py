"""Levels add up, whatever was foretold, at 45,000 series and without a dense matrix."""

from __future__ import annotations

import numpy as np
import pytest

from retail_spark.forecast.hierarchy import reconcile, sums_of


def test_two_levels_meet_by_their_variances() -> None:
    sums, names = sums_of({"total": np.array(["*", "*"])})
    assert names == [("total", "*")]
    found = reconcile(
        np.array([10.0, 20.0]), np.array([1.0, 3.0]), sums=sums, upper=np.array([40.0]), upper_variance=np.array([1.0])
    )
    # of the ten that are missing, the total gives way by 1/5, the series by 1/5 and 3/5
    assert found.tolist() == pytest.approx([12.0, 26.0])


def test_nothing_falls_below_zero() -> None:
    sums, _ = sums_of({"total": np.array(["*"] * 3)})
    found = reconcile(
        np.array([1.0, 5.0, 9.0]), np.ones(3), sums=sums, upper=np.array([3.0]), upper_variance=np.array([1e-6])
    )
    assert found[0] == 0.0
    assert found.min() >= 0
    assert found.sum() == pytest.approx(3.0, abs=1e-3)


def test_levels_add_up_at_45_000_series() -> None:
    rng = np.random.default_rng(1)
    number = np.arange(45_000)
    members = {
        "product": (number // 90).astype(str), "store": (number % 90).astype(str),
        "region": (number % 90 % 7).astype(str), "category": (number // 90 % 20).astype(str),
        "total": np.full(len(number), "*"),
    }  # fmt: skip
    sums, names = sums_of(members)
    bottom = rng.gamma(1.0, 3.0, len(number))
    upper = (sums @ bottom) * (1 + rng.normal(0, 0.1, len(names)))
    found = reconcile(bottom, bottom + 0.1, sums=sums, upper=upper, upper_variance=0.3 * (sums @ bottom))
    assert found.min() >= 0
    above = sums @ found
    places = {name: n for n, name in enumerate(names)}
    of_level = {level: sum(above[n] for (of, _), n in places.items() if of == level) for level in members}
    assert all(total == pytest.approx(found.sum(), abs=1e-6) for total in of_level.values())
    first = members["product"] == "0"
    assert above[places["product", "0"]] == pytest.approx(found[first].sum(), abs=1e-6)
    assert np.abs(above - upper).mean() < np.abs(sums @ bottom - upper).mean(), "it moved towards what was foretold"
