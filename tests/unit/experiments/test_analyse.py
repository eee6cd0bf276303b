"""From sums to decisions: what makes an experiment invalid, and what each decision needs. No Spark."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from retail_spark.domains.experiments.models.analyse import Analysis, analyse
from retail_spark.domains.experiments.models.cells import Cell, Design, Measure, Rules
from retail_spark.stats.moments import ExactSums

DESIGN = Design("e", "a", {"a": 400, "b": 400}, {"a": 1.0, "b": 1.0})
START = date(2024, 1, 1)


def cell(
    variant: str, values: Any, *, day: int = 0, metric: str = "m", stratum: str | None = None, **more: Any
) -> Cell:
    rows = [[float(value), 1.0, 0.0, 1.0] for value in values]
    sums = ExactSums.of_values(rows) if rows else ExactSums.none(4)
    return Cell("e", metric, variant, stratum, START + timedelta(days=day), sums, **more)


def shares(ones: int, units: int = 400) -> list[int]:
    return [1] * ones + [0] * (units - ones)


def analysed(*cells: Cell, design: Design = DESIGN, rules: Rules | None = None, **measures: Measure) -> Analysis:
    return analyse(design, cells, measures=measures or {"m": Measure()}, rules=rules or Rules())


def only(found: Analysis) -> dict[str, object]:
    (row,) = found.results
    return row


@pytest.mark.parametrize(
    ("control", "variant", "lower", "decision"),
    [(40, 100, False, "ship"), (100, 40, False, "stop"), (40, 45, False, "stop"), (40, 100, True, "stop"),
     (100, 40, True, "ship")],
)  # fmt: skip
def test_an_experiment_that_has_ended(control: int, variant: int, lower: bool, decision: str) -> None:
    cells = cell("a", shares(control)), cell("b", shares(variant))
    row = only(analysed(*cells, m=Measure(kind="proportion", lower_is_better=lower)))
    assert (row["decision"], row["status"]) == (decision, "ok")
    assert row["effect"] == pytest.approx((variant - control) / 400)
    assert "95% interval" in str(row["reason"])


def test_an_experiment_that_goes_on_is_judged_by_the_sequence() -> None:
    design = replace(DESIGN, planned_units=10_000)
    cells = cell("a", shares(40)), cell("b", shares(58))
    row = only(analysed(*cells, design=design, m=Measure(kind="proportion")))
    assert row["decision"] == "go on"
    assert "sequence" in str(row["reason"])
    sure = only(analysed(cell("a", shares(40)), cell("b", shares(200)), design=design))
    assert sure["decision"] == "ship"


def test_a_harmed_guardrail_stops_what_would_be_shipped() -> None:
    cells = [cell("a", shares(40)), cell("b", shares(100))]
    cells += [cell("a", shares(200), metric="g"), cell("b", shares(100), metric="g")]
    found = analysed(*cells, m=Measure(), g=Measure(is_guardrail=True)).results
    assert {row["metric"]: row["decision"] for row in found} == {"g": "stop", "m": "stop"}
    assert "guardrail g is harmed" in str(found[1]["reason"])


@pytest.mark.parametrize(
    ("design", "status"),
    [
        (replace(DESIGN, units={"a": 400}, weights={"a": 1.0}), "one_variant"),
        (replace(DESIGN, units={"a": 400, "b": 520}), "sample_ratio"),
        (replace(DESIGN, crossed=50), "two_variants"),
        (replace(DESIGN, is_clustered=True, split_clusters=1), "split_clusters"),
    ],
)
def test_what_makes_the_whole_experiment_invalid(design: Design, status: str) -> None:
    row = only(analysed(cell("a", shares(40)), cell("b", shares(100)), design=design))
    assert (row["status"], row["decision"]) == (status, "invalid")
    assert row["error"] == row["reason"]
    assert "effect" not in row


@pytest.mark.parametrize(
    ("cells", "status"),
    [
        ((cell("a", shares(0), without_outcome=400), cell("b", shares(0), without_outcome=400)), "empty_metric"),
        ((cell("a", shares(0)), cell("b", shares(0))), "no_variation"),
        ((cell("a", shares(9, 99)), cell("b", shares(40))), "too_few_units"),
        ((cell("a", shares(40), huge=1), cell("b", shares(40))), "huge_values"),
        ((), "too_few_units"),
    ],
)
def test_what_makes_one_metric_invalid(cells: tuple[Cell, ...], status: str) -> None:
    row = only(analysed(*cells))
    assert (row["status"], row["decision"]) == (status, "invalid")


def test_planned_weights_are_what_sizes_are_held_against_and_a_warning_is_told() -> None:
    cells = cell("a", shares(40)), cell("b", shares(100))
    design = replace(DESIGN, units={"a": 400, "b": 800}, weights={"a": 1.0, "b": 2.0})
    assert only(analysed(*cells, design=design))["sample_ratio_p_value"] == pytest.approx(1.0)
    warned = only(analysed(*cells, design=replace(DESIGN, units={"a": 400, "b": 480})))
    assert warned["status"] == "ok"
    assert "warning: group sizes" in str(warned["reason"])


def test_a_stratum_that_differs_in_level_does_not_blur_the_effect() -> None:
    rng = np.random.default_rng(3)
    cells = [
        cell(variant, rng.normal(level + 0.5 * (variant == "b"), 1, 200), stratum=stratum)
        for stratum, level in (("north", 0), ("south", 50))
        for variant in ("a", "b")
    ]
    plain = only(analysed(*cells))
    by_stratum = only(analysed(*cells, design=replace(DESIGN, is_stratified=True)))
    assert by_stratum["method"] == "stratified"
    assert by_stratum["standard_error"] < 0.1 < plain["standard_error"]  # type: ignore[operator]


def test_looks_add_up_day_by_day_and_sequences_are_wider() -> None:
    rng = np.random.default_rng(5)
    cells = [cell(v, rng.normal(0, 1, 60), day=day) for day in range(4) for v in ("a", "b")]
    found = analysed(*cells)
    assert [row["units"] for row in found.looks] == [240, 360, 480]  # the first day has fewer than 100 in each
    assert found.looks[-1]["effect"] == only(found)["effect"]
    for row in found.looks:
        assert row["sequence_low"] < row["effect_low"] < row["effect_high"] < row["sequence_high"]  # type: ignore[operator]
