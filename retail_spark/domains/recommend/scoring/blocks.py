"""Factors and histories as packed blocks: one row a block, binary columns, so that millions of rows travel as a few.

Rows are packed where they lie, shuffled in pieces, and joined to blocks: the shuffle moves pieces, not entries. A task
holds _PIECE rows while it packs, and one block while it joins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.recommend.models.blend import PRODUCT_FEATURES

_PIECE = 500_000
"""Rows that are packed at a time."""
_PIECE_OF_CUSTOMERS = (
    "block INT, learned BINARY, factors BINARY, customers BINARY, customer_ids ARRAY<STRING>, bought_by BINARY, "
    "bought BINARY, orders BINARY, decayed BINARY"
)
_CUSTOMER_BLOCK = (
    "block INT, customer_ids ARRAY<STRING>, customer_factors BINARY, starts BINARY, bought BINARY, orders BINARY, "
    "decayed BINARY"
)
_CUSTOMER_SCHEMA = pa.schema(
    [("block", pa.int32()), ("customer_ids", pa.list_(pa.string()))]
    + [(name, pa.binary()) for name in ("customer_factors", "starts", "bought", "orders", "decayed")]
)
_PRODUCT_BLOCK = (
    "product_ids ARRAY<STRING>, product_numbers BINARY, product_factors BINARY, product_features BINARY, "
    "is_content BINARY, categories BINARY"
)


def blocks_of(rows: int, *, size: int) -> int:
    """How many blocks of about `size` rows."""
    return max(1, -(-rows // size))


def pack_customers(history: DataFrame, factors: DataFrame, *, blocks: int) -> DataFrame:
    """One row per block of customers, by number: ids, factors and histories as binary columns."""
    entries = history.select(
        F.col("customer_no").cast("int").alias("number"),
        "customer_id",
        F.col("product_no").cast("int").alias("product_no"),
        F.col("orders").cast("float").alias("orders"),
        F.col("decayed").cast("float").alias("decayed"),
    ).mapInArrow(_in_pieces(_entries, blocks), _PIECE_OF_CUSTOMERS)
    learned = factors.select(F.col("id").cast("int").alias("number"), F.col("features").alias("factors"))
    pieces = entries.unionByName(learned.mapInArrow(_in_pieces(_factors, blocks), _PIECE_OF_CUSTOMERS))
    packed = pieces.groupBy("block").applyInArrow(_pack_customers, _CUSTOMER_BLOCK)
    return packed.repartition(_tasks(history))


def pack_products(products: DataFrame, factors: DataFrame, *, blocks: int) -> DataFrame:
    """One row per block of products, by number and inside by product_id: ids, factors, features as binary columns.

    `products` may have is_content and category; a NULL category counts as one of its own.
    """
    learned = factors.select(F.col("id").alias("product_no"), F.col("features").alias("factors"))
    features = F.array(*[F.col(name).cast("float") for name in PRODUCT_FEATURES]).alias("features")
    is_content = F.col("is_content") if "is_content" in products.columns else F.lit(False)
    category = F.xxhash64("category") if "category" in products.columns else F.lit(0).cast("long")
    rows = products.join(learned, "product_no", how="inner").select(
        "product_id", "product_no", "factors", features, is_content.alias("is_content"), category.alias("category")
    )
    # through a shuffle: every task of the pairing reads the packed blocks, none packs them again
    packed = rows.withColumn("block", _block("product_no", blocks)).groupBy("block")
    return packed.applyInArrow(_pack_products, _PRODUCT_BLOCK).repartition(1)


def one_row(row: Mapping[str, object]) -> pa.RecordBatch:
    """A batch of a single row; lists are of texts."""
    kinds = {list: pa.list_(pa.string()), bytes: pa.binary(), int: pa.int32()}
    arrays = [pa.array([value], type=kinds[type(value)]) for value in row.values()]
    return pa.RecordBatch.from_arrays(arrays, names=list(row))


def _block(number: str, blocks: int) -> Column:
    return F.pmod(F.col(number), F.lit(blocks)).cast("int")


def _tasks(frame: DataFrame) -> int:
    return int(frame.sparkSession.conf.get("spark.sql.shuffle.partitions") or 4)


def _in_pieces(
    pack: Callable[[pa.Table], dict[str, object]], blocks: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Packs _PIECE rows at a time, a row a block: `pack` takes those of one block, by `number`."""
    none = {"learned": b"", "factors": b"", "customers": b"", "customer_ids": [], "bought_by": b"", "bought": b"",
            "orders": b"", "decayed": b""}  # fmt: skip

    def pieces(rows: pa.Table) -> Iterator[pa.RecordBatch]:
        block = np.mod(rows["number"].to_numpy(), blocks)
        order = np.argsort(block.astype(np.uint16) if blocks < 2**16 else block, kind="stable")
        sorted_rows, block = rows.take(pa.array(order)), block[order]
        ends = np.flatnonzero(np.diff(block, append=-1)) + 1
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            yield one_row({"block": int(block[start])} | none | pack(sorted_rows.slice(start, end - start)))

    def packed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held: list[pa.RecordBatch] = []
        for batch in batches:
            held.append(batch)
            if sum(part.num_rows for part in held) >= _PIECE:
                yield from pieces(pa.Table.from_batches(held))
                held = []
        if held:
            yield from pieces(pa.Table.from_batches(held))

    return packed


def _entries(rows: pa.Table) -> dict[str, object]:
    numbers, first = np.unique(rows["number"].to_numpy(), return_index=True)
    return {
        "customers": numbers.astype(np.int32).tobytes(),
        "customer_ids": rows["customer_id"].take(pa.array(first)).to_pylist(),
        "bought_by": rows["number"].to_numpy().astype(np.int32).tobytes(),
        "bought": rows["product_no"].to_numpy().astype(np.int32).tobytes(),
        "orders": rows["orders"].to_numpy().astype(np.float32).tobytes(),
        "decayed": rows["decayed"].to_numpy().astype(np.float32).tobytes(),
    }


def _factors(rows: pa.Table) -> dict[str, object]:
    return {"learned": rows["number"].to_numpy().astype(np.int32).tobytes(), "factors": _flat(rows["factors"])}


def _pack_customers(pieces: pa.Table) -> pa.Table:
    """One row: the customers of a block who have factors, by id, each with the products bought, by number."""
    told = {
        name: np.frombuffer(b"".join(pieces[name].to_pylist()), dtype=kind)
        for name, kind in (("learned", np.int32), ("factors", np.float32), ("customers", np.int32),
                           ("bought_by", np.int32), ("bought", np.int32), ("orders", np.float32),
                           ("decayed", np.float32))
    }  # fmt: skip
    learned, by_number = np.unique(told["learned"], return_index=True)
    numbers, first = np.unique(told["customers"], return_index=True)
    has_factors = np.isin(numbers, learned)
    numbers, first = numbers[has_factors], first[has_factors]
    if not len(numbers):
        return pa.Table.from_batches([], schema=_CUSTOMER_SCHEMA)
    ids = pieces["customer_ids"].combine_chunks().flatten().take(pa.array(first))
    by_id = pc.sort_indices(ids).to_numpy()
    place = np.empty(len(by_id), dtype=np.int64)
    place[by_id] = np.arange(len(by_id))
    at = np.minimum(np.searchsorted(numbers, told["bought_by"]), len(numbers) - 1)
    here = np.flatnonzero(numbers[at] == told["bought_by"])
    keys = (place[at[here]] << 32) | told["bought"][here].astype(np.int64)
    order = np.argsort(keys)
    factors = told["factors"].reshape(len(told["learned"]), -1)[by_number]
    row = {
        "block": pieces["block"][0].as_py(),
        "customer_ids": ids.take(pa.array(by_id)).to_pylist(),
        "customer_factors": factors[np.searchsorted(learned, numbers[by_id])].tobytes(),
        "starts": np.searchsorted(keys[order] >> 32, np.arange(len(by_id) + 1)).astype(np.int32).tobytes(),
        "bought": (keys[order] & 0x7FFFFFFF).astype(np.int32).tobytes(),
        "orders": told["orders"][here[order]].tobytes(),
        "decayed": told["decayed"][here[order]].tobytes(),
    }
    return pa.Table.from_batches([one_row(row)])


def _pack_products(table: pa.Table) -> pa.Table:
    table = table.sort_by("product_id").combine_chunks()
    row = {
        "product_ids": table["product_id"].to_pylist(),
        "product_numbers": table["product_no"].to_numpy().astype(np.int32).tobytes(),
        "product_factors": _flat(table["factors"]),
        "product_features": _flat(table["features"]),
        "is_content": table["is_content"].to_numpy().astype(np.bool_).tobytes(),
        "categories": table["category"].to_numpy().astype(np.int64).tobytes(),
    }
    return pa.Table.from_batches([one_row(row)])


def _flat(column: pa.ChunkedArray) -> bytes:
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return bytes(values.astype(np.float32).tobytes())
