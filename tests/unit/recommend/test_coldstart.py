"""Who and what the factors do not know, which products may be shown, and what goes together."""

from __future__ import annotations

from collections import Counter
from datetime import date
from itertools import combinations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.domains.recommend.cold_start import (
    to_content_neighbours,
    to_lent_factors,
    to_place_lists,
    with_explored,
    with_strangers,
)
from retail_spark.domains.recommend.eligibility import only_allowed, only_in_range, to_margins, to_stocked
from retail_spark.domains.recommend.evaluate import to_spread
from retail_spark.domains.recommend.off_policy import to_off_policy
from retail_spark.domains.recommend.settings import JobSettings
from retail_spark.domains.recommend.similar_items import count_pairs, to_together
from retail_spark.frames.local_rows import frame_of_rows

DAY = date(2024, 1, 31)
_LISTS = "list string, customer_id string, rank int, product_id string, score double, strategy string"
_CATALOGUE = (
    "product_id string, product_name string, category string, subcategory string, brand string, unit_cost double, "
    "introduced_on date, discontinued_on date"
)


def catalogue(spark: SparkSession, *rows: tuple[object, ...]) -> DataFrame:
    """Products from (id, name, category, cost, introduced, discontinued)."""
    full = [(p, name, category, None, None, cost, since, until) for p, name, category, cost, since, until in rows]
    return frame_of_rows(spark, full, _CATALOGUE)


def bought(spark: SparkSession, *rows: tuple[str, str, str, int]) -> DataFrame:
    """Purchases from (place, customer, product, day of January)."""
    full = [(place, customer, product, date(2024, 1, day)) for place, customer, product, day in rows]
    return frame_of_rows(spark, full, "place string, customer_id string, product_id string, day date")


def test_a_place_has_its_own_popular_products_when_enough_people_bought_there(spark: SparkSession) -> None:
    purchases = bought(
        spark,
        ("north", "ann", "milk", 1),
        ("north", "bob", "milk", 1),
        ("north", "bob", "tea", 31),
        ("south", "cid", "rum", 31),
    )
    found = to_place_lists(purchases, until=DAY, half_life_days=10.0, min_customers=2, k=5).collect()
    rows = {(r.place, r["rank"]): (r.product_id, round(r.score, 3)) for r in found}
    assert rows == {("north", 1): ("tea", 1.0), ("north", 2): ("milk", 2 * 0.125)}, "one buyer is no southern taste"


def test_the_popular_products_of_a_place_keep_the_quota(spark: SparkSession) -> None:
    purchases = bought(
        spark, ("n", "ann", "red", 31), ("n", "bob", "red", 31), ("n", "ann", "white", 30), ("n", "ann", "tea", 1)
    ).withColumn("category", F.when(F.col("product_id") == "tea", "tea").otherwise("wine"))
    found = to_place_lists(purchases, until=DAY, half_life_days=10.0, min_customers=1, k=5, quota=1)
    assert [(r["rank"], r.product_id) for r in found.orderBy("rank").collect()] == [(1, "red"), (2, "tea")]


def test_strangers_get_their_store_else_their_region_else_everybodys_products(spark: SparkSession) -> None:
    known = frame_of_rows(
        spark,
        [("ann", "s1", "north"), ("bob", "closed", "north"), ("cid", None, None), ("old", "s1", "north")],
        "customer_id string, home_store_id string, region string",
    )
    lists = frame_of_rows(spark, [("all", "old", 1, "x", 1.0, "als")], _LISTS)
    default = frame_of_rows(
        spark, [(1, "any", 1.0, "popular")], "rank int, product_id string, score double, strategy string"
    )
    places = "place string, rank int, product_id string, score double"
    rows = with_strangers(
        lists,
        known=known,
        default=default,
        names=("all",),
        by_store=frame_of_rows(spark, [("s1", 1, "local", 1.0)], places),
        by_region=frame_of_rows(spark, [("north", 1, "regional", 1.0)], places),
    ).collect()
    assert {(r.customer_id, r.product_id, r.strategy, r.store_id) for r in rows} == {
        ("old", "x", "als", None),
        ("ann", "local", "popular_store", "s1"),
        ("bob", "regional", "popular_region", None),
        ("cid", "any", "popular", None),
        ("*", "any", "popular", None),
    }


def test_a_new_product_borrows_the_factors_of_products_like_it(spark: SparkSession) -> None:
    known = catalogue(
        spark,
        ("p1", "Green tea large", "tea", None, None, None),
        ("p2", "Green tea small", "tea", None, None, None),
        ("p3", "Garden chair", "garden", None, None, None),
    )
    numbered = known.withColumn("product_no", F.substring("product_id", 2, 1).cast("int")).withColumn(
        "buyers", F.lit(5.0)
    )
    new = catalogue(spark, ("n", "Green tea huge", "Tea", None, None, None))
    neighbours = to_content_neighbours(new, numbered, k=5)
    near = {r.neighbour_no: r.similarity for r in neighbours.collect()}
    assert set(near) == {1, 2}, "nothing in common with a chair"
    assert 0 < near[1] < 1
    assert near[1] == pytest.approx(near[2])
    factors = frame_of_rows(spark, [(1, [1.0, 0.0]), (2, [0.0, 1.0]), (3, [9.0, 9.0])], "id int, features array<float>")
    assert to_lent_factors(neighbours, factors).collect()[0].features == pytest.approx([0.5, 0.5])


def test_exploring_takes_the_last_places_and_shows_nothing_twice(spark: SparkSession) -> None:
    lists = frame_of_rows(
        spark,
        [
            ("discover", "ann", rank, product, 1.0 / rank, "als")
            for rank, product in ((1, "a"), (2, "b"), (3, "c"), (4, "d"))
        ]
        + [("discover", "bob", 1, "n1", 1.0, "content"), ("all", "ann", 1, "z", 1.0, "als")],
        _LISTS,
    )
    fresh = frame_of_rows(
        spark,
        [("discover", who, 1, "n1", 0.2, "content") for who in ("ann", "bob")]
        + [("discover", "ann", 2, "d", 0.1, "content")],
        _LISTS,
    )
    rows = with_explored(lists, fresh, name="discover", slots=2, k=4).collect()
    found = {(r["list"], r.customer_id, r["rank"]): (r.product_id, r.strategy) for r in rows}
    assert found == {
        ("discover", "ann", 1): ("a", "als"),
        ("discover", "ann", 2): ("b", "als"),
        ("discover", "ann", 3): ("n1", "explore"),
        ("discover", "ann", 4): ("d", "explore"),
        ("discover", "bob", 1): ("n1", "content"),
        ("all", "ann", 1): ("z", "als"),
    }


def test_lists_show_what_is_in_range_allowed_in_stock_and_earns_enough(spark: SparkSession) -> None:
    products = catalogue(
        spark,
        ("old", "", "tea", 1.0, None, date(2024, 1, 30)),
        ("now", "", "tea", 1.0, date(2024, 1, 1), None),
        ("soon", "", "tea", 1.0, date(2024, 2, 1), None),
        ("rum", "", "alcohol", 1.0, None, date(2024, 1, 31)),
        ("any", "", None, None, None, None),
    )
    assert ids(only_in_range(products, on=DAY)) == {"now", "rum", "any"}
    assert ids(only_allowed(products, excluded=("alcohol",))) == {"old", "now", "soon", "any"}
    inventory = frame_of_rows(
        spark,
        [("s", "now", 1, 5.0), ("s", "now", 2, 0.0), ("s", "rum", 2, 1.0), ("t", "old", 1, 0.0)],
        "store_id string, product_id string, date int, on_hand double",
    )
    assert ids(to_stocked(inventory)) == {"rum"}
    sales = frame_of_rows(
        spark,
        [
            ("1", "now", 1, 1.0, 4.0, None),
            ("2", "now", 2, 1.0, 2.0, None),
            ("3", "any", 1, 1.0, 2.0, 1.8),
            ("4", "x", 1, 1.0, 9.0, None),
        ],
        "sale_id string, product_id string, sold_at int, quantity double, unit_price double, unit_cost double",
    )
    margins = {r.product_id: r.margin for r in to_margins(sales, products).collect()}
    assert margins == {"now": pytest.approx(0.5), "any": pytest.approx(0.1)}, "the last price; no cost, no margin"


def test_products_in_the_same_baskets_have_cosine_lift_and_support(spark: SparkSession) -> None:
    a, b, c = 1, 2, 3
    baskets = [("1", a), ("1", b), ("2", a), ("2", b), ("3", a), ("4", c), ("4", b)]
    groups = frame_of_rows(spark, baskets, "group string, product_no int")
    rows = to_together(groups, min_support=2, most=100, k=5).collect()
    found = {(r.product_no, r.similar_no): (r.support, r.similarity, r.lift, r["rank"]) for r in rows}
    expected = (2, pytest.approx(2 / 3), pytest.approx(2 * 4 / 9), 1)
    assert found == {(a, b): expected, (b, a): expected}


def test_a_huge_basket_is_drawn_from_not_multiplied_out(spark: SparkSession) -> None:
    group = F.explode(F.array(F.lit("g"), F.lit("h"))).alias("group")
    groups = spark.range(200).select(group, F.col("id").cast("int").alias("product_no"))
    rows = to_together(groups, min_support=1, most=10, k=1000)
    assert rows.count() <= 2 * 2 * 45


@given(st.lists(st.sets(st.integers(0, 2**31 - 1), max_size=6), max_size=8))
def test_pairs_are_counted_as_by_hand(baskets: list[set[int]]) -> None:
    expected = Counter(pair for basket in baskets for pair in combinations(sorted(basket), 2))
    lists = pa.array([sorted(basket) for basket in baskets], type=pa.list_(pa.int32()))
    codes, counts = count_pairs(lists)
    pairs = zip((codes >> 31).tolist(), (codes & (2**31 - 1)).tolist(), strict=True)
    assert dict(zip(pairs, counts.tolist(), strict=True)) == expected


def test_spread_of_lists(spark: SparkSession) -> None:
    lists = frame_of_rows(
        spark, [("all/x", c, 1, "a", 1.0, "als") for c in ("1", "2")] + [("all/x", "1", 2, "b", 1.0, "als")], _LISTS
    )
    products = frame_of_rows(
        spark, [("a", 8.0), ("b", 1.0), ("c", 1.0), ("d", 1.0)], "product_id string, buyers double"
    )
    row = to_spread(lists, products, customers=8).collect()[0]
    assert (row.coverage, row.popularity_share) == (0.5, pytest.approx(2 / 3))
    assert row.gini == pytest.approx((2 * 3 - 5) * 1 / 12 + (2 * 4 - 5) * 2 / 12)
    assert row.novelty == pytest.approx((0 + 0 + 3) / 3)


def test_what_was_shown_often_does_not_count_more(spark: SparkSession) -> None:
    """The old policy showed the hit (propensity .8) more often than the miss (.2): naive overrates a list of both."""
    shown = [(f"a{n}", "ann", "a", DAY, 0.8) for n in range(8)] + [(f"b{n}", "ann", "b", DAY, 0.2) for n in range(2)]
    exposures = frame_of_rows(
        spark, shown, "exposure_id string, customer_id string, product_id string, shown_at date, propensity double"
    )
    purchases = frame_of_rows(
        spark,
        [("ann", "a", date(2024, 2, 2)), ("ann", "b", date(2024, 3, 30))],
        "customer_id string, product_id string, day date",
    )
    lists = frame_of_rows(
        spark,
        [("all", "ann", 1, "a"), ("all", "ann", 2, "b")],
        "list string, customer_id string, rank int, product_id string",
    )
    row = to_off_policy(exposures, purchases, lists, days=7).collect()[0]
    assert (row.matched, row.naive, row.snips) == (10, pytest.approx(0.8), pytest.approx(0.5))
    assert row.effective == pytest.approx(20.0**2 / (8 / 0.64 + 2 / 0.04))


def test_trials_are_drawn_without_repetition_and_begin_with_the_settings_own() -> None:
    from retail_spark.domains.recommend.select import drawn_recipes

    settings = JobSettings(search_trials=12)
    recipes = drawn_recipes(settings, seed=3)
    assert recipes[0] == settings.recipe()
    assert len({str(recipe) for recipe in recipes}) == 13
    assert drawn_recipes(settings, seed=3) == recipes


def ids(frame: DataFrame) -> set[str]:
    return {row.product_id for row in frame.collect()}
