"""No feature knows more than the last known period and the plans of then; to a booster other products do not matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_spark.domains.forecast.features.matrix import NAMES, Days, Past, matrix
from retail_spark.domains.forecast.models.global_booster import Booster, lessons, smear_of, train_here
from retail_spark.domains.forecast.series.panel import PAID, Panel
from tests.unit.forecast.shop import panel_of, recipe_of

PERIODS, FUTURE = 30, 4
RECIPE = recipe_of(global_model=True, trees=5, horizon=3, gap=1)


def panel(seed: int = 0) -> Panel:
    rng = np.random.default_rng(seed)
    series = {f"s{s}/p{p}": [float(x) for x in rng.poisson(3 + p, PERIODS)] for s in range(3) for p in range(4)}
    found = panel_of(series, reach=FUTURE)
    shape = (found.size, PERIODS + FUTURE)
    known = np.tile(np.arange(PERIODS + FUTURE) - rng.integers(0, 6, shape[1]), (found.size, 1))
    prices = {name: rng.uniform(0.5, 2.0, shape) for name in PAID}
    peers = rng.uniform(0.5, 2.0, shape)
    return replace(
        found, planned=prices, paid=prices, known=known, peer_price=peers, peer_y=peers, peer_plan=peers * 1.1,
        peer_known=known[:, ::-1],
    )  # fmt: skip


def days(found: Panel) -> Days:
    numbers = found.numbers
    return Days.of(numbers, clock=RECIPE.clock, events=[int(numbers[7]), int(numbers[31])], easters=[])


@settings(max_examples=30)
@given(lead=st.integers(1, 4), target=st.integers(10, PERIODS + FUTURE - 1), seed=st.integers(0, 5))
def test_what_is_sold_or_planned_later_is_in_no_feature(lead: int, target: int, seed: int) -> None:
    last = min(target - lead, PERIODS - 1)
    ours = panel(seed)
    later = np.arange(PERIODS + FUTURE) > last
    is_secret = later & (ours.known > last)
    y = np.where(later[:PERIODS], 999.0, ours.y)
    spoilt = replace(
        ours,
        y=y,
        paid={name: np.where(later, 999.0, values) for name, values in ours.paid.items()},
        planned={name: np.where(is_secret, 999.0, values) for name, values in ours.planned.items()},
        peer_price=np.where(later, 999.0, ours.peer_price),
        peer_plan=np.where(later & (ours.peer_known > last), 999.0, ours.peer_plan),
        peer_y=np.where(later, 999.0, ours.peer_y),
    )
    given_to = {"target": last + lead, "lead": lead, "codes": {}, "recipe": RECIPE}
    np.testing.assert_array_equal(
        matrix(ours, Past.of(ours), days(ours), **given_to), matrix(spoilt, Past.of(spoilt), days(spoilt), **given_to)
    )


def test_a_row_has_every_feature_by_name() -> None:
    ours = panel()
    codes = {"product_id": {f"p{n}": n for n in range(4)}}
    x = matrix(ours, Past.of(ours), days(ours), target=PERIODS + 1, lead=2, codes=codes, recipe=RECIPE)
    assert x.shape == (ours.size, len(NAMES))
    assert x[:, NAMES.index("product_id")].tolist() == [0, 1, 2, 3] * 3
    assert x[0, NAMES.index("is_event")] == 1.0
    assert x[0, NAMES.index("lead")] == 2.0


def booster_of(found: Panel) -> tuple[Booster, Days]:
    told = days(found)
    rows = lessons(found, Past.of(found), told, codes={}, recipe=RECIPE)
    assert rows.target.max() < PERIODS
    return train_here(rows, recipe=RECIPE, seed=1, codes={}), told


def test_a_booster_serves_what_was_never_sold_and_forgets_no_other_product() -> None:
    found = panel()
    booster, told = booster_of(found)
    newcomer = replace(found, y=np.where(np.arange(found.size)[:, None] == 5, np.nan, found.y))
    said = booster.forecast(newcomer, Past.of(newcomer), told, cut=PERIODS, recipe=RECIPE)
    alone = booster.forecast(found, Past.of(found), told, cut=PERIODS, recipe=RECIPE)
    assert np.isnan(said[:, 0]).all(), "the gap is not foretold"
    assert (said[5, 1:] > 0).all()
    others = (found.keys["product_id"] != found.keys["product_id"][5]).to_numpy()
    np.testing.assert_array_equal(said[others], alone[others])


@settings(max_examples=12)
@given(share=st.floats(0.05, 0.95), seed=st.integers(0, 3))
def test_drawn_lessons_are_some_of_all_lessons_whichever_series_lie_together(share: float, seed: int) -> None:
    found = panel(seed)
    every = told_by(found)
    drawn = told_by(found, share=share)
    assert drawn.items() <= every.items()
    by_period = {(product, period) for _, product, period, _ in every}
    taken = {(product, period) for _, product, period, _ in drawn}
    assert 0 < len(taken) < len(by_period)
    assert len(drawn) == sum((product, period) in taken for _, product, period, _ in every), "all stores of a product"
    apart: dict[tuple[str, str, int, int], tuple[float, ...]] = {}
    for product in sorted(set(found.keys["product_id"])):
        apart |= told_by(found.rows((found.keys["product_id"] == product).to_numpy()), share=share)
    assert apart == drawn


def told_by(found: Panel, *, share: float = 1.0) -> dict[tuple[str, str, int, int], tuple[float, ...]]:
    """Lessons by store, product, period and lead."""
    rows = lessons(found, Past.of(found), days(found), codes={}, recipe=RECIPE, share=share)
    keys = found.keys.loc[rows.series.astype(int)]
    names = zip(keys["store_id"], keys["product_id"], rows.target.astype(int), rows.lead.astype(int), strict=True)
    values = np.nan_to_num(np.column_stack([rows.x, rows.ratio, rows.weight]), nan=-99.0)
    return dict(zip(names, map(tuple, values.tolist()), strict=True))


def test_the_smear_is_what_was_missed_within_reason() -> None:
    assert smear_of([]) == 1.0
    assert smear_of([(110.0, 100.0), (110.0, 100.0)]) == 1.1
    assert smear_of([(900.0, 100.0)]) == 1.5
