"""Choices: never zero for what sells now and then, guarded against bias, and told why."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from retail_spark.domains.forecast.backtest import Tried
from retail_spark.domains.forecast.select import QUANTILES, choose, picked, score
from tests.unit.forecast.shop import recipe_of


def tried(actual: list[float], **candidates: list[float]) -> Tried:
    """One series, three windows of two periods, the same said in each."""
    said = np.array([[[list(values)]] for values in candidates.values()], dtype=float)
    values = np.stack([said[:, 0] for _ in range(4)])
    truth = np.array(actual, dtype=float).reshape(3, 1, 2)
    return Tried(tuple(candidates), values, truth, np.ones((4, 1)), np.full((4, 1), "lumpy"), np.full((4, 1), 1.5),
                 np.ones((4, 1, 2)))  # fmt: skip


def choice(found: Tried, *, broken: str | None = None, **given: object) -> tuple[str, str]:
    scores = score(found, windows=range(3))
    recipe = recipe_of(**({"prior_points": 0.0} | given))
    made = choose(found, scores, prior={}, recipe=recipe, broken=[broken], at=3)
    return made.names(found)[0], made.reason[0]


def test_zero_does_not_win_intermittent_demand() -> None:
    """Of 0 0 0 0 0 6 the median is 0, but its mean errs less in squares."""
    found = tried([0, 0, 0, 0, 0, 6], zeros=[0.0, 0.0], mean=[1.0, 1.0])
    errors = np.abs(score(found, windows=range(3)).wape[0])
    assert errors[0] < errors[1]
    assert choice(found) == ("mean", "lowest rmsse")


def test_a_biased_candidate_is_left_out_while_another_is_within() -> None:
    found = tried([4, 4, 4, 4, 4, 4], low=[3.0, 3.0], wild=[2.0, 6.0])
    name, reason = choice(found, max_bias=0.2)
    assert name == "wild"
    assert reason == "lowest rmsse within the bias allowed; low is beyond it"
    assert choice(found, max_bias=0.5)[0] == "low"


def test_ties_go_to_the_first_and_are_told() -> None:
    found = tried([4, 4, 4, 4, 4, 4], one=[4.0, 4.0], two=[4.0, 4.0])
    assert choice(found) == ("one", "tie in rmsse with two: the first named")


def test_a_class_speaks_for_a_series_without_points() -> None:
    nan = float("nan")
    found = tried([nan] * 6, one=[4.0, 4.0], two=[5.0, 5.0])
    scores = score(found, windows=range(3))
    prior = {"lumpy": {"one": 2.0, "two": 1.0}}
    made = choose(found, scores, prior=prior, recipe=recipe_of(), broken=[None], at=3)
    assert made.names(found) == ["two"]
    assert made.reason == ["no backtest of its own: the best of class lumpy"]


def test_the_fallback_speaks_under_its_own_name() -> None:
    nan = float("nan")
    found = tried([1, 1, 1, 1, 1, 1], one=[nan, nan])
    scores = score(found, windows=range(3))
    made = choose(found, scores, prior={}, recipe=recipe_of(), broken=[None], at=3)
    assert made.names(found) == ["fallback_mean"]
    assert made.failed == ["no model can take the series"]
    assert picked(found, made, at=3).tolist() == [[1.5, 1.5]]


@given(rows=arrays(np.float64, (4, 6), elements=st.floats(-9, 9) | st.just(float("nan"))))
def test_pinball_is_that_of_numpys_quantiles_of_what_is_known(rows: np.ndarray) -> None:
    known = np.where(np.isnan(rows).all(axis=1)[:, None], 0.0, rows)
    found = score(alone(known), windows=range(3)).pinball[:, 0]
    for row, loss in zip(-known, found, strict=True):
        values = row[~np.isnan(row)]
        rest = [values - np.quantile(values, share) for share in QUANTILES]
        parts = [np.maximum(share * r, (share - 1) * r).mean() for share, r in zip(QUANTILES, rest, strict=True)]
        np.testing.assert_allclose(loss, np.mean(parts), rtol=1e-12, atol=1e-15)


def alone(errors: np.ndarray) -> Tried:
    """Series of three windows of two periods whose one candidate says 0: it errs by less what was sold."""
    actual = (-errors).reshape(-1, 3, 2).transpose(1, 0, 2)
    count = actual.shape[1]
    zeros = np.zeros((4, 1, count, 2))
    return Tried(("zero",), zeros, actual, np.ones((4, count)), np.full((4, count), "lumpy"), np.ones((4, count)),
                 np.ones((4, count, 2)))  # fmt: skip
