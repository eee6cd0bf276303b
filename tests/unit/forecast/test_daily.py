"""Days: weekdays, holidays and closed days, lengths in time, and leads that no weekday is tied to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retail_spark.domains.forecast.candidates import chosen_rows, prior_sums, priors_of, tried_rows
from retail_spark.domains.forecast.features.matrix import Days, Past, matrix, names_of
from retail_spark.domains.forecast.models.global_booster import leads_of, lessons, train_here
from retail_spark.domains.forecast.models.weekday_means import recent_means, with_holidays
from retail_spark.domains.forecast.outputs import forecast_rows
from retail_spark.domains.forecast.series.frame import Frame
from retail_spark.domains.forecast.series.panel import PAID, Panel
from retail_spark.domains.forecast.settings import JobSettings
from tests.unit.forecast.shop import packed_of, panel_of, recipe_of

nan = float("nan")
END = 20_005  # a Thursday + 20,005 days is a Monday
PATTERN = [10.0, 11.0, 9.0, 12.0, 16.0, 20.0, 3.0]


def units(period: int) -> float:
    """Monday first."""
    return PATTERN[(period + 3) % 7]


def daily(packed: pd.DataFrame, *, periods: int, events: tuple[int, ...] = (), **given: Any) -> pd.DataFrame:
    """Forecasts of packed days by the default models that cost little."""
    models = ("seasonal_naive", "mean", "ses", "damped_trend", "tsb", "seasonal_mean", "promotion_mean")
    horizon = given.pop("horizon", 14)
    settings = JobSettings(frequency="day", horizon=horizon, global_model=False, models=models, step=14, **given)
    frame = Frame(settings.recipe(), END, periods, events)
    tried = tried_rows(packed, frame, [])
    chosen = chosen_rows(tried, frame, priors_of(prior_sums(tried, frame)))
    return forecast_rows(chosen, frame, {})


def past(count: int) -> list[float]:
    return [units(p) for p in range(END - count + 1, END + 1)]


def test_lengths_are_times_whatever_a_period_is() -> None:
    weeks, days = (JobSettings(frequency=name) for name in ("week", "day"))
    for name in ("history_periods", "new_periods", "dead_periods", "closed_periods", "train_periods"):
        assert days.length(name) == 7 * weeks.length(name)
    assert JobSettings(frequency="month").recipe().year == 12
    assert days.recipe().dead_periods == 182
    assert {"seasonal_mean", "promotion_mean", "auto_ets"} <= set(days.candidates)
    assert JobSettings(frequency="day", dead_periods=9).recipe().dead_periods == 9


@pytest.mark.parametrize("horizon", [7, 8, 42])
def test_every_lead_teaches_on_every_weekday(horizon: int) -> None:
    leads = list(range(1, horizon + 1))
    pairs = {(p % 7, *leads_of(leads, p, count=1)) for p in range(20_000, 20_000 + 7 * 8 * horizon)}
    assert len(pairs) >= 0.95 * 7 * horizon


def test_a_weekly_pattern_is_foretold_by_its_weekdays() -> None:
    rng = np.random.default_rng(5)
    noisy = [float(rng.poisson(8 * v)) for v in past(200)]
    found = daily(packed_of({"a/x": noisy}, end=END, reach=14), periods=200)
    truth = [8 * units(END + k) for k in range(1, 15)]
    assert np.abs(found["mean"] - truth).sum() / np.sum(truth) < 0.06


def test_a_booster_of_days_knows_the_weekday_at_a_horizon_of_whole_weeks() -> None:
    series = {f"s{s}/p": [float(round(v * (s + 1) / 2)) for v in past(150)] for s in range(4)}
    recipe = recipe_of(frequency="day", horizon=42, step=42, global_model=True, trees=40, history_periods=150)
    frame = Frame(recipe, END, 150)
    panel = frame.panel(packed_of(series, end=END, reach=42))
    days = frame.days(panel)
    passed = Past.of(panel, frequency="day")
    booster = train_here(lessons(panel, passed, days, codes={}, recipe=recipe), recipe=recipe, seed=1, codes={})
    said = booster.forecast(panel, passed, days, cut=150, recipe=recipe)
    truth = np.array([[units(END + k) * (s + 1) / 2 for k in range(1, 43)] for s in range(4)])
    assert np.abs(said - truth).sum() / truth.sum() < 0.1


def test_closed_days_are_zero_and_no_demand() -> None:
    sundays = [float((p + 3) % 7 == 6) for p in range(END - 69, END + 15)]
    open_days = [0.0 if c else 10.0 for c in sundays[:70]]
    packed = packed_of({"a/x": open_days}, end=END, reach=14)
    packed["closed"] = [sundays]
    found = daily(packed, periods=70)
    assert found["mean"].tolist() == pytest.approx([0.0 if c else 10.0 for c in sundays[70:]])
    assert (found.loc[found["mean"] == 0, "hi_95"] == 0).all()


def test_an_unforeseen_sale_on_a_closed_day_counts() -> None:
    packed = packed_of({"a/x": [5.0, 5.0, 5.0]}, end=END, reach=2)
    packed["closed"] = [[0.0, 1.0, 0.5, 0.0, 0.0]]
    frame = Frame(recipe_of(frequency="day"), END, 3)
    panel = frame.panel(packed)
    assert panel.y.tolist() == [[5.0, 5.0, 5.0]]
    assert panel.opened().y.tolist() == [[5.0, 5.0, 10.0]], "half a day open, half of what a day would sell"


def test_a_holiday_is_known_by_those_before_it() -> None:
    events = (END - 60, END - 33, END - 9, END + 3)
    values = [2.0 * v if p in events else v for p, v in zip(range(END - 199, END + 1), past(200), strict=True)]
    found = daily(packed_of({"a/x": values}, end=END, reach=14), periods=200, events=events)
    usual = np.mean(PATTERN)
    at_holidays = [values[199 + e - END] for e in events[:3]]
    assert found["mean"][2] == pytest.approx(np.mean(at_holidays), rel=0.15)
    np.testing.assert_allclose(found["mean"].drop(2), [units(END + k) for k in range(1, 15) if k != 3], rtol=0.05)
    assert abs(found["mean"][2] - usual) > 1


def test_holidays_nobody_knows_are_left_to_the_model() -> None:
    said = np.full((1, 1, 3), 4.0)
    events = np.array([[False] * 8 + [True, False, False]])
    found = with_holidays(said, np.full((1, 8), 4.0), events=events, cuts=[8], season=7, products=np.array([0]))
    assert found.tolist() == [[[4.0, 4.0, 4.0]]]


def test_means_of_weekdays_heed_the_promotion() -> None:
    y = np.array([[10.0] * 28 + [30.0] * 7 + [10.0] * 7])
    promoted = np.array([[False] * 28 + [True] * 7 + [False] * 7 + [True, False]])
    found = recent_means(y, lambda cut: promoted[:, : cut + 2], cuts=[42], reach=2, season=7)
    plain = (5 * 10.0 + 30.0) / 6
    assert found[0, 0].tolist() == pytest.approx([(30.0 + 2 * plain) / 3, (5 * 10.0 + 2 * plain) / 7])


def features_of(panel: Panel, *, target: int, lead: int) -> np.ndarray:
    recipe = recipe_of(frequency="day", global_model=True, horizon=9, history_periods=60)
    days = Days.of(panel.numbers, clock=recipe.clock, events=[int(panel.numbers[9])], easters=[])
    opened = panel.opened()
    past = Past.of(opened, frequency="day")
    return matrix(opened, past, days, target=target, lead=lead, codes={}, recipe=recipe)


@pytest.mark.parametrize(("target", "lead"), [(40, 1), (44, 5), (52, 9), (30, 7)])
def test_no_feature_of_days_knows_what_comes(target: int, lead: int) -> None:
    rng = np.random.default_rng(2)
    ours = panel_of({f"s{s}/p{s % 2}": [float(v) for v in rng.poisson(5, 45)] for s in range(4)}, end=END, reach=9)
    last, later = target - lead, np.arange(54) > target - lead
    theirs = replace(
        ours, y=np.where(later[:45], 999.0, ours.y), peer_y=np.where(later, 999.0, ours.peer_y),
        paid={name: np.where(later, 1.0, ours.paid[name]) for name in PAID},
    )  # fmt: skip
    assert last < target
    mine, other = (features_of(panel, target=target, lead=lead) for panel in (ours, theirs))
    assert mine.shape == (4, len(names_of("day")))
    np.testing.assert_array_equal(mine, other)


def test_a_store_has_the_holidays_of_its_own_calendar() -> None:
    recipe = recipe_of(frequency="day")
    frame = Frame(recipe, END, 20, (END + 1,), store_events={"b": (END + 2,)})
    panel = frame.panel(packed_of({"a/x": [1.0] * 20, "b/x": [1.0] * 20}, end=END))
    found = frame.days(panel).by_name["is_event"]
    assert found[:, -2:].tolist() == [[1.0, 0.0], [0.0, 1.0]]
