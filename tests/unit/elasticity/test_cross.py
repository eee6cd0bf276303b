"""Cross elasticities and double machine learning, on made-up rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from retail_spark.domains.elasticity.estimate.cross_price import (
    cross_rows,
    failed_pairs,
    false_discovery_rates,
    normal_means,
)
from retail_spark.domains.elasticity.estimate.double_ml import double_ml_rows
from retail_spark.domains.elasticity.settings import JobSettings


def shelf(*, seed: int = 3) -> pd.DataFrame:
    """Four products in 10 stores over 80 weeks: a is hurt by a cheap b (0.8), the others stand alone; own -2."""
    rng = np.random.default_rng(seed)
    price = rng.normal(0, 0.15, (10, 80, 4))
    units = -2 * price + rng.normal(0, 0.3, (10, 80, 4))
    units[:, :, 0] += 0.8 * price[:, :, 1]
    store, week, product = (axis.ravel() for axis in np.indices((10, 80, 4)))
    return pd.DataFrame({
        "category": "c", "store_id": store.astype(str), "product_id": [*map("abcd".__getitem__, product)],
        "period": week, "own_y": units.ravel(), "own_price": price.ravel(), "y": units.ravel(),
        "price": price.ravel(), "control": 0.0,
    })  # fmt: skip


def test_the_one_rival_is_found_and_the_others_are_not() -> None:
    found = cross_rows(shelf(), controls=["control"], false_discovery=0.1)
    assert len(found) == 12
    pair = found.set_index(["product_id", "other_product_id"])
    assert pair.loc[("a", "b"), "raw_elasticity"] == pytest.approx(0.8, abs=0.15)
    assert pair.index[pair["is_significant"]].tolist() == [("a", "b")]
    rest = pair.drop(("a", "b"))
    assert (rest["elasticity"].abs() <= rest["raw_elasticity"].abs() + pair["elasticity"].abs().mean()).all()


def test_a_category_that_raises_has_its_pairs_with_the_reason() -> None:
    found = failed_pairs(shelf(), "ValueError: no luck")
    assert len(found) == 12
    assert set(found["status"]) == {"failed"}
    assert set(found["error"]) == {"ValueError: no luck"}
    assert list(found.columns) == list(cross_rows(shelf(), controls=["control"], false_discovery=0.1).columns)


def test_false_discovery_rates_by_hand() -> None:
    assert false_discovery_rates(np.array([0.04, 0.01, 0.03, 0.5])) == pytest.approx([0.16 / 3, 0.04, 0.16 / 3, 0.5])


def test_noise_without_signal_is_drawn_together() -> None:
    errors = np.full(400, 0.5)
    values = np.random.default_rng(1).normal(0.2, errors)
    centre, spread = normal_means(values, errors)
    assert centre == pytest.approx(0.2, abs=0.1)
    assert spread < 0.03


def test_double_machine_learning_sees_through_what_depends_on_controls() -> None:
    rows = shelf()
    rng = np.random.default_rng(2)
    rows["control"] = rng.normal(size=len(rows))
    bend = np.sin(2 * rows["control"])
    rows["price"] += 0.3 * bend
    rows["y"] += -0.6 * bend + 1.5 * bend
    settings = JobSettings(ml_folds=3, ml_trees=40)
    found = double_ml_rows(rows, controls=["control"], settings=settings, seed=1).iloc[0]
    plain = float(np.polyfit(rows["price"], rows["y"], 1)[0])
    assert plain > -1.0
    assert found["estimate"] == pytest.approx(-2, abs=0.2)
    assert double_ml_rows(rows.head(50), controls=["control"], settings=settings, seed=1).iloc[0]["status"] == (
        "too_few_weeks"
    )
