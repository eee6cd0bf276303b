"""Metrics and calibration in numpy, beside scikit-learn's; no Spark."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from retail_spark.domains.supplier_risk.evaluate import measure
from retail_spark.domains.supplier_risk.train import day_of_share
from retail_spark.modelling.gate import judge
from retail_spark.stats.calibration import Calibration, calibrate, fit_logistic, sigmoid
from retail_spark.stats.classification import auc, average_precision, calibration_error

RNG = np.random.default_rng(3)


def counts(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = np.unique(scores)
    return (
        np.array([np.sum((scores == v) & (labels == 0)) for v in values], dtype=float),
        np.array([np.sum((scores == v) & (labels == 1)) for v in values], dtype=float),
    )


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=60))
def test_auc_and_average_precision_are_those_of_scikit_learn(rows: list[tuple[bool, int]]) -> None:
    labels, scores = np.array([r[0] for r in rows], dtype=int), np.array([r[1] for r in rows])
    if labels.min() == labels.max():
        return
    assert auc(*counts(labels, scores)) == pytest.approx(roc_auc_score(labels, scores))
    assert average_precision(*counts(labels, scores)) == pytest.approx(average_precision_score(labels, scores))


def test_of_one_kind_only_there_is_no_auc() -> None:
    assert np.isnan(auc(np.array([3.0]), np.array([0.0])))
    assert np.isnan(average_precision(np.array([3.0]), np.array([0.0])))


def test_calibration_error_is_the_mean_gap() -> None:
    lines = np.full(1000, 1.0)
    p = np.linspace(0.0, 0.5, 1000)
    late = np.clip(p + 0.1, 0, 1)
    assert calibration_error(lines, late, p) == pytest.approx(0.1)
    assert calibration_error(lines, p, p) == 0


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_calibration_undoes_a_wrong_curve(kind: str) -> None:
    true = RNG.normal(-1.5, 1.2, 20_000)
    labels = (RNG.random(len(true)) < sigmoid(true)).astype(float)
    wrong = 2.0 * true + 1.0
    fitted = calibrate(wrong, labels, np.ones(len(true)), kind=kind)
    found = fitted(wrong)
    assert np.abs(found - sigmoid(true)).mean() < 0.015
    assert (
        calibration_error(*sorted_sums(found, labels)) < 0.015 < calibration_error(*sorted_sums(sigmoid(wrong), labels))
    )


def sorted_sums(p: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order = np.argsort(p)
    return np.ones(len(p)), labels[order], p[order]


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.booleans()), min_size=5, max_size=80),
    st.sampled_from(["platt", "isotonic"]),
)
def test_a_calibration_never_falls_and_survives_its_json(rows: list[tuple[float, bool]], kind: str) -> None:
    margins, labels = np.array([r[0] for r in rows]), np.array([float(r[1]) for r in rows])
    fitted = calibrate(margins, labels, np.ones(len(rows)), kind=kind)
    grid = np.linspace(-8, 8, 200)
    assert np.all(np.diff(fitted(grid)) >= 0)
    assert np.all((fitted(grid) > 0) & (fitted(grid) < 1))
    assert Calibration.from_json(fitted.to_json()) == fitted


def test_what_weighs_nothing_tells_an_isotonic_curve_nothing() -> None:
    margins, labels = np.array([-1.0, -1.0, 0.0, 0.0, 1.0]), np.array([1.0, 1.0, 0.0, 0.0, 1.0])
    fitted = calibrate(margins, labels, np.array([0.0, 0.0, 0.0, 3.0, 2.0]), kind="isotonic")
    assert fitted == calibrate(margins[3:], labels[3:], np.array([3.0, 2.0]), kind="isotonic")


def test_the_prior_holds_the_slope_more_than_the_level() -> None:
    """What moves from year to year is how many are late: a few hundred lines move the level, and hardly the slope."""
    margins = RNG.normal(-2, 1, 800)
    labels = (RNG.random(800) < sigmoid(0.5 * margins + 0.6)).astype(float)
    fitted = calibrate(margins, labels, np.ones(800), kind="platt", prior=0.25)
    free = calibrate(margins, labels, np.ones(800), kind="platt", prior=0.0)
    assert abs(fitted.slope - 1) < 0.5 * abs(free.slope - 1)
    before, after, truth = sigmoid(margins).mean(), fitted(margins).mean(), labels.mean()
    assert before < after < truth + 0.01


def test_a_logistic_curve_is_found_again() -> None:
    design = np.column_stack([RNG.normal(size=(20_000, 2)), np.ones(20_000)])
    true = np.array([1.0, -0.5, -1.5])
    labels = (RNG.random(20_000) < sigmoid(design @ true)).astype(float)
    found = fit_logistic(design, labels, np.ones(20_000), ridge=np.ones(3), start=np.zeros(3))
    assert found == pytest.approx(true, abs=0.1)


def test_the_held_out_days_hold_the_last_share_of_the_lines() -> None:
    lines = {10: 50, 11: 30, 12: 15, 13: 5}
    assert [day_of_share(lines, share=share) for share in (0.05, 0.2, 0.21, 1.0)] == [13, 12, 12, 10]
    assert day_of_share({}, share=0.2) is None


def test_a_slice_of_one_kind_leaves_the_margins_alone() -> None:
    fitted = calibrate(np.array([0.0, 1.0]), np.zeros(2), np.ones(2), kind="platt")
    assert fitted(np.array([0.3])) == pytest.approx(sigmoid(np.array([0.3])))


def bins(**late_margin: float) -> pd.DataFrame:
    """Two thousand lines in 64 buckets; a rival's margin is so many times the true one."""
    rng = np.random.default_rng(1)
    true = rng.normal(-1, 1.5, 2000)
    label = (rng.random(2000) < sigmoid(true)).astype(float)
    rows = []
    for rival, share in late_margin.items():
        p = sigmoid(share * true - (1 - share))
        rows.append(
            pd.DataFrame(
                {
                    "rival": rival, "bucket": np.arange(2000) % 64,
                    "bin": np.round(256 * np.log(p / (1 - p))).astype(int),
                    "lines": 1.0, "late": label, "p": p, "brier": (p - label) ** 2,
                    "log_loss": -np.log(np.where(label > 0, p, 1 - p)),
                }
            )
        )  # fmt: skip
    return pd.concat(rows)


def test_a_better_rival_is_clearly_better_and_an_equal_one_is_not() -> None:
    found = measure(bins(candidate=1.0, constant=0.0, twin=1.0), replicates=100, seed=1)
    better = found.difference("candidate", "constant", metric="brier")
    assert 0 < better.low < better.mean < better.high
    equal = found.difference("candidate", "twin", metric="auc")
    assert (equal.low, equal.mean, equal.high) == (0, 0, 0)
    assert found.values["candidate"]["auc"] > 0.7
    assert found.values["constant"]["auc"] == 0.5
    low, high = found.interval("candidate", metric="auc")
    assert low < found.values["candidate"]["auc"] < high


def test_the_gate_wants_a_better_brier_than_constant_and_shrunk_and_no_worse_than_the_champion() -> None:
    from retail_spark.domains.supplier_risk.job import gate_of

    good = measure(bins(candidate=1.0, constant=0.0, shrunk=0.3), replicates=60, seed=1)
    (only,) = judge(gate_of(good.with_equal("champion", of="candidate")), tolerance=0.01)
    assert "the shrunk rate, by AUC" in only, "a rival that ranks alike is beaten by Brier, not by AUC"
    bad = measure(bins(candidate=0.3, constant=0.0, shrunk=0.2, champion=1.0), replicates=60, seed=1)
    assert any("worse than the champion's" in reason for reason in judge(gate_of(bad), tolerance=0.01))
