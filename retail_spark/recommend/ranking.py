"""Top-k for all customers: packed blocks of customers meet packed blocks of products, never row by row.

A block of factors is one row with binary columns. Blocks are paired by a replicated nested loop, each pair is one
matrix product in a Python worker, and only k products a customer and pair come back. Memory of a worker is bounded
by the block sizes, whatever the catalogue; no closure and no broadcast holds factors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.recommend.model import PRODUCT_FEATURES, Blend, Customers, Products, rank_products

_CUSTOMER_BLOCK = (
    "customer_ids ARRAY<STRING>, customer_factors BINARY, starts BINARY, bought BINARY, orders BINARY, decayed BINARY"
)
_PRODUCT_BLOCK = "product_ids ARRAY<STRING>, product_numbers BINARY, product_factors BINARY, product_features BINARY"
_PARTIAL = "list STRING, customer_id STRING, product_ids ARRAY<STRING>, scores ARRAY<FLOAT>, strategies ARRAY<STRING>"


@dataclass(frozen=True)
class Wanted:
    """A list to make: its name, its blend, and whether what was bought before is left out."""

    name: str
    blend: Blend
    only_new: bool


def to_lists(customers: DataFrame, products: DataFrame, *, wanted: Sequence[Wanted], k: int) -> DataFrame:
    """One row per (list, customer_id, rank): product_id, score, strategy. Takes packed blocks; at most k ranks.

    Ties go to the smaller product_id.
    """
    pairs = customers.hint("shuffle_replicate_nl").crossJoin(products)

    def rank(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            for pair in batch.to_pylist():
                yield _ranked(pair, wanted=wanted, k=k)

    partial = pairs.mapInArrow(rank, _PARTIAL)
    zipped = F.arrays_zip("product_ids", "scores", "strategies")
    rows = partial.select("list", "customer_id", F.explode(zipped).alias("found")).select(
        "list",
        "customer_id",
        F.col("found.product_ids").alias("product_id"),
        F.col("found.scores").cast("double").alias("score"),
        F.col("found.strategies").alias("strategy"),
    )
    best_first = W.partitionBy("list", "customer_id").orderBy(F.desc("score"), "product_id")
    return rows.withColumn("rank", F.row_number().over(best_first)).where(F.col("rank") <= k)


def pack_customers(history: DataFrame, factors: DataFrame, *, size: int) -> DataFrame:
    """One row per block of `size` customers, by number: ids, factors and histories as binary columns."""
    bought = F.sort_array(F.collect_list(F.struct("product_no", "orders", "decayed")))
    people = (
        history.groupBy("customer_no", "customer_id")
        .agg(bought.alias("bought"))
        .select(
            "customer_no",
            "customer_id",
            F.transform("bought", lambda e: e.product_no).alias("bought"),
            F.transform("bought", lambda e: e.orders.cast("float")).alias("orders"),
            F.transform("bought", lambda e: e.decayed.cast("float")).alias("decayed"),
        )
    )
    learned = factors.select(F.col("id").alias("customer_no"), F.col("features").alias("factors"))
    block = F.floor(F.col("customer_no") / size).cast("int").alias("block")
    rows = people.join(learned, "customer_no", how="inner").select("*", block)
    partitions = int(history.sparkSession.conf.get("spark.sql.shuffle.partitions") or 4)
    return rows.groupBy("block").applyInArrow(_pack_customers, _CUSTOMER_BLOCK).repartition(partitions)


def pack_products(products: DataFrame, factors: DataFrame, *, size: int) -> DataFrame:
    """One row per block of `size` products, by number and inside by product_id: ids, factors, features as binary."""
    learned = factors.select(F.col("id").alias("product_no"), F.col("features").alias("factors"))
    features = F.array(*[F.col(name).cast("float") for name in PRODUCT_FEATURES]).alias("features")
    block = F.floor(F.col("product_no") / size).cast("int").alias("block")
    rows = products.join(learned, "product_no", how="inner").select(
        "product_id", "product_no", "factors", features, block
    )
    return rows.groupBy("block").applyInArrow(_pack_products, _PRODUCT_BLOCK).coalesce(1)


def _pack_customers(table: pa.Table) -> pa.Table:
    table = table.sort_by("customer_id").combine_chunks()
    lengths = np.diff(table["bought"].combine_chunks().offsets.to_numpy())
    starts = np.concatenate([[0], np.cumsum(lengths)])
    row = {
        "customer_ids": table["customer_id"].to_pylist(),
        "customer_factors": _flat(table["factors"], np.float32),
        "starts": starts.astype(np.int32).tobytes(),
        "bought": _flat(table["bought"], np.int32),
        "orders": _flat(table["orders"], np.float32),
        "decayed": _flat(table["decayed"], np.float32),
    }
    return _one_row(row)


def _pack_products(table: pa.Table) -> pa.Table:
    table = table.sort_by("product_id").combine_chunks()
    row = {
        "product_ids": table["product_id"].to_pylist(),
        "product_numbers": table["product_no"].to_numpy().astype(np.int32).tobytes(),
        "product_factors": _flat(table["factors"], np.float32),
        "product_features": _flat(table["features"], np.float32),
    }
    return _one_row(row)


def _one_row(row: dict[str, object]) -> pa.Table:
    kinds = {name: pa.list_(pa.string()) if isinstance(value, list) else pa.binary() for name, value in row.items()}
    return pa.table({name: pa.array([value], type=kinds[name]) for name, value in row.items()})


def _flat(column: pa.ChunkedArray, kind: type[np.generic]) -> bytes:
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return bytes(values.astype(kind).tobytes())


def _ranked(pair: dict[str, Any], *, wanted: Sequence[Wanted], k: int) -> pa.RecordBatch:
    """The lists of one block of customers over one block of products."""
    products, numbers = _products_of(pair)
    customers = _customers_of(pair, numbers=numbers)
    names, ids = np.asarray(pair["customer_ids"], dtype=object), products.ids
    columns: dict[str, list[object]] = {
        "list": [],
        "customer_id": [],
        "product_ids": [],
        "scores": [],
        "strategies": [],
    }
    for want in wanted:
        best = rank_products(customers, products, blend=want.blend, k=k, only_new=want.only_new)
        for customer, places, scores, strategies in zip(names, best.places, best.scores, best.strategies, strict=True):
            ends = int((scores >= 0).sum())
            columns["list"].append(want.name)
            columns["customer_id"].append(customer)
            columns["product_ids"].append(list(ids[places[:ends]]))
            columns["scores"].append(scores[:ends].tolist())
            columns["strategies"].append(list(strategies[:ends]))
    texts = pa.list_(pa.string())
    kinds = (pa.string(), pa.string(), texts, pa.list_(pa.float32()), texts)
    arrays = [pa.array(values, type=kind) for values, kind in zip(columns.values(), kinds, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _products_of(pair: dict[str, Any]) -> tuple[Products, np.ndarray]:
    ids = np.asarray(pair["product_ids"], dtype=object)
    factors = np.frombuffer(pair["product_factors"], dtype=np.float32).reshape(len(ids), -1)
    values = np.frombuffer(pair["product_features"], dtype=np.float32).reshape(len(ids), -1)
    features = {name: values[:, i] for i, name in enumerate(PRODUCT_FEATURES)}
    return Products(ids, factors, features), np.frombuffer(pair["product_numbers"], dtype=np.int32)


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
