"""Store-products and products of a category: what is said of them where the category raises, and of sparse ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from retail_spark.domains.elasticity.estimate.posterior import shrunk_rows
from retail_spark.domains.elasticity.estimate.store_product_loglog import UNIT_SCHEMA, untold_products
from retail_spark.domains.elasticity.estimate.store_product_poisson import (
    SPARSE_SCHEMA,
    effect_codes,
    poisson_estimates,
    sparse_rows,
)
from retail_spark.domains.elasticity.settings import Effects, JobSettings
from tests.unit.elasticity.test_identified import chain

COLUMNS = ("price", "rival_price")


def sparse(*, stores: int, mean: float = 1.5) -> pd.DataFrame:
    """Few units a week at prices that change every few weeks; the elasticity is -2."""
    rows = chain(products=3, stores=stores)
    rng = np.random.default_rng(2)
    log_price = rng.normal(0, 0.25, (3, 25))
    price = log_price[rows["product_id"].str[1:].astype(int), rows["period"] // 4]
    return rows.assign(price=price, rival_price=0.0, units=rng.poisson(mean * np.exp(-2 * price)).astype(float))


def test_one_store_of_few_units_is_told_with_errors_by_period() -> None:
    rows = sparse(stores=1)
    found = poisson_estimates(rows, columns=COLUMNS, rounds=200).set_index("term").loc["price"]
    assert found["status"] == "ok"
    assert found["std_error"] > 0.1
    assert found["ci_low"] < -2 < found["ci_high"]
    assert np.isnan(found["std_error_store"])


@pytest.mark.parametrize("effects", ["store-product + period", "store-product", "none"])
def test_sparse_units_have_the_effects_asked_for(effects: Effects) -> None:
    rows = sparse(stores=3)
    settings = JobSettings(effects=effects)
    found = sparse_rows(rows, columns=COLUMNS, settings=settings).set_index("what")
    assert (len(found.loc["unit"]), len(found.loc["product"])) == (9, 3)
    assert [m[0] for m in found.loc["product", "means"]] == pytest.approx([-2] * 3, abs=0.9)
    unit, period, product = (np.array(codes) for codes in ([0, 1, 2, 3], [0, 1, 0, 1], [0, 0, 1, 1]))
    level, moment = effect_codes(unit, period, product, effects)
    assert level.tolist() == ([0, 0, 1, 1] if effects == "none" else [0, 1, 2, 3])
    assert moment.any() == (effects == "store-product + period")


def test_a_category_that_raised_has_rows_that_say_so() -> None:
    weeks = pd.DataFrame({"category": "c", "product_id": ["a", "b", "a"]})
    products = untold_products(weeks, 3, "LinAlgError: no luck")
    units = pd.DataFrame({
        "category": "c", "store_id": ["s", "t", "s"], "product_id": ["a", "a", "b"],
        "squares": list(np.zeros((3, 4))), "products": list(np.zeros((3, 2))),
    })  # fmt: skip
    assert set(units.columns) <= {part.split()[0] for part in UNIT_SCHEMA.split(", ")}
    found = shrunk_rows(units, products, size=2, rounds=50)
    assert found["level"].value_counts().to_dict() == {"unit": 3, "product": 2, "category": 1}
    assert set(found["error"]) == {"LinAlgError: no luck"}
    assert found["elasticity"].isna().all()


def test_a_bucket_that_sold_nothing_has_no_rows() -> None:
    rows = sparse(stores=1).assign(units=0.0)
    found = sparse_rows(rows, columns=COLUMNS, settings=JobSettings())
    assert list(found.columns) == [part.split()[0] for part in SPARSE_SCHEMA.split(", ")]
    assert found.empty
