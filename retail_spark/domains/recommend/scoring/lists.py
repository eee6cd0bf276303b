"""Top-k for all customers: packed blocks of customers meet packed blocks of products, never row by row.

A block of factors is one row with binary columns. Blocks are paired by a replicated nested loop, each pair is one
ranking in a Python worker, and k products a customer and pair come back, packed again; the pairs of a block of
customers are merged in one place. A worker holds one pair and the few megabytes that `rank_products` works on, whatever
the catalogue; no closure and no broadcast holds factors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from retail_spark.domains.recommend.models.blend import (
    PRODUCT_FEATURES,
    Blend,
    Customers,
    Products,
    Ranking,
    rank_products,
)
from retail_spark.domains.recommend.models.topk import Floats, Ints, merged
from retail_spark.domains.recommend.scoring.blocks import one_row
from retail_spark.tables.values import STRATEGIES

_PARTIAL = (
    "block INT, customer_ids ARRAY<STRING>, product_ids ARRAY<STRING>, categories BINARY, places BINARY, "
    "scores BINARY, strategies BINARY"
)
_LISTS = "list STRING, customer_id STRING, rank INT, product_id STRING, score DOUBLE, strategy STRING"


@dataclass(frozen=True)
class Wanted:
    """A list to make: its name, its blend, whether what was bought before is left out, and its quota.

    `quota` is how many products of one category it may hold (None: any number).
    """

    name: str
    blend: Blend
    only_new: bool
    quota: int | None = None


def to_lists(
    customers: DataFrame, products: DataFrame, *, wanted: Sequence[Wanted], k: int, product_blocks: int
) -> DataFrame:
    """One row per (list, customer_id, rank): product_id, score, strategy. Takes packed blocks; at most k ranks.

    Ties go to the smaller product_id. With one block of products there is nothing to merge.
    """

    def whole(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for at in range(batch.num_rows):
                yield from _whole(batch.slice(at, 1).to_pylist()[0], wanted=wanted, k=k).to_batches()

    def rank(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for at in range(batch.num_rows):
                yield _ranked(batch.slice(at, 1).to_pylist()[0], wanted=wanted, k=k)

    def merge(partial: pa.Table) -> pa.Table:
        return _merged(partial.to_pylist(), wanted=wanted, k=k)

    pairs = customers.hint("shuffle_replicate_nl").crossJoin(products)
    if product_blocks == 1:
        return pairs.mapInArrow(whole, _LISTS)
    return pairs.mapInArrow(rank, _PARTIAL).groupBy("block").applyInArrow(merge, _LISTS)


def _rankings(pair: dict[str, Any], *, wanted: Sequence[Wanted], k: int) -> tuple[Products, list[Ranking]]:
    products, numbers = _products_of(pair)
    customers = _customers_of(pair, numbers=numbers)
    return products, [
        rank_products(customers, products, blend=w.blend, k=k, only_new=w.only_new, quota=w.quota) for w in wanted
    ]


def _whole(pair: dict[str, Any], *, wanted: Sequence[Wanted], k: int) -> pa.Table:
    """The lists of one block of customers over all products."""
    products, lists = _rankings(pair, wanted=wanted, k=k)
    ids, people = pa.array(products.ids.tolist(), type=pa.string()), pa.array(pair["customer_ids"], type=pa.string())
    return pa.concat_tables([_rows(want, people, ids, found) for want, found in zip(wanted, lists, strict=True)])


def _ranked(pair: dict[str, Any], *, wanted: Sequence[Wanted], k: int) -> pa.RecordBatch:
    """The lists of one block of customers over one block of products, packed: one plane a list."""
    products, lists = _rankings(pair, wanted=wanted, k=k)
    places = np.stack([ranking.places for ranking in lists])
    chosen, inside = np.unique(places, return_inverse=True)
    row = {
        "block": int(pair["block"]),
        "customer_ids": pair["customer_ids"],
        "product_ids": products.ids[chosen].tolist(),
        "categories": np.frombuffer(pair["categories"], dtype=np.int64)[chosen].tobytes(),
        "places": inside.astype(np.int32).tobytes(),
        "scores": np.stack([ranking.scores for ranking in lists]).tobytes(),
        "strategies": np.stack([ranking.strategies for ranking in lists]).tobytes(),
    }
    return one_row(row)


def _merged(partial: Sequence[dict[str, Any]], *, wanted: Sequence[Wanted], k: int) -> pa.Table:
    """The lists of one block of customers out of all its pairs."""
    people = partial[0]["customer_ids"]
    ids, codes = np.unique(
        np.concatenate([np.asarray(p["product_ids"], dtype=object) for p in partial]), return_inverse=True
    )
    planes = [_planes(p, lists=len(wanted), customers=len(people)) for p in partial]
    starts = np.cumsum([0, *(len(p["product_ids"]) for p in partial)])
    found = np.concatenate(
        [codes[places + start] for (places, _, _), start in zip(planes, starts[:-1], strict=True)], 2
    )
    categories = np.zeros(len(ids), dtype=np.int64)
    categories[codes] = np.concatenate([np.frombuffer(p["categories"], dtype=np.int64) for p in partial])
    scores = np.concatenate([plane[1] for plane in planes], axis=2)
    strategies = np.concatenate([plane[2] for plane in planes], axis=2)
    tables = [
        _flat_list(want, people, ids, found[at], scores[at], strategies[at], categories=categories, k=k)
        for at, want in enumerate(wanted)
    ]
    return pa.concat_tables(tables)


def _planes(partial: dict[str, Any], *, lists: int, customers: int) -> tuple[Ints, Floats, np.ndarray]:
    """Places, scores and strategies of a pair: lists x customers x k."""
    shape = (lists, customers, -1)
    return (
        np.frombuffer(partial["places"], dtype=np.int32).reshape(shape),
        np.frombuffer(partial["scores"], dtype=np.float32).reshape(shape),
        np.frombuffer(partial["strategies"], dtype=np.int8).reshape(shape),
    )


def _flat_list(
    want: Wanted,
    people: Sequence[str],
    ids: np.ndarray,
    codes: np.ndarray,
    scores: Floats,
    strategies: np.ndarray,
    *,
    categories: np.ndarray,
    k: int,
) -> pa.Table:
    """One list of a block as flat rows. `codes` are places in `ids`, which is sorted."""
    best, values, at = merged(codes, scores, k=k, categories=categories[codes], quota=want.quota)
    found = Ranking(best, values, np.take_along_axis(strategies, at, axis=1))
    return _rows(want, pa.array(people, type=pa.string()), pa.array(ids.tolist(), type=pa.string()), found)


def _rows(want: Wanted, people: pa.Array, ids: pa.Array, found: Ranking) -> pa.Table:
    """One list of some customers as flat rows."""
    customer, rank = np.nonzero(found.scores >= 0)
    columns = {
        "list": pa.array([want.name]).take(pa.array(np.zeros(len(customer), dtype=np.int32))),
        "customer_id": people.take(pa.array(customer)),
        "rank": pa.array((rank + 1).astype(np.int32)),
        "product_id": ids.take(pa.array(found.places[customer, rank])),
        "score": pa.array(found.scores[customer, rank].astype(np.float64)),
        "strategy": pa.array(STRATEGIES).take(pa.array(found.strategies[customer, rank])),
    }
    return pa.table(columns)


def _products_of(pair: dict[str, Any]) -> tuple[Products, np.ndarray]:
    ids = np.asarray(pair["product_ids"], dtype=object)
    factors = np.frombuffer(pair["product_factors"], dtype=np.float32).reshape(len(ids), -1)
    values = np.frombuffer(pair["product_features"], dtype=np.float32).reshape(len(ids), -1)
    features = {name: values[:, i] for i, name in enumerate(PRODUCT_FEATURES)}
    is_content = np.frombuffer(pair["is_content"], dtype=np.bool_)
    categories = np.frombuffer(pair["categories"], dtype=np.int64)
    products = Products(ids, factors, features, is_content, categories)
    return products, np.frombuffer(pair["product_numbers"], dtype=np.int32)


def _customers_of(pair: dict[str, Any], *, numbers: np.ndarray) -> Customers:
    """The customers of a pair, with those entries of their histories that lie in the block of these products."""
    starts, bought, orders, decayed = (
        np.frombuffer(pair[name], dtype=kind)
        for name, kind in (("starts", np.int32), ("bought", np.int32), ("orders", np.float32), ("decayed", np.float32))
    )
    factors = np.frombuffer(pair["customer_factors"], dtype=np.float32).reshape(len(starts) - 1, -1)
    row = np.repeat(np.arange(len(starts) - 1, dtype=np.int32), np.diff(starts))
    by_number = np.argsort(numbers)
    at = np.minimum(np.searchsorted(numbers, bought, sorter=by_number), len(numbers) - 1)
    place = by_number[at].astype(np.int32)
    here = numbers[place] == bought
    return Customers(factors, row[here], place[here], orders[here], decayed[here])
