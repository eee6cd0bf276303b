"""What a period does not say is unknown: mistakes, gaps of a store, half a first week; and what rests on it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retail_spark.domains.forecast import backtest
from retail_spark.domains.forecast.accuracy import measured_rows
from retail_spark.domains.forecast.backtest import class_of
from retail_spark.domains.forecast.candidates import chosen_rows, prior_sums, priors_of, tried_rows
from retail_spark.domains.forecast.evaluate import BUCKETS, Measured
from retail_spark.domains.forecast.intervals import pools_of
from retail_spark.domains.forecast.outputs import forecast_rows
from retail_spark.domains.forecast.recipe import Recipe
from retail_spark.domains.forecast.series.frame import Frame
from retail_spark.domains.forecast.series.frequency import closed_weekdays, settled
from retail_spark.domains.forecast.series.missing_data import CLOSED, MISSING, SOLD, outliers, store_states
from retail_spark.domains.forecast.series.periods import Clock
from retail_spark.domains.forecast.settings import JobSettings
from tests.unit.forecast.shop import block, packed_of, recipe_of

SATURDAY = date(2024, 1, 6)
nan = float("nan")
WAVE = [57.0, 49.0, 61.0, 55.0, 63.0, 52.0]


def carried_out(packed: pd.DataFrame, *, periods: int, **given: Any) -> tuple[pd.DataFrame, Measured]:
    """Forecasts, and what was measured in the last window."""
    frame = Frame(recipe_of(**({"prior_points": 0} | given)), end=100, periods=periods)
    tried = tried_rows(packed, frame, [])
    chosen = chosen_rows(tried, frame, priors_of(prior_sums(tried, frame)))
    pools, early = (pools_of(chosen, frame, span=span, fewest=30) for span in ("all", "early"))
    return forecast_rows(chosen, frame, pools), Measured(measured_rows(chosen, frame, early, buckets=BUCKETS))


def test_one_mistyped_quantity_is_set_aside_and_named_and_nothing_else_moves() -> None:
    clean = {f"a/p{n}": [value + n for value in WAVE * 5] for n in range(8)}
    typo = {**clean, "a/p3": [*clean["a/p3"][:-2], 57_000.0, clean["a/p3"][-1]]}
    (before, was), (after, found) = (carried_out(packed_of(rows), periods=30) for rows in (clean, typo))
    told = after[after["product_id"] == "p3"]
    assert set(told["status"]) == {"outlier"}
    assert set(told["error"]) == {"set aside as beyond reason: 57000 in the week of 1971-11-29"}
    assert told["mean"].max() < 100
    same = [rows[rows["product_id"] != "p3"].reset_index(drop=True) for rows in (before, after)]
    pd.testing.assert_frame_equal(*same)
    assert found.wape("policy") == pytest.approx(was.wape("policy"), rel=0.2), "the gate sees no mistake"
    assert found.metrics()["test_points"] == was.metrics()["test_points"] - 1


def test_what_several_stores_sell_or_what_a_series_often_does_is_no_mistake() -> None:
    spike = block([*WAVE, *WAVE, 9e4], [*WAVE, *WAVE, 8e4], [*WAVE, *WAVE, 9e4])
    assert outliers(spike, np.array([0, 0, 1]), factor=50)[:, -1].tolist() == [False, False, True]
    assert not outliers(block([1.0, 100.0] * 8), np.array([0]), factor=50).any()
    assert not outliers(spike, np.array([0, 1, 2]), factor=0).any()
    assert not outliers(block([1.0, 1.0, 9e4]), np.array([0]), factor=50).any(), "three sales tell nothing usual"


def test_half_a_first_week_is_no_week_and_a_mean_lies_inside_its_interval() -> None:
    """Constant 60 after half a week of 26 that the shop's first file holds."""
    packed = packed_of({f"a/p{n}": [26.0, *[60.0] * 40] for n in range(40)})
    packed = packed.assign(sold_from=60, is_late=True, is_stores=True)
    found, measured = carried_out(packed, periods=41, models=("mean",), ensembles=())
    assert (found["mean"] == 60.0).all()
    assert measured.coverage("coverage_80") == 1.0
    later = packed.assign(sold_from=60, is_late=False)
    rows, _ = carried_out(later, periods=41, models=("mean",), ensembles=())
    assert rows["mean"].between(59, 59.99).all(), "a whole week counts"
    for low, high in (("p10", "p90"), ("lo_95", "hi_95")):
        assert (rows[low] <= rows["mean"]).all()
        assert (rows["mean"] <= rows[high]).all()


def test_a_store_that_always_sells_and_once_nothing_is_unknown_then() -> None:
    states = store_states(
        block([9, 9, 9, 0, 9, 9, 0, 0], [9, 9, 9, 0, 9, 0, 0, 0], [1, 0, 2, 0, 1, 1, 0, 1], [0] * 8),
        season=1, closed_periods=3,
    )  # fmt: skip
    known, lost, shut = SOLD, MISSING, CLOSED
    assert states[0].tolist() == [known, known, known, lost, known, known, lost, lost], "late, not closed yet"
    assert states[1].tolist() == [known, known, known, lost, known, shut, shut, shut]
    assert MISSING not in states[2], "a small store sells nothing now and then"
    assert set(states[3]) == {CLOSED}
    sundays = store_states(block([0, *[8] * 6] * 4), season=7, closed_periods=4)
    assert set(sundays[0, ::7]) == {CLOSED}, "closed every Sunday is no gap"
    packed = packed_of({"a/x": [5.0, 5.0, 0.0, 5.0]}).assign(store_state=[[SOLD, SOLD, MISSING, SOLD]])
    y = Frame(recipe_of(), end=100, periods=4).panel(packed).y[0]
    assert np.isnan(y).tolist() == [False, False, True, False]


def test_a_week_that_ends_on_closed_days_is_whole() -> None:
    days = [SATURDAY - timedelta(days=n) for n in range(80) if (SATURDAY - timedelta(days=n)).weekday() != 6]
    assert closed_weekdays(days) == {6}
    assert closed_weekdays(days[:20]) == frozenset(), "too short to tell"
    clock = Clock()
    this = clock.period_of(SATURDAY)
    assert clock.last_complete(SATURDAY, closed=frozenset({6})) == this
    assert clock.last_complete(SATURDAY) == this - 1
    assert clock.last_complete(SATURDAY - timedelta(days=1), closed=frozenset({6})) == this - 1


def test_rows_that_are_weeks_are_noticed_and_taken_as_such() -> None:
    days = [SATURDAY + timedelta(days=7 * n) for n in range(12) if n != 4]
    taken, told = settled(JobSettings(), days)
    assert (taken.row_days, taken.week_starts_on) == (7, "saturday")
    assert told is not None
    assert "forecast.row_days=7, forecast.week_starts_on=saturday" in told
    assert settled(taken, days) == (taken, None)
    for given in ({"week_starts_on": "sunday"}, {"frequency": "day"}):
        settings = JobSettings(**given)
        same, told = settled(settings, days)
        assert same == settings
        assert told is not None
        assert "set forecast." in told
    assert settled(JobSettings(), [*days, SATURDAY + timedelta(days=1)])[1] is None


def test_intervals_of_new_series_hold_what_they_promise() -> None:
    """600 series that begin one after the other, Poisson around levels of their own; 60 know a single week."""
    rng, periods, ahead, count = np.random.default_rng(2), 40, 2, 600
    level = rng.lognormal(2.5, 0.6, count)
    age = np.where(np.arange(count) < 60, 1, rng.integers(1, periods + 1, count))
    units = rng.poisson(level[:, None], (count, periods + ahead)).astype(float)
    series = {f"s{n % 5}/p{n:03d}": units[n, periods - age[n] : periods].tolist() for n in range(count)}
    found, _ = carried_out(packed_of(series), periods=periods, models=("mean",), ensembles=(), prior_points=48)
    truth = pd.Series(
        {(name.split("/")[0], name.split("/")[1], k): units[n, periods + k - 1]
         for n, name in enumerate(series) for k in (1, 2)}, name="truth",
    )  # fmt: skip
    truth.index.names = ["store_id", "product_id", "step"]
    rows = found.merge(truth.reset_index(), on=["store_id", "product_id", "step"], how="left", validate="one_to_one")
    is_new = rows["product_id"] < "p060"
    assert is_new.sum() == 120
    for part in (rows[is_new], rows[~is_new]):
        inside = [part["truth"].between(part[low], part[high]).mean() for low, high in BOUNDS]
        assert 0.7 <= inside[0] <= 0.9
        assert 0.88 <= inside[1] <= 1.0


@pytest.mark.parametrize(("transform", "says"), [("log", 11.4), ("raw", 86_770.0)])
def test_a_trend_that_is_carried_on_does_not_explode(
    monkeypatch: pytest.MonkeyPatch, transform: str, says: float
) -> None:
    """180 units at most were sold, and a trend on logarithms ends at exp(11.4)."""
    monkeypatch.setattr(backtest, "searched", lambda _, y, *, cuts, reach, season: np.full((len(cuts), 1, reach), says))
    packed = packed_of({"a/x": [90.0, 180.0] * 10})
    given = {"models": ("auto_theta",), "transform": transform, "ensembles": ()}
    frame = Frame(recipe_of(**given), end=100, periods=20)
    values = np.reshape(tried_rows(packed, frame, [])["values"][0], (4, -1, 2))
    at = frame.recipe.candidates.index("auto_theta_log" if transform == "log" else "auto_theta")
    np.testing.assert_allclose(values[:, at], 360.0)


BOUNDS = (("p10", "p90"), ("lo_95", "hi_95"))


def test_what_dies_in_the_last_window_is_not_known_to_be_dead_before_it() -> None:
    """The store shuts within the window that measures: the policy did not know."""
    packed = packed_of({"a/x": [*[8.0] * 35, *[0.0] * 5]}, is_closed=True)
    packed = packed.assign(store_state=[[SOLD] * 35 + [CLOSED] * 5])
    frame = Frame(recipe_of(horizon=4, step=4), end=100, periods=40)
    tried = tried_rows(packed, frame, [])
    assert [class_of(name) for name in tried["classes"][0]] == ["smooth", "smooth", "smooth", "dead"]
    chosen = chosen_rows(tried, frame, priors_of(prior_sums(tried, frame)))
    assert chosen["mean_early"][0].min() > 4
    assert set(forecast_rows(chosen, frame, {})["model"]) == {"zero"}


def test_a_recipe_of_before_outliers_were_known_is_read_as_it_was_meant() -> None:
    told = recipe_of().to_json()
    older = {name: value for name, value in told.items() if name not in ("outlier_factor", "closed_periods")}
    assert Recipe.from_json(older).outlier_factor == 0.0
    assert Recipe.from_json(told) == recipe_of()
    with pytest.raises(ValueError, match="horizon"):
        Recipe.from_json({name: value for name, value in told.items() if name != "horizon"})
