from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.domains.recommend.als import learn_factors
from retail_spark.domains.recommend.cold_start import to_default_list, with_strangers
from retail_spark.domains.recommend.evaluate import to_customer_metrics, to_means, to_truth
from retail_spark.domains.recommend.models.blend import Blend, confident, fold_in
from retail_spark.domains.recommend.purchases import (
    only_purchases,
    to_history,
    to_lines,
    to_market,
    to_numbers,
    to_products,
    with_confidence,
)
from retail_spark.domains.recommend.scoring.blocks import pack_customers, pack_products
from retail_spark.domains.recommend.scoring.lists import Wanted, to_lists
from retail_spark.domains.recommend.settings import JobSettings
from retail_spark.errors import UsageError
from retail_spark.frames.local_rows import frame_of_rows

DAY = date(2024, 1, 31)
_SALES = (
    "order_id string, sold_at string, store_id string, product_id string, customer_id string, "
    "quantity double, unit_price double"
)


def lines(spark: SparkSession, *rows: tuple[object, ...]) -> DataFrame:
    """Sales from (order, day of January, product, customer, quantity, price)."""
    full = [
        (order, f"2024-01-{day:02d} 10:00:00", "s", product, customer, float(quantity), float(price))
        for order, day, product, customer, quantity, price in rows
    ]
    return frame_of_rows(spark, full, _SALES).withColumn("sold_at", F.to_timestamp("sold_at"))


def orders(frame: DataFrame) -> list[tuple[str, str, str, int, float]]:
    return sorted((r.customer_id, r.product_id, r.order_key, r.day.day, r.bought) for r in frame.collect())


def test_purchases_are_orders_of_known_customers_and_returns_may_be_ignored(spark: SparkSession) -> None:
    sales = lines(
        spark,
        ("1", 1, "milk", "ann", 2, 1),
        ("1", 1, "milk", "ann", 1, 1),  # the same order names it twice
        ("2", 5, "milk", "ann", 1, 1),
        ("C2", 6, "milk", "ann", -1, 1),  # a return
        ("3", 7, "milk", None, 1, 1),  # a guest
        ("5", 7, "milk", "*", 1, 1),  # the id that lists keep for who is not known, in a table of older days
        ("4", 8, "gift", "ann", 1, 0),  # given away
        (None, 9, "tea", "bob", 1, 1),  # a source without orders
    )
    found = sales.transform(to_lines).transform(only_purchases, until=DAY, nets_returns=False)
    tea = ("bob", "tea", "s@2024-01-09 10:00:00", 9, 1.0)
    assert orders(found) == [("ann", "milk", "1", 1, 3.0), ("ann", "milk", "2", 5, 1.0), tea]


def test_returns_undo_the_latest_purchases_before_them(spark: SparkSession) -> None:
    sales = lines(
        spark,
        ("0", 1, "milk", "ann", -9, 1),  # nothing bought before: undoes nothing
        ("1", 2, "milk", "ann", 3, 1),
        ("2", 4, "milk", "ann", 2, 1),
        ("r", 5, "milk", "ann", -4, 1),  # all of order 2, and two units of order 1
        ("3", 6, "milk", "ann", 1, 1),
        ("4", 7, "tea", "ann", 2, 1),
        ("r", 9, "tea", "ann", -2, 1),
    ).transform(to_lines)
    netted = sales.transform(only_purchases, until=DAY, nets_returns=True)
    assert orders(netted) == [("ann", "milk", "1", 2, 1.0), ("ann", "milk", "3", 6, 1.0)]
    before = sales.transform(only_purchases, until=date(2024, 1, 8), nets_returns=True)
    assert ("ann", "tea", "4", 7, 2.0) in orders(before), "the return was not known yet"


def test_history_halves_orders_and_products_count_buyers(spark: SparkSession) -> None:
    sales = lines(spark, ("1", 1, "milk", "ann", 1, 1), ("2", 31, "milk", "ann", 1, 1), ("3", 11, "tea", "bob", 1, 1))
    bought = sales.transform(to_lines).transform(only_purchases, until=DAY, nets_returns=False)
    history = bought.transform(to_history, until=DAY, half_life_days=30.0)
    rows = {row.product_id: row for row in history.collect()}
    assert (rows["milk"].orders, rows["milk"].age) == (2, 0)
    assert rows["milk"].decayed == pytest.approx(1.5, abs=1e-8)
    assert rows["tea"].decayed == pytest.approx(0.5 ** (20 / 30), abs=1e-8)
    products = {r.product_id: r for r in to_products(history, recent_days=10, trend_half_life_days=20.0).collect()}
    assert (products["milk"].recent, products["tea"].recent) == (1.0, 0.0)
    assert products["tea"].trend == pytest.approx(0.5, abs=1e-8)
    assert products["milk"].popular_recent > products["tea"].popular_recent


def numbers(ids: DataFrame, known: DataFrame) -> dict[str, int]:
    found = ids.transform(to_numbers, known=known, key="id", number="number").collect()
    assert len({row.number for row in found}) == len(found), "a number is given once"
    return {row.id: row.number for row in found}


def test_a_rating_mapped_to_quantity_is_what_an_order_adds(spark: SparkSession) -> None:
    bought = lines(spark, ("1", 1, "book", "ann", 5, 1), ("2", 31, "book", "ann", 3, 1)).transform(to_lines)
    history = bought.transform(to_history, until=DAY, half_life_days=30.0, order_weight="quantity")
    (row,) = history.collect()
    assert (row.orders, row.decayed) == (2, pytest.approx(5 / 2 + 3))


def test_a_customer_keeps_its_number_and_new_ones_do_not_depend_on_the_order_of_arrival(spark: SparkSession) -> None:
    ids = spark.range(40).select(F.concat(F.lit("c"), "id").alias("id"))
    none = frame_of_rows(spark, [], "id string, number int")
    at_once = numbers(ids, none)
    first = numbers(ids.where("id < 'c3'").repartition(3), none)
    stored = frame_of_rows(spark, list(first.items()), "id string, number int")
    later = numbers(ids, stored)
    assert {name: later[name] for name in first} == first
    assert later == at_once


def test_ids_whose_hash_is_taken_are_counted_out_above_all_hashes(spark: SparkSession) -> None:
    none = frame_of_rows(spark, [], "id string, number int")
    ids = frame_of_rows(spark, [("ann",), ("bob",), ("cid",)], "id string")
    taken = numbers(ids, none)["ann"]
    known = frame_of_rows(spark, [("first", taken), ("second", 2**30)], "id string, number int")
    found = numbers(ids, known)
    assert (found["first"], found["second"], found["ann"]) == (taken, 2**30, 2**30 + 1)
    assert found["bob"] < 2**30


@pytest.mark.parametrize("confidence", ["counts", "log", "bm25"])
def test_confidence_in_spark_is_that_of_the_served_model(spark: SparkSession, confidence: str) -> None:
    rows = [("ann", "milk", 2.0), ("ann", "tea", 0.5), ("bob", "milk", 1.0), ("cid", "rum", 4.0)]
    history = frame_of_rows(spark, rows, "customer_id string, product_id string, decayed double")
    found = {
        (r.customer_id, r.product_id): r.rating
        for r in history.transform(with_confidence, confidence=confidence).collect()
    }
    market = to_market(history).collect()[0].asDict()
    expected = confident(np.asarray([2.0, 0.5]), np.asarray([2.0, 1.0]), confidence=confidence, market=market)
    assert [found["ann", "milk"], found["ann", "tea"]] == pytest.approx(expected.tolist())
    assert len(found) == 4


@pytest.mark.parametrize("feedback", ["implicit", "explicit"])
def test_folding_in_equals_the_solution_of_als(spark: SparkSession, feedback: str) -> None:
    entries = [(c, p, 0.25 + (c * p) % 5) for c in range(14) for p in range(11) if (c + 2 * p) % 3]
    history = frame_of_rows(spark, entries, "customer_no int, product_no int, rating double")
    recipe = JobSettings(rank=4, iterations=3, blocks=2, alpha=3.0, reg_param=0.2, feedback=feedback).recipe()
    factors = learn_factors(history, recipe=recipe, seed=1, checkpoint_interval=10)
    customers = {row.id: np.asarray(row.features) for row in factors.customers.collect()}
    products = {row.id: np.asarray(row.features, dtype=np.float32) for row in factors.products.collect()}
    whole = np.stack(list(products.values())).astype(np.float64)
    for customer, learned in customers.items():
        own = [(p, rating) for c, p, rating in entries if c == customer]
        items = np.stack([products[p] for p, _ in own])
        weights = np.asarray([rating for _, rating in own])
        np.testing.assert_allclose(fold_in(items, whole.T @ whole, weights, recipe=recipe), learned, atol=1e-5)


def test_metrics_by_hand(spark: SparkSession) -> None:
    history = frame_of_rows(
        spark, [("ann", "a"), ("bob", "b"), ("ann", "c"), ("ann", "d")], "customer_id string, product_id string"
    )
    test = frame_of_rows(
        spark,
        [("ann", "a"), ("ann", "b"), ("ann", "unseen"), ("new", "a"), ("bob", "b")],
        "customer_id string, product_id string",
    )
    truth = to_truth(test, history)
    assert {(r.customer_id, r.product_id): r.is_new for r in truth.collect()} == {
        ("ann", "a"): False,
        ("ann", "b"): True,
        ("bob", "b"): False,
    }
    lists = frame_of_rows(
        spark,
        [("x", "ann", 1, "c"), ("x", "ann", 2, "a"), ("x", "ann", 3, "b"), ("x", "bob", 1, "a")],
        "list string, customer_id string, rank int, product_id string",
    )
    rows = {r.customer_id: r for r in to_customer_metrics(lists, truth, relevance="any", k=2).collect()}
    ideal = 1 + 1 / 1.5849625007211562
    assert rows["ann"].ndcg == pytest.approx((1 / 1.5849625007211562) / ideal)
    assert (rows["ann"].recall, rows["ann"].precision, rows["ann"].map, rows["ann"].hit_rate) == (0.5, 0.5, 0.25, 1.0)
    assert (rows["bob"].ndcg, rows["bob"].hit_rate) == (0.0, 0.0)
    only_new = to_customer_metrics(lists, truth, relevance="new", k=3).collect()
    assert [(r.customer_id, r.ndcg) for r in only_new] == [("ann", pytest.approx(0.5))]


def test_intervals_are_paired(spark: SparkSession) -> None:
    """A constant advantage over the same customers has an interval of no width, however much customers differ."""
    rows = [
        (name, f"c{at}", at / 100 + bonus, 0.0, 0.0, 0.0, 0.0)
        for at in range(60)
        for name, bonus in (("one", 0.1), ("other", 0.0))
    ]
    kinds = "list string, customer_id string, ndcg double, recall double, precision double, map double, hit_rate double"
    means = to_means(frame_of_rows(spark, rows, kinds).repartition(3), replicates=50, seed=1)
    found = means.difference("one", "other")
    assert means.customers == {"one": 60, "other": 60}
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    low, high = means.interval("one")
    assert low < means.means["one"]["ndcg"] < high


@pytest.mark.parametrize("blocks", [(1, 1), (3, 4)], ids=["one block", "many blocks"])
def test_lists_equal_a_plain_sort_whatever_the_blocks(spark: SparkSession, blocks: tuple[int, int]) -> None:
    entries = [(c, f"c{c}", p, float(1 + (c * p) % 3), 1.0) for c in range(7) for p in range(c, 11, c + 1)]
    history = frame_of_rows(
        spark, entries, "customer_no int, customer_id string, product_no int, orders double, decayed double"
    )
    products = spark.range(11).select(
        F.col("id").cast("int").alias("product_no"),
        F.concat(F.lit("p"), F.lpad(((F.col("id") * 5) % 11).cast("string"), 2, "0")).alias("product_id"),
        *[
            F.lit(0.5).alias(name)
            for name in ("buyers", "recent", "trend", "repeat_rate", "popular_recent", "popular_ever")
        ],
    )
    zero = F.array(F.lit(0.0).cast("float")).alias("features")
    customers = pack_customers(
        history, history.select(F.col("customer_no").alias("id"), zero).distinct(), blocks=blocks[0]
    )
    packed = pack_products(products, products.select(F.col("product_no").alias("id"), zero), blocks=blocks[1])
    orders = Blend({"orders": 1.0}, repurchase_scale=1.0)
    wanted = (Wanted("all", orders, only_new=False), Wanted("discover", orders, only_new=True))
    found: dict[tuple[str, str], list[str]] = {}
    for row in (
        to_lists(customers, packed, wanted=wanted, k=5, product_blocks=blocks[1])
        .orderBy("list", "customer_id", "rank")
        .collect()
    ):
        found.setdefault((row["list"], row.customer_id), []).append(row.product_id)
    names = {p: f"p{(p * 5) % 11:02d}" for p in range(11)}
    for c in range(7):
        own = {names[p]: orders for number, _, p, orders, _ in entries if number == c}
        assert found["all", f"c{c}"] == sorted(names.values(), key=lambda p: (-own.get(p, 0.0), p))[:5]
        assert found.get(("discover", f"c{c}"), []) == sorted(set(names.values()) - set(own))[:5]


def test_the_list_of_strangers_keeps_the_quota(spark: SparkSession) -> None:
    schema = "product_id string, category string, popular_recent double"
    rows = [("a", "wine", 0.9), ("b", "wine", 0.8), ("c", "tea", 0.7), ("d", None, 0.6), ("e", None, 0.5)]
    found = to_default_list(frame_of_rows(spark, rows, schema), k=4, quota=1).collect()
    assert [(r["rank"], r.product_id) for r in found] == [(1, "a"), (2, "c"), (3, "d")]


def test_customers_without_purchases_and_strangers_get_the_popular_list(spark: SparkSession) -> None:
    products = frame_of_rows(spark, [("a", 0.1), ("b", 0.9), ("c", 0.1)], "product_id string, popular_recent double")
    default = to_default_list(products, k=2)
    lists = frame_of_rows(
        spark,
        [("all", "ann", 1, "c", 1.0, "als")],
        "list string, customer_id string, rank int, product_id string, score double, strategy string",
    )
    known = frame_of_rows(
        spark, [("ann", None, None), ("guest", None, None)], "customer_id string, home_store_id string, region string"
    )
    rows = with_strangers(lists, known=known, default=default, names=("all", "discover")).collect()
    found = sorted((r["list"], r.customer_id, r["rank"], r.product_id) for r in rows)
    expected = [
        (name, who, rank, product)
        for name in ("all", "discover")
        for who in ("*", "guest")
        for rank, product in ((1, "b"), (2, "a"))
    ]
    assert found == sorted([*expected, ("all", "ann", 1, "c")])


def test_factors_do_not_depend_on_how_the_history_is_partitioned(spark: SparkSession) -> None:
    entries = [(c, p, 1.0 + (c * p) % 3) for c in range(12) for p in range(9) if (c + p) % 3]
    history = frame_of_rows(spark, entries, "customer_no int, product_no int, rating double")
    recipe = JobSettings(rank=3, iterations=3, blocks=2).recipe()

    def factors(partitions: int) -> dict[int, list[float]]:
        shuffled = history.repartition(partitions, F.xxhash64("product_no"))
        found = learn_factors(shuffled, recipe=recipe, seed=1, checkpoint_interval=10)
        return {row.id: list(row.features) for row in found.customers.collect()}

    one = factors(1)
    assert len(one) == 12
    assert factors(3) == one, "equal to the last bit"


def test_a_session_that_cannot_write_checkpoints_is_told_so(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: DataFrame, eager: bool = True) -> DataFrame:
        raise PySparkException("Checkpoint directory has not been set in the SparkContext")

    history = frame_of_rows(spark, [(0, 0, 1.0)], "customer_no int, product_no int, rating double")
    monkeypatch.setattr(type(history), "checkpoint", refuse)
    with pytest.raises(UsageError, match="checkpoint folder"):
        learn_factors(history, recipe=JobSettings().recipe(), seed=1, checkpoint_interval=10)
