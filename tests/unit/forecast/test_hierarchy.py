"""Levels add up, whatever was foretold, at 45,000 series and without a dense matrix."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from retail_spark.domains.forecast.reconcile.levels import member_of
from retail_spark.domains.forecast.reconcile.mint import reconcile, reconciled_rows, sums_of
from retail_spark.domains.forecast.reconcile.over_spark import to_packed_above
from retail_spark.domains.forecast.series.frame import Frame
from retail_spark.frames.local_rows import frame_of_rows
from tests.unit.forecast.shop import recipe_of


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


def test_a_failed_series_neither_moves_nor_moves_others() -> None:
    def row(level: str, member: str, product: str, mean: float, status: str = "ok") -> dict[str, object]:
        return {"level": level, "member": member, "store_id": "s", "product_id": product, "in_total": "*",
                "step": 1, "mean": mean, "variance": 1.0, "status": status}  # fmt: skip

    rows = [row("", "", "a", 10.0), row("", "", "b", 20.0), row("", "", "scanned", 500.0, "failed"),
            row("total", "*", "", 30.0)]  # fmt: skip
    found = reconciled_rows(pd.DataFrame(rows), levels=["total"]).set_index("product_id")["reconciled"]
    assert found.to_dict() == pytest.approx({"a": 10.0, "b": 20.0, "scanned": 500.0})


def test_a_barcode_scanned_as_a_quantity_is_in_no_sum_above(spark: SparkSession) -> None:
    frame = Frame(recipe_of(horizon=2), end=100, periods=12)
    periods = list(range(89, 101))
    rows = [("s", name, "c", "r", periods, values) for name, values in
            (("milk", [3.0] * 12), ("scanned", [2.0] * 11 + [4e12]))]  # fmt: skip
    schema = "store_id STRING, product_id STRING, category STRING, region STRING, period ARRAY<INT>, "
    packed = frame_of_rows(spark, rows, schema + "quantity ARRAY<DOUBLE>")
    (above,) = to_packed_above(packed, levels=["total"], frame=frame).select("quantity").collect()
    assert above["quantity"] == [3.0] * 12


def test_members_whose_ids_hold_the_bar_are_two(spark: SparkSession) -> None:
    pairs = frame_of_rows(spark, [("S1 | a", "b"), ("S1", "a | b"), ("S1", "a")], "store_id STRING, product_id STRING")
    names = [row[0] for row in pairs.select(member_of("store_product")).collect()]
    assert names == ["S1 \\| a | b", "S1 | a \\| b", "S1 | a"]
