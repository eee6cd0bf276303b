"""A contract held against frames by Great Expectations: every kind of rule fails when it should, and names the row."""

import logging
import math
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema

from retail_spark.errors import ContractError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.contract import DATE, DOUBLE, INT, STRING, TIMESTAMP, Column, Contract
from retail_spark.lake.journal import append_rows
from retail_spark.quality import engine
from retail_spark.quality.checks import check, to_repeated_hashes
from retail_spark.quality.docs import DataDocs
from retail_spark.quality.report import EXPECTATIONS, expectation_rows
from retail_spark.quality.suite import row_expectations, row_rules, with_rules
from retail_spark.tables.silver import CALENDAR, DELIVERIES, SALES, SILVER, quarantine_of

PRICES = Contract(
    "gold.prices",
    grain="One row per store, product and date.",
    key=("store_id", "product_id"),
    columns=(
        Column("as_of", DATE, "Day."),
        Column("store_id", STRING, "Store."),
        Column("product_id", STRING, "Product."),
        Column("price", DOUBLE, "Price.", check="price >= 0"),
        Column("low", DOUBLE, "Lowest price.", nullable=True),
        Column("share", DOUBLE, "Share.", nullable=True, check="share BETWEEN 0 AND 1"),
        Column("rank", INT, "Rank.", check="rank >= 1"),
        Column("at", TIMESTAMP, "Time.", nullable=True),
    ),
    checks=(("low_below_price", "low IS NULL OR low <= price"),),
)
DAY = date(2024, 1, 31)
GOOD = {"as_of": DAY, "store_id": "s", "product_id": "p", "price": 1.0, "low": 0.5, "share": 0.2, "rank": 1, "at": None}
BELOW_ZERO = {"price": -1.0, "low": None}


def prices(spark, *changes: dict):
    """Good rows p0, p1, ... and then one row per change, keyed bad0, bad1, ..."""
    rows = [GOOD | {"product_id": f"p{i}"} for i in range(3)]
    rows += [GOOD | {"product_id": f"bad{i}"} | change for i, change in enumerate(changes)]
    return arrow_frame(spark, rows, PRICES.schema)


def arrow_frame(spark, rows: list[dict], schema: T.StructType):
    """By Arrow, so that no Python worker is started; every column nullable."""
    nullable = T.StructType([T.StructField(f.name, f.dataType) for f in schema.fields])
    return spark.createDataFrame(pa.Table.from_pylist(rows, schema=to_arrow_schema(nullable)), nullable)


def failures(report) -> dict[str, tuple[int, str]]:
    return {result.rule: (result.unexpected_count, " | ".join(result.examples)) for result in report.failed}


def test_frame_that_keeps_its_contract_passes_every_check(spark):
    report = check(prices(spark, {"low": None, "share": None}), PRICES, slice_={"as_of": DAY})
    assert report.failed == ()
    assert report.rows == 4
    report.raise_if_failed()
    rules = [result.rule for result in report.results]
    # columns, 5 NOT NULL, 3 finite + 3 ranges + 1 over two columns, the slice, the key
    assert len(rules) == len(set(rules)) == 1 + 5 + 7 + 1 + 1


def test_every_kind_of_broken_rule_is_found_counted_and_named(spark):
    frame = prices(
        spark,
        {"rank": None},
        {"price": math.nan},
        {"price": math.inf},
        BELOW_ZERO,
        {"share": math.nan},
        {"share": 1.5},
        {"low": -math.inf},
        {"low": 7.0},
        {"as_of": date(2024, 1, 30)},
        {"product_id": "p0"},
    )
    report = check(frame, PRICES, slice_={"as_of": DAY})
    found = failures(report)
    assert {rule: count for rule, (count, _) in found.items()} == {
        "rank IS NOT NULL": 1,
        "rank >= 1": 1,
        "abs(price) < double('Infinity')": 2,
        "price >= 0": 1,
        "share IS NULL OR abs(share) < double('Infinity')": 1,
        "share IS NULL OR (share BETWEEN 0 AND 1)": 2,
        "low IS NULL OR abs(low) < double('Infinity')": 1,
        "low IS NULL OR low <= price": 1,
        "as_of = 2024-01-31 (the slice that is written)": 1,
        "the key (store_id, product_id) is unique": 1,
    }
    assert "product_id=bad0, rank=NULL" in found["rank IS NOT NULL"][1]
    assert "product_id=bad3, price=-1.0" in found["price >= 0"][1]
    assert "product_id=bad8, as_of=2024-01-30" in found["as_of = 2024-01-31 (the slice that is written)"][1]
    assert "store_id=s, product_id=p0, rows_per_key=2" in found["the key (store_id, product_id) is unique"][1]
    with pytest.raises(ContractError) as raised:
        report.raise_if_failed()
    assert "gold.prices" in str(raised.value)
    assert "product_id=bad7" in str(raised.value)


def test_examples_are_limited(spark):
    frame = prices(spark, *[BELOW_ZERO] * 5)
    (result,) = check(frame, PRICES, examples=2).failed
    assert (result.unexpected_count, len(result.examples)) == (5, 2)
    (result,) = check(frame, PRICES, examples=0).failed
    assert (result.unexpected_count, result.examples) == (5, ())


def test_missing_and_surplus_columns_are_named(spark):
    report = check(prices(spark).drop("rank").withColumn("colour", F.lit("red")), PRICES)
    (result,) = report.failed
    assert result.examples == ("rank is missing", "colour is not in the contract")
    assert (result.unexpected_count, report.rows) == (2, 3)


def test_empty_frame_passes(spark):
    report = check(prices(spark).limit(0), PRICES, slice_={"as_of": DAY})
    assert report.failed == ()
    assert report.rows == 0


def test_table_without_a_key_still_counts_its_rows(spark):
    contract = Contract("gold.log", grain="One row per line.", key=(), columns=(Column("line", STRING, "Line."),))
    report = check(arrow_frame(spark, [{"line": "a"}, {"line": "a"}, {"line": None}], contract.schema), contract)
    assert report.rows == 3
    assert failures(report) == {"line IS NOT NULL": (1, "line=NULL")}


def test_key_hash_that_repeats_without_a_repeated_key_passes(spark):
    # NULL leaves xxhash64 as it was, so these two keys share a hash: the key itself decides
    contract = Contract(
        "gold.pairs",
        grain="One row per pair.",
        key=("a", "b"),
        columns=(
            Column("a", STRING, "A.", nullable=True),
            Column("b", STRING, "B.", nullable=True),
            Column("n", INT, "N."),
        ),
    )
    frame = arrow_frame(spark, [{"a": None, "b": "x", "n": 1}, {"a": "x", "b": None, "n": 2}], contract.schema)
    assert frame.transform(to_repeated_hashes, key=("a", "b")).count() == 1
    assert check(frame, contract).failed == ()


def test_personal_examples_are_marked(spark):
    contract = Contract(
        "silver.people",
        grain="One row per person.",
        key=("customer_id",),
        columns=(Column("customer_id", STRING, "Person.", subject=True), Column("age", INT, "Years.", check="age > 0")),
    )
    (result,) = check(arrow_frame(spark, [{"customer_id": "ann", "age": -1}], contract.schema), contract).failed
    assert result.is_personal
    assert result.examples == ("customer_id=ann, age=-1",)


def test_examples_are_the_same_ones_whatever_the_order_of_rows(spark):
    frame = prices(spark, *[BELOW_ZERO] * 5)
    (one,) = check(frame, PRICES, examples=2).failed
    (other,) = check(frame.orderBy(F.desc("product_id")), PRICES, examples=2).failed
    assert one == other


@pytest.mark.parametrize("contract", [*SILVER, quarantine_of(SALES), EXPECTATIONS], ids=lambda c: c.name)
def test_suite_is_built_from_every_contract(spark, contract):
    rules = row_rules(contract, slice_={})
    assert len(rules) == sum(1 for column in contract.columns if not column.nullable) + len(contract.constraints)
    assert all(rule.columns for rule in rules)
    assert [e.column for e in row_expectations(rules)] == [rule.column for rule in rules]
    checked = frame_of_rows(spark, [], contract.schema).transform(with_rules, rules=rules)
    assert {rule.column for rule in rules} <= set(checked.columns)


@pytest.mark.parametrize("contract", [SALES, CALENDAR, DELIVERIES], ids=lambda c: c.name)
def test_suite_of_a_canonical_table_runs(spark, contract):
    report = check(arrow_frame(spark, [{}], contract.schema), contract)
    required = [f"{column.name} IS NOT NULL" for column in contract.columns if not column.nullable]
    found = failures(report)
    assert [rule for rule in found if rule.endswith(" IS NOT NULL")] == required
    assert all(count == 1 for count, _ in found.values())


def test_reports_become_rows_that_keep_their_own_contract(spark, lake):
    report = check(prices(spark, BELOW_ZERO), PRICES)
    rows = expectation_rows([report], run_id="r1", attempt=1, checked_at=datetime(2024, 2, 1, tzinfo=UTC))
    append_rows(lake, EXPECTATIONS, rows, run_id="r1-1")
    frame = lake.read(EXPECTATIONS.table)
    assert frame.schema.names == list(EXPECTATIONS.names)
    assert frame.where("NOT success").select("rule", "rows", "unexpected").collect() == [("price >= 0", 4, 1)]
    assert {row["checked_at"] for row in frame.select(F.col("checked_at").cast("string")).collect()} == {
        "2024-02-01 00:00:00"
    }
    assert check(frame, EXPECTATIONS).failed == ()


def test_docs_write_a_page_under_the_lake(spark, lake, tmp_path):
    docs = DataDocs.open(
        lake, run_id="r1", job="prices", attempt=1, as_of="2024-01-31", checked_at=datetime(2024, 2, 1)
    )
    docs.add(check(prices(spark, BELOW_ZERO), PRICES), PRICES)
    page = tmp_path / "lake" / "_data_docs" / "runs" / "r1" / "gold.prices.html"
    assert "product_id=bad0, price=-1.0" in page.read_text()
    assert docs.index.is_file()


def test_frames_checked_at_once_are_not_mixed_up(spark):
    frames = [
        prices(spark).limit(0),
        prices(spark, BELOW_ZERO),
        prices(spark),
        prices(spark, {**BELOW_ZERO, "price": -2.0}),
    ]
    alone = [check(frame, PRICES) for frame in frames]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda frame: check(frame, PRICES), frames * 3))
    assert together == alone * 3
    assert [report.rows for report in alone] == [0, 4, 3, 4]
    assert len({str(failures(report)) for report in alone}) == 3


def test_nothing_is_sent_and_nothing_said(spark, monkeypatch, capfd, caplog):
    asked = []
    connect = socket.socket.connect

    def guarded(self, address):
        host = address[0] if isinstance(address, tuple) else ""
        if host not in ("", "127.0.0.1", "localhost", "::1"):
            asked.append(host)
            raise ConnectionRefusedError(host)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    with caplog.at_level(logging.INFO):
        check(prices(spark, BELOW_ZERO), PRICES)
    engine.warm()
    said = capfd.readouterr()
    assert asked == []
    assert (said.out, said.err) == ("", "")
    assert os.environ["GX_ANALYTICS_ENABLED"] == "False"
    assert engine._context().config.analytics_enabled is False
    assert engine._context().variables.progress_bars == {"globally": False}


def test_check_that_could_not_run_is_an_error_and_not_a_pass(spark):
    import great_expectations.expectations as gxe

    with pytest.raises(RuntimeError, match="could not evaluate"):
        engine.validate(prices(spark), [gxe.ExpectColumnValuesToNotBeNull(column="absent")])


def test_session_settings_are_left_alone(spark):
    before = {key: spark.conf.get(key) for key in ("spark.sql.ansi.enabled", "spark.sql.session.timeZone")}
    check(prices(spark), PRICES)
    assert {key: spark.conf.get(key) for key in before} == before
