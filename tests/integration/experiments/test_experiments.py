"""The job on small experiments, each with one thing that a reader can count by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from retail_spark.lake.lake import Lake
from retail_spark.tables.assignments import ASSIGNMENTS, OUTCOMES
from retail_spark.tables.experiments import EXPERIMENT_LOOKS, EXPERIMENT_RESULTS
from retail_spark.tables.silver import SALES
from tests.worlds import put, rows_of, run

BEGIN = datetime(2024, 3, 1, 10, tzinfo=UTC)
UNITS = 12
METRICS = {
    "spent": {"value": "spent", "until_days": 3},
    "came_back": {"value": "visit", "kind": "proportion", "from_days": 1, "until_days": 3},
    "per_visit": {"value": "spent", "denominator": "visit", "kind": "ratio", "until_days": 3},
    "capped": {"value": "spent", "until_days": 3, "winsorised_above": 0.9},
    "before": {"value": "spent", "until_days": 3, "covariate_days": 7},
    "revenue": {"source": "sales", "value": "revenue", "until_days": 3},
}
PLANS = {
    "renamed": {"renamed": {"old": "new"}, "metrics": ["spent"]},
    "crossed": {"metrics": ["spent"]},
    "one": {"metrics": ["spent"]},
    "stores": {"metrics": ["spent"]},
    "quiet": {"metrics": ["spent"]},
}


def at(days: float) -> datetime:
    return BEGIN + timedelta(days=days)


def assigned(experiment: str, unit: int, variant: str, *, days: float = 0, **more: Any) -> dict[str, Any]:
    return {"experiment_id": experiment, "unit_id": f"u{unit}", "variant": variant, "assigned_at": at(days), **more}


def measured(experiment: str, unit: int, metric: str, value: float, days: float) -> dict[str, Any]:
    return {"experiment_id": experiment, "unit_id": f"u{unit}", "metric": metric, "value": value,
            "measured_at": at(days)}  # fmt: skip


def assignments() -> Iterator[dict[str, Any]]:
    for n in range(UNITS):
        variant = "control" if n % 2 == 0 else "new"
        yield assigned("main", n, variant, days=0 if n < 8 else 1)
        yield assigned("renamed", n, "old" if n == 1 else variant)
        yield assigned("crossed", n, variant)
        yield assigned("one", n, "control")
        yield assigned("stores", n, "control" if n < 6 else "new", cluster_id=f"s{n // 2}")
        yield assigned("quiet", n, variant)
    yield assigned("main", 98, "control", days=5)  # its window is not over
    yield assigned("renamed", 1, "new", days=1)
    yield assigned("crossed", 1, "control", days=1)


def outcomes() -> Iterator[dict[str, Any]]:
    for n in range(UNITS - 2):  # the last two units have no outcome
        yield measured("main", n, "spent", 10 + n, 2)
        yield measured("main", n, "spent", 100.0, -2)  # before the assignment
        yield measured("main", n, "visit", 1, 0.0 if n < 4 else 2.5)
        for other in ("renamed", "crossed", "one", "stores"):
            yield measured(other, n, "spent", 10 + n, 2)
        yield measured("quiet", n, "spent", 0.0, 2)
    yield measured("main", 0, "spent", 1000.0, 3.5)  # after the window


def sales() -> list[dict[str, Any]]:
    line = {"store_id": "s", "product_id": "p", "unit_price": 5.0}
    return [
        {**line, "sale_id": "a", "customer_id": "u1", "quantity": 4.0, "sold_at": at(1)},
        {**line, "sale_id": "b", "customer_id": "u1", "quantity": -1.0, "sold_at": at(2)},
        {**line, "sale_id": "c", "customer_id": "u0", "quantity": 1.0, "sold_at": at(-1)},
        {**line, "sale_id": "d", "customer_id": "u3", "quantity": 1.0, "sold_at": at(2)},
        {**line, "sale_id": "e", "customer_id": None, "quantity": 9.0, "sold_at": at(2)},
    ]


@pytest.fixture(scope="module")
def lake(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    from retail_spark.config.section import LakeSettings

    found = Lake.open(spark, LakeSettings(root=str(tmp_path_factory.mktemp("experiments") / "lake")))
    put(found, ASSIGNMENTS, *assignments())
    put(found, OUTCOMES, *outcomes(), measured("main", 98, "visit", 1, 6))
    put(found, SALES, *sales())
    result = run(found, "experiments", metrics=METRICS, experiments=PLANS, first_look_units=2)
    assert result.status == "done"
    assert result.metrics["experiments"] == 6
    return found


def row(lake: Lake, experiment: str, metric: str = "spent", **where: Any) -> dict[str, Any]:
    (found,) = rows_of(lake, EXPERIMENT_RESULTS, experiment_id=experiment, metric=metric, **where)
    return found


def test_means_count_from_the_assignment_to_the_end_of_the_window(lake: Lake) -> None:
    found = row(lake, "main")
    assert (found["control"], found["variant"], found["status"]) == ("control", "new", "ok")
    assert found["control_value"] == pytest.approx((10 + 12 + 14 + 16 + 18 + 0) / 6)
    assert found["variant_value"] == pytest.approx((11 + 13 + 15 + 17 + 19 + 0) / 6)
    assert (found["control_units"], found["variant_units"], found["pending_units"]) == (6, 6, 1)
    assert (found["units_without_outcome"], found["units_with_early_outcome"]) == (2, 10)


def test_retention_ratio_and_winsorised_mean(lake: Lake) -> None:
    assert row(lake, "main", "came_back")["control_value"] == pytest.approx(3 / 6)  # u4, u6, u8
    ratio = row(lake, "main", "per_visit")
    assert ratio["variant_value"] == pytest.approx((11 + 13 + 15 + 17 + 19) / 5)
    assert row(lake, "main", "capped")["variant_value"] < row(lake, "main")["variant_value"]


def test_the_time_before_adjusts_and_never_counts_as_outcome(lake: Lake) -> None:
    found = row(lake, "main", "before")
    assert found["method"] == "cuped"
    assert found["standard_error"] < row(lake, "main")["standard_error"]
    assert found["effect"] == pytest.approx(5 / 6)  # both groups had the same before


def test_revenue_is_that_of_the_units_own_sales_with_returns_taken_off(lake: Lake) -> None:
    found = row(lake, "main", "revenue")
    assert (found["control_value"], found["variant_value"]) == (0.0, pytest.approx((15 + 5) / 6))


def test_a_renamed_variant_is_one(lake: Lake) -> None:
    found = row(lake, "renamed")
    assert (found["status"], found["variant"], found["units_in_two_variants"]) == ("ok", "new", 0)


def test_faults_are_rows_with_a_status(lake: Lake) -> None:
    expected = {"crossed": "two_variants", "one": "one_variant", "quiet": "no_variation"}
    for experiment, status in expected.items():
        found = row(lake, experiment)
        assert (found["status"], found["decision"]) == (status, "invalid"), experiment
        assert found["error"]
        assert found["effect"] is None


def test_clusters_are_the_units_of_a_clustered_experiment(lake: Lake) -> None:
    found = row(lake, "stores")
    assert (found["method"], found["control_units"], found["variant_units"]) == ("clustered", 3, 3)
    assert found["effect"] == pytest.approx((16 + 17 + 18 + 19) / 6 - (10 + 11 + 12 + 13 + 14 + 15) / 6)
    assert found["sample_ratio_p_value"] is None


def test_looks_are_the_days_on_which_units_entered(lake: Lake) -> None:
    found = rows_of(lake, EXPERIMENT_LOOKS, "look_on", experiment_id="main", metric="spent")
    assert [(look["look_on"].isoformat(), look["units"]) for look in found] == [("2024-03-04", 8), ("2024-03-05", 12)]
    assert found[-1]["effect"] == row(lake, "main")["effect"]


def test_a_run_as_of_an_earlier_day_knows_no_later_outcome(lake: Lake) -> None:
    result = run(lake, "experiments", as_of=at(3).date(), metrics=METRICS, experiments=PLANS, first_look_units=2)
    assert result.status == "done"
    found = row(lake, "main", as_of=at(3).date())
    assert (found["control_units"], found["pending_units"]) == (4, 4)
