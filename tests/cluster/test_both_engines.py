"""Laws of the core that hold on classic Spark and on Spark Connect: test_connect.py runs this file there as well."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import LakeSettings
from retail_spark.engine.job import only_known_by
from retail_spark.errors import ContractError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.content_hash import content_hash
from retail_spark.lake.lake import Lake
from retail_spark.tables.silver import PRODUCTS, SALES

SOLD = [
    ("a", datetime(2011, 11, 8, 23, 59, 59), "tea", 1.0),
    ("b", datetime(2011, 11, 9, 0, 0, 0), "tea", 2.0),
    ("c", datetime(2011, 11, 7, 12, 0, 0), "cup", 3.0),
]


def sales(spark: SparkSession) -> DataFrame:
    frame = frame_of_rows(spark, SOLD, "sale_id string, sold_at timestamp, product_id string, quantity double")
    given = set(frame.columns)
    return frame.select("*", *[F.lit(None).alias(c.name) for c in SALES.columns if c.name not in given])


def test_select_gives_the_contracts_columns_in_order_and_type(spark: SparkSession) -> None:
    selected = SALES.select(sales(spark))

    assert selected.columns == list(SALES.names)
    assert [f.dataType for f in selected.schema] == [c.type for c in SALES.columns]


def test_select_names_what_is_missing(spark: SparkSession) -> None:
    with pytest.raises(ContractError, match="product_name"):
        PRODUCTS.select(sales(spark).select("product_id"))


def test_a_row_of_the_last_second_of_the_day_is_known_and_one_of_midnight_is_not(spark: SparkSession) -> None:
    known = only_known_by(sales(spark), contract=SALES, as_of=date(2011, 11, 8))

    assert sorted(row["sale_id"] for row in known.collect()) == ["a", "c"]


def test_content_hash_knows_no_order(spark: SparkSession) -> None:
    rows = sales(spark).select("sale_id", "quantity")

    assert content_hash(rows) == content_hash(rows.orderBy(F.desc("sale_id")))
    assert content_hash(rows) != content_hash(rows.where("quantity > 1"))


def test_a_table_is_created_with_its_constraints_and_read_at_a_version(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake.open(spark, LakeSettings(root=str(tmp_path / "lake")))
    lake.ensure(PRODUCTS)
    row = dict.fromkeys(PRODUCTS.names) | {"product_id": "tea", "source": "test", "row_hash": "0"}
    rows = frame_of_rows(spark, [tuple(row[name] for name in PRODUCTS.names)], PRODUCTS.schema)
    rows.write.format("delta").mode("append").save(lake.path(PRODUCTS.table))

    assert lake.read(PRODUCTS.table).count() == 1
    assert lake.read(PRODUCTS.table, version=0).count() == 0
    assert lake.pin(PRODUCTS.table).version == 1
