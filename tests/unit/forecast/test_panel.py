"""What is known of a series, what is not, and what classes they fall into."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from retail_spark.domains.forecast.backtest import class_of, demand_classes
from retail_spark.domains.forecast.candidates import chosen_rows, prior_sums, priors_of, tried_rows
from retail_spark.domains.forecast.outputs import forecast_rows
from retail_spark.domains.forecast.series.frame import Frame
from retail_spark.domains.forecast.series.panel import NEVER, PAID, PLANNED, to_panel
from retail_spark.domains.forecast.settings import JobSettings
from tests.unit.forecast.shop import block, packed_of, panel_of, recipe_of

nan = float("nan")


def test_a_gap_is_zero_once_listed_and_unknown_out_of_stock() -> None:
    packed = packed_of({"a/x": [1.0, nan, nan, 4.0, nan, 6.0]})
    packed["first"] = 96
    packed.at[0, "out"] = [nan, nan, nan, nan, 1.0, 0.0]
    y = to_panel(packed, end=100, periods=6, future=2).y[0].tolist()
    assert math.isnan(y[0]), "not listed yet"
    assert y[1:4] == [0.0, 0.0, 4.0]
    assert math.isnan(y[4]), "no sale can be made of what is not there"
    assert y[5] == 6.0
    missing = to_panel(packed, end=100, periods=6, future=2, gaps="missing").y[0]
    assert np.isnan(missing[[0, 1, 2, 4]]).all()


def test_a_plan_counts_only_from_the_day_it_was_known() -> None:
    packed = packed_of({"a/x": [1.0] * 6})
    packed.at[0, "period"] = [*range(95, 101), 101, 102]
    for name in ("quantity", "out", *PAID, *PLANNED):
        packed.at[0, name] = [*packed.at[0, name], nan, nan]
    packed.at[0, "price"] = [2.0] * 6 + [nan, nan]
    packed.at[0, "planned_price"] = [nan] * 6 + [1.0, 1.5]
    packed.at[0, "known"] = [nan] * 6 + [100.0, 101.0]
    panel = to_panel(packed, end=100, periods=6, future=2)
    assert panel.known[0].tolist() == [NEVER] * 6 + [5, 6]
    assert panel.covariate("price", cut=6, start=4, stop=8)[0].tolist() == [2.0, 2.0, 1.0, 2.0], (
        "then the regular price"
    )
    assert panel.covariate("price", cut=5, start=4, stop=8)[0].tolist() == [2.0, 2.0, 2.0, 2.0]


def test_after_the_last_known_plan_the_regular_price_holds() -> None:
    """A cut that runs until the end of what is known, or of what is planned, is not carried on; a rise is."""
    prices = block([3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, nan, nan], [3, 3, 3, 3, 3, 3, 3, 4, nan, 4, nan, 2, nan],
                   [nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, 5, nan])  # fmt: skip
    blank = np.full_like(prices, nan)
    ours = panel_of({f"s/p{n}": [1.0] * 10 for n in range(3)}, reach=3)
    ours = replace(
        ours, planned=dict.fromkeys(PAID, blank) | {"price": prices}, paid=dict.fromkeys(PAID, blank),
        known=np.zeros((3, 13), dtype=np.int64),
    )  # fmt: skip
    told = ours.covariate("price", cut=10, start=0, stop=13)[:, 8:].tolist()
    assert told == [[2, 2, 2, 3, 3], [4, 4, 4, 2, 4], [5, 5, 5, 5, 5]]


def test_classes() -> None:
    recipe = recipe_of(new_periods=4, dead_periods=6)
    series = {
        "a/smooth": [5.0, 6.0] * 10, "a/erratic": [1.0, 30.0] * 10, "a/intermittent": [0.0, 0.0, 3.0, 3.0] * 5,
        "a/lumpy": [0.0, 0.0, 1.0, 40.0] * 5, "a/new": [2.0, 3.0], "a/dead": [4.0] * 12 + [0.0] * 8,
    }  # fmt: skip
    found = demand_classes(panel_of(series), recipe=recipe)
    assert [class_of(str(name)) for name in found] == [name.split("/")[1] for name in series]
    assert found[4] == "new_2", "with its age"
    closed = demand_classes(panel_of({"a/x": [5.0] * 20}, is_closed=True), recipe=recipe)
    assert list(closed) == ["dead"]


def forecasts(packed: pd.DataFrame, **given: object) -> pd.DataFrame:
    frame = Frame(recipe_of(**given), end=100, periods=30)
    tried = tried_rows(packed, frame, [])
    chosen = chosen_rows(tried, frame, priors_of(prior_sums(tried, frame)))
    return forecast_rows(chosen, frame, {}).assign(reason=np.repeat(chosen["reason"].to_numpy(), 2))


GOOD = {"a/good": [float(4 + t % 3) for t in range(30)], "b/good": [float(9 + t % 2) for t in range(30)]}


def test_poison_is_a_row_with_a_status_and_its_neighbours_are_untouched() -> None:
    poison = {
        "p/null": [nan] * 30, "p/constant": [7.0] * 30, "p/point": [nan] * 29 + [3.0],
        "p/infinite": [1.0] * 29 + [float("inf")], "p/enormous": [1.0] * 29 + [1e15],
    }  # fmt: skip
    clean = forecasts(packed_of(GOOD), prior_points=0)
    packed = packed_of(GOOD | poison)
    packed.loc[packed["product_id"].isin(["null", "point"]), "first"] = [101, 100]
    found = forecasts(packed, prior_points=0)
    numbers = ["mean", "p10", "p50", "p90", "lo_95", "hi_95"]
    kept = found[found["product_id"] == "good"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept[numbers], clean[numbers])
    bad = found[found["product_id"] != "good"].groupby("product_id").first()
    assert np.isfinite(found[numbers]).all().all()
    assert bad.loc[["enormous", "infinite", "null"], "status"].tolist() == ["failed"] * 3
    assert bad.loc[["enormous", "infinite", "null"], "model"].tolist() == ["fallback_mean"] * 3
    assert bad.loc["infinite", "error"] == "a quantity is infinite"
    assert bad.loc["null", "mean"] == 2.0, "what its peers sell"
    assert bad.loc["constant", "mean"] == 7.0
    assert bad.loc["point", "mean"] == 3.0


def test_a_closed_store_sells_nothing_more() -> None:
    found = forecasts(packed_of(GOOD, is_closed=True))
    assert set(found["model"]) == {"zero"}
    assert (found[["mean", "hi_95"]] == 0).all().all()
    assert set(found["status"]) == {"ok"}


def test_whatever_the_order_of_series_and_rows_the_forecasts_are_the_same() -> None:
    packed = packed_of(GOOD)
    pd.testing.assert_frame_equal(forecasts(packed), forecasts(packed.iloc[::-1]))


def test_a_trend_goes_on() -> None:
    packed = packed_of({"a/x": [float(t + 1) for t in range(130)]})
    frame = Frame(recipe_of(horizon=2, models=JobSettings().models), end=100, periods=130)
    tried = tried_rows(packed, frame, [])
    chosen = chosen_rows(tried, frame, priors_of(prior_sums(tried, frame)))
    found = forecast_rows(chosen, frame, {})
    np.testing.assert_allclose(found["mean"], [131.0, 132.0], atol=0.5)
