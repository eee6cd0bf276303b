from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from retail_spark.domains.recommend.models.blend import (
    PRODUCT_FEATURES,
    STRATEGIES,
    Blend,
    Customers,
    Products,
    Ranking,
    Recipe,
    confident,
    fold_in,
    rank_products,
)
from retail_spark.domains.recommend.served import Asked, ServedModel, requests_of
from retail_spark.domains.recommend.settings import JobSettings
from retail_spark.stats.bootstrap import poisson_weights
from retail_spark.tables.silver import EVERYBODY_ELSE
from retail_spark.tables.values import DEFAULT_CUSTOMER

ORDERS = Blend(repurchase_powers={"orders": 1.0}, repurchase_scale=1.0, popularity_scale=0.1)


def catalogue(*popular: float, factors: list[list[float]] | None = None) -> Products:
    ids = np.asarray([f"p{at}" for at in range(len(popular))], dtype=object)
    values = np.asarray(popular, dtype=np.float32)
    given_factors = np.asarray(factors if factors is not None else [[0.0]] * len(popular), dtype=np.float32)
    return Products(ids, given_factors, dict.fromkeys(PRODUCT_FEATURES, values))


def shopper(bought: dict[int, float], factors: list[float] | None = None) -> Customers:
    places = np.asarray(list(bought), dtype=np.int32)
    orders = np.asarray(list(bought.values()), dtype=np.float32)
    own = np.asarray([factors if factors is not None else [0.0]], dtype=np.float32)
    return Customers(own, np.zeros(len(bought), dtype=np.int32), places, orders, orders)


def strategies(found: Ranking) -> list[str]:
    return [STRATEGIES[code] for code in found.strategies[0]]


def test_what_was_bought_most_comes_first_and_the_popular_fill_up() -> None:
    found = rank_products(shopper({2: 3, 0: 1}), catalogue(0.1, 0.9, 0.2, 0.5), blend=ORDERS, k=4, only_new=False)
    assert found.places[0].tolist() == [2, 0, 1, 3]
    assert strategies(found) == ["repurchase", "repurchase", "popular", "popular"]


def test_only_new_leaves_out_what_was_bought_and_ends_the_list() -> None:
    found = rank_products(shopper({2: 3, 0: 1}), catalogue(0.1, 0.9, 0.2, 0.5), blend=ORDERS, k=4, only_new=True)
    assert found.places[0, :2].tolist() == [1, 3]
    assert (found.scores[0] >= 0).tolist() == [True, True, False, False]


def test_k_beyond_the_catalogue_gives_all_products() -> None:
    found = rank_products(shopper({}), catalogue(0.1, 0.9), blend=Blend(), k=50, only_new=False)
    assert found.places.tolist() == [[1, 0]]


def test_als_is_multiplied_by_trend() -> None:
    products = catalogue(0.0, 99.7, factors=[[1.0], [0.2]])
    plain = Blend(als_scale=1.0, popularity_scale=0.0)
    trendy = Blend(als_scale=1.0, als_trend_power=0.5, popularity_scale=0.0)
    anybody = shopper({}, factors=[1.0])
    assert rank_products(anybody, products, blend=plain, k=1, only_new=False).places.tolist() == [[0]]
    best = rank_products(anybody, products, blend=trendy, k=1, only_new=False)
    assert (best.places.tolist(), strategies(best)) == ([[1]], ["als"])
    assert best.scores[0, 0] == pytest.approx(0.2 * 10, rel=1e-5)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 12))
def test_the_best_are_those_of_a_full_sort_and_ties_go_to_the_smaller_product(tenths: list[int], k: int) -> None:
    products = catalogue(*[x / 10 for x in tenths])
    found = rank_products(shopper({}), products, blend=Blend(), k=k, only_new=False)
    assert found.places[0].tolist() == sorted(range(len(tenths)), key=lambda at: (-tenths[at], at))[:k]


def test_differences_below_a_millionth_are_ties() -> None:
    products = catalogue(0.5, np.nextafter(np.float32(0.5), np.float32(1)))
    assert rank_products(shopper({}), products, blend=Blend(), k=2, only_new=False).places.tolist() == [[0, 1]]


def test_a_recipe_survives_json_and_a_foreign_one_is_refused() -> None:
    recipe = JobSettings().recipe()
    assert Recipe.from_json(recipe.to_json()) == recipe
    with pytest.raises(ValueError, match="momentum"):
        Recipe.from_json({**recipe.to_json(), "momentum": 1})


def test_an_unknown_feature_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="colour"):
        JobSettings(repurchase_powers={"colour": 1.0})


def test_bootstrap_weights_depend_on_the_customer_alone_and_look_like_poisson() -> None:
    keys = np.arange(-500, 500, dtype=np.int64) * 7_919
    weights = poisson_weights(keys, replicates=100)
    assert (weights[:, 0] == 1).all()
    shuffled = poisson_weights(keys[::-1], replicates=100)[::-1]
    np.testing.assert_array_equal(weights, shuffled)
    drawn = weights[:, 1:]
    assert drawn.mean() == pytest.approx(1.0, abs=0.02)
    assert drawn.var() == pytest.approx(1.0, abs=0.03)
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.1


@pytest.fixture
def served() -> ServedModel:
    arrays = {
        "product_factors": np.asarray([[1, 0], [0, 1], [1, 1]], dtype=np.float32),
        "product_features": np.asarray([[3.0] * 6, [2.0] * 6, [1.0] * 6], dtype=np.float32),
        "customer_factors": np.asarray([[0, 1]], dtype=np.float32),
        "starts": np.asarray([0, 1]),
        "places": np.asarray([2], dtype=np.int32),
        "orders": np.asarray([4], dtype=np.float32),
        "decayed": np.asarray([2], dtype=np.float32),
        "is_shown": np.ones(3, dtype=np.bool_),
        "categories": np.zeros(3, dtype=np.int64),
    }
    return ServedModel(
        JobSettings().recipe(), 2, ["ann"], ["a", "b", "c"], arrays, {"customers": 2.0, "mean_orders": 3.0}
    )


def test_the_served_model_answers_known_customers_and_strangers(served: ServedModel, tmp_path: Path) -> None:
    lists = ServedModel.load(served.save(tmp_path)).lists([Asked("ann"), Asked("nobody")])
    rows = {(r.list, r.customer_id, r.rank): (r.product_id, r.strategy) for r in lists.itertuples()}
    assert rows["all", "ann", 1] == ("c", "repurchase")
    assert rows["discover", "ann", 1] == ("b", "als")
    assert [rows["all", "nobody", rank] for rank in (1, 2)] == [("a", "popular"), ("b", "popular")]
    assert len(rows) == len(lists) == 8


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=80),
    st.integers(1, 12),
    st.integers(1, 3),
)
def test_a_quota_is_the_greedy_list(rows: list[tuple[int, int]], k: int, quota: int) -> None:
    products = dataclasses.replace(
        catalogue(*[tenth / 10 for tenth, _ in rows]), categories=np.asarray([category for _, category in rows])
    )
    found = rank_products(shopper({}), products, blend=Blend(), k=k, only_new=False, quota=quota)
    expected: list[int] = []
    for at in sorted(range(len(rows)), key=lambda at: (-rows[at][0], at)):
        if sum(rows[other][1] == rows[at][1] for other in expected) < quota and len(expected) < k:
            expected.append(at)
    assert found.places[0][found.scores[0] >= 0].tolist() == expected


def test_the_best_of_a_wide_catalogue_equal_a_full_sort() -> None:
    """Wide enough that most scores are never sorted."""
    rng = np.random.default_rng(3)
    factors = rng.normal(size=(9_000, 4)).astype(np.float32)
    products = Products(
        np.asarray([f"p{at:05d}" for at in range(9_000)], dtype=object),
        factors,
        dict.fromkeys(PRODUCT_FEATURES, np.zeros(9_000, dtype=np.float32)),
    )
    people = rng.normal(size=(70, 4)).astype(np.float32)
    none = np.zeros(0, dtype=np.int32)
    customers = Customers(people, none, none, none.astype(np.float32), none.astype(np.float32))
    found = rank_products(customers, products, blend=Blend(als_scale=1.0, popularity_scale=0.0), k=20, only_new=True)
    exact = people.astype(np.float64) @ factors.astype(np.float64).T
    for at in range(70):
        best = np.sort(exact[at])[::-1][:20]
        np.testing.assert_allclose(exact[at][found.places[at]], best, rtol=3e-6)


def test_a_stranger_with_recent_purchases_gets_more_than_the_popular(served: ServedModel) -> None:
    lists = served.lists([Asked("new", recent=("b", "b", "unheard of"))])
    first = lists[(lists.list == "all") & (lists["rank"] == 1)].iloc[0]
    assert (first.product_id, first.strategy) == ("b", "repurchase")
    assert set(lists[lists.list == "discover"].product_id) == {"a", "c"}
    assert "als" in set(lists[lists.list == "discover"].strategy)


def test_bm25_weighs_the_rare_more_and_saturates() -> None:
    market = {"customers": 1000.0, "mean_orders": 4.0}
    one, many = np.asarray([1.0, 1.0]), np.asarray([100.0, 1.0])
    rare, common = confident(one, np.asarray([2.0, 900.0]), confidence="bm25", market=market)
    assert rare > 10 * common > 0
    saturated = confident(many, np.asarray([2.0, 2.0]), confidence="bm25", market=market)
    assert saturated[0] < 40 * saturated[1]
    assert confident(one, one, confidence="log", market=market).tolist() == pytest.approx([np.log(2)] * 2)


def test_explicit_fold_in_is_ridge_regression() -> None:
    recipe = JobSettings(rank=2, feedback="explicit", reg_param=0.5).recipe()
    items = np.asarray([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    found = fold_in(items, np.eye(2), np.asarray([3.0, 4.0]), recipe=recipe)
    assert found.tolist() == pytest.approx([3 / (1 + 1), 8 / (4 + 1)])


def test_a_blend_may_leave_out_what_was_bought_in_list_all_too() -> None:
    blend = dataclasses.replace(ORDERS, leaves_out_bought=True)
    found = rank_products(shopper({2: 3, 0: 1}), catalogue(0.1, 0.9, 0.2, 0.5), blend=blend, k=4, only_new=False)
    assert found.places[0][found.scores[0] >= 0].tolist() == [1, 3]


def with_rules(served: ServedModel, *, is_shown: list[bool], quota: int | None = None) -> ServedModel:
    return dataclasses.replace(served, arrays={**served.arrays, "is_shown": np.asarray(is_shown)}, quota=quota)


def shown_by(served: ServedModel, *asked: Asked) -> set[tuple[str, str]]:
    return {(row.customer_id, row.product_id) for row in served.lists(asked).itertuples()}


def test_the_served_model_shows_nothing_that_the_rules_forbid(served: ServedModel) -> None:
    """Not to a customer who bought it (ann, c), not to a stranger, not when it was bought since, not when asked for."""
    ruled = with_rules(served, is_shown=[True, True, False])
    asked = Asked("ann"), Asked("nobody"), Asked("new", ("c",)), Asked("picky", ("a",), ("c", "b"))
    shown = shown_by(ruled, *asked)
    assert {product for _, product in shown} == {"a", "b"}
    assert {product for who, product in shown if who == "picky"} == {"b"}
    as_before, now = (model.lists([Asked("new", ("c",))]).query("list == 'discover'") for model in (served, ruled))
    assert as_before.score.tolist() == now.score.tolist(), "what is forbidden still says who bought it"


def test_the_served_model_keeps_the_quota(served: ServedModel) -> None:
    ruled = with_rules(served, is_shown=[True] * 3, quota=1)
    assert ruled.lists([Asked("ann"), Asked("nobody")]).groupby(["customer_id", "list"]).size().tolist() == [1] * 4


def test_a_model_of_an_older_version_is_loaded_without_rules(served: ServedModel, tmp_path: Path) -> None:
    files = served.save(tmp_path)
    older = ServedModel.load({name: file for name, file in files.items() if name not in ("is_shown", "categories")})
    pd.testing.assert_frame_equal(older.lists([Asked("ann")]), served.lists([Asked("ann")]))


def test_candidates_are_ranked_all_of_them_and_in_the_order_of_the_whole_list(served: ServedModel) -> None:
    found = served.lists([Asked("ann", candidates=("b", "c", "a", "unheard of")), Asked("bob")])
    ann = found[(found.customer_id == "ann") & (found.list == "all")]
    assert ann["rank"].tolist() == [1, 2, 3], "the model's own k is 2"
    assert ann.product_id.tolist()[:2] == served.lists([Asked("ann")]).query("list == 'all'").product_id.tolist()
    assert served.lists([Asked("ann", candidates=("unheard of",))]).empty


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (pd.DataFrame({"customer_id": ["ann", "ann"]}), [Asked("ann")]),
        (pd.DataFrame({"customer_id": ["ann", None]}), [Asked("ann"), Asked(DEFAULT_CUSTOMER)]),
        (pd.DataFrame({"customer_id": [12346, None]}), [Asked("12346"), Asked(DEFAULT_CUSTOMER)]),
        ({"customer_id": "12346"}, [Asked("12346")]),
        ({"customer_id": ["12346", "ann"]}, [Asked("12346"), Asked("ann")]),
        (pd.DataFrame([{"customer_id": ["12346", "ann"]}]), [Asked("12346"), Asked("ann")]),
        ({"customer_id": "ann", "recent_product_ids": ["a", "b"]}, [Asked("ann", ("a", "b"))]),
        (
            {"customer_id": ["ann", "bob"], "recent_product_ids": [["a"], None]},
            [Asked("ann", ("a",)), Asked("bob")],
        ),
        (
            pd.DataFrame([{"customer_id": ["ann", "bob"], "recent_product_ids": [["a"], None]}]),
            [Asked("ann", ("a",)), Asked("bob")],
        ),
        (
            pd.DataFrame({"customer_id": ["ann"], "recent_product_ids": [np.asarray(["a"], dtype=object)]}),
            [Asked("ann", ("a",))],
        ),
        (
            pd.DataFrame({"customer_id": [None], "recent_product_ids": [["a"]], "candidate_product_ids": [["b"]]}),
            [Asked(DEFAULT_CUSTOMER, ("a",), ("b",))],
        ),
        (pd.DataFrame({"customer_id": ["ann"], "recent_product_ids": [float("nan")]}), [Asked("ann")]),
    ],
)  # fmt: skip
def test_what_a_request_means(asked: object, expected: list[Asked]) -> None:
    assert requests_of(asked) == expected  # type: ignore[arg-type]


def test_one_customer_twice_with_different_events_is_told() -> None:
    asked = pd.DataFrame({"customer_id": ["ann", "ann"], "recent_product_ids": [["a"], ["b"]]})
    with pytest.raises(ValueError, match="customer ann is asked for twice"):
        requests_of(asked)
    with pytest.raises(ValueError, match=r"no column customer_id; it has: customer"):
        requests_of(pd.DataFrame({"customer": ["ann"]}))


def test_who_is_not_known_has_the_id_that_no_customer_may_have() -> None:
    assert DEFAULT_CUSTOMER == EVERYBODY_ELSE


def test_a_fresh_order_counts_what_orders_count(served: ServedModel) -> None:
    """Ratings as confidence: a product that is told of counts as a usual rating, not as the worst one."""
    rated = dataclasses.replace(served, market={**served.market, "order_weight": 4.0})
    plain, heavy = (model.lists([Asked("new", ("b",))]).query("product_id == 'b'").score for model in (served, rated))
    assert heavy.iloc[0] > plain.iloc[0]
