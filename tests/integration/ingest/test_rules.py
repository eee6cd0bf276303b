"""Every bad row ends in quarantine with its rule, its file and its raw row; every row is accounted for."""

from __future__ import annotations

import json

import pytest

from retail_spark.errors import InputError, UsageError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.ingest.judging import to_judged
from retail_spark.ingest.mapping import CANONICAL, InputSpec, TableSpec
from retail_spark.ingest.reading import read_raw
from retail_spark.ingest.settings import JobSettings
from tests.integration.ingest.conftest import HEADER, SALES, Shop

GOOD = "1,2024-01-01 10:00:00,north,a,2,1.50"
BAD = {
    "malformed_line": ["1,2024-01-01 10:00:00,north,a,2", "1,2024-01-01 10:00:00,north,a,2,1.5,extra"],
    "bad_encoding": [b"1,2024-01-01 10:00:00,n\xffrth,a,2,1.5"],
    "bad_value:sold_at": ["2,2024-02-30 10:00:00,north,a,2,1.5", "2,soon,north,a,2,1.5"],
    "bad_value:quantity": ["3,2024-01-01 10:00:00,north,a,two,1.5"],
    "null:store_id": ["4,2024-01-01 10:00:00,,a,2,1.5"],
    "null:sold_at": ["5,,north,a,2,1.5"],
    "not_finite:quantity": ["6,2024-01-01 10:00:00,north,a,NaN,1.5", "7,2024-01-01 10:00:00,north,a,Infinity,1.5"],
    "check:unit_price_valid": ["8,2024-01-01 10:00:00,north,a,2,-1.5"],
    "implausible_date:sold_at": ["9,1812-01-01 10:00:00,north,a,2,1.5", "9,2999-01-01 10:00:00,north,a,2,1.5"],
}


def all_bad() -> bytes:
    lines = [HEADER, GOOD, *[line for lines in BAD.values() for line in lines]]
    return b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n"


def test_every_rule_catches_its_rows_with_file_and_raw_row(shop: Shop):
    shop.put("a.csv", all_bad())
    done = shop.sales()
    assert done.rules() == {rule: len(lines) for rule, lines in BAD.items()}
    assert done.rows("sales", "order_id", "quantity", "source", "source_file") == [("1", 2.0, "shop", "a.csv")]
    quarantined = done.frames["sales_quarantine"].collect()
    assert {row["source_file"] for row in quarantined} == {"a.csv"}
    assert all(row["run_id"] == "test" and json.loads(row["raw"]) for row in quarantined)
    by_rule = {row["rule"]: row for row in quarantined}
    assert by_rule["bad_value:quantity"]["detail"] == "n=two"
    assert by_rule["check:unit_price_valid"]["detail"] == "price=-1.5"
    assert json.loads(by_rule["bad_value:quantity"]["raw"])["n"] == "two"
    assert json.loads(by_rule["malformed_line"]["raw"])["line"].startswith("1,2024-01-01")


def test_a_customer_of_a_reserved_name_is_quarantined_with_the_reason(shop: Shop):
    """Customer * would meet the rows of gold.recommendations that are kept for customers who are not known."""
    shop.put("a.csv", f"{HEADER},who\n{GOOD},*\n{GOOD.replace('1,', '2,', 1)},ann\n")
    done = shop.sales(columns={"customer_id": "who"})
    assert (done.rules(), done.rows("sales", "customer_id")) == ({"reserved:customer_id": 1}, [("ann",)])
    assert [row["detail"] for row in done.frames["sales_quarantine"].collect()] == ["who=*"]


def test_too_many_bad_rows_refuse_the_batch_and_say_why(shop: Shop):
    shop.put("a.csv", all_bad())
    with pytest.raises(InputError) as caught:
        shop.sales(max_quarantined_share=0.05)
    told = str(caught.value)
    assert "sales: 92.9% of 14 rows break a rule, more than the allowed 5.0%" in told
    assert "a.csv" in told
    assert "max_quarantined_share" in caught.value.fix
    assert caught.value.exit_code == 3


def test_columns_are_read_by_name_whatever_their_order(shop: Shop):
    shop.put("a.csv", f"{HEADER}\n{GOOD}\n")
    shop.put("b.csv", "price,n,sku,store,day,order\n1.50,3,a,north,2024-01-02 10:00:00,2\n")
    done = shop.sales()
    assert done.rows("sales", "order_id", "quantity", "unit_price") == [("1", 2.0, 1.5), ("2", 3.0, 1.5)]


def test_same_row_under_swapped_columns_is_a_duplicate(shop: Shop):
    shop.put("a.csv", f"{HEADER}\n{GOOD}\n")
    shop.put("b.csv", "price,n,sku,store,day,order\n1.50,2,a,north,2024-01-01 10:00:00,1\n")
    assert shop.sales().count("exact_duplicates") == 1


def test_file_that_lacks_a_column_goes_to_quarantine_by_that_rule(shop: Shop):
    shop.put("a.csv", f"{HEADER}\n{GOOD}\n")
    shop.put("b.csv", "order,day,store,sku,n\n2,2024-01-02 10:00:00,north,a,3\n")
    done = shop.sales()
    assert done.rules() == {"missing_column:price": 1}
    assert done.rows("sales_quarantine", "source_file", "rule") == [("b.csv", "missing_column:price")]


def test_column_that_no_file_has_is_named_with_the_file(shop: Shop):
    shop.put("a.csv", "order,day,store,sku,n\n2,2024-01-02 10:00:00,north,a,3\n")
    with pytest.raises(InputError, match=r"a\.csv .*lacks the column price") as caught:
        shop.sales()
    assert "store" in caught.value.fix


def test_expression_that_is_no_sql_is_the_mappings_fault(shop: Shop):
    shop.put("a.csv", f"{HEADER}\n{GOOD}\n")
    with pytest.raises(UsageError, match=r"tables\.sales"):
        shop.sales(columns={"quantity": "cast(n as"})


def test_files_are_named_whatever_signs_their_names_hold(shop: Shop):
    name = "d\u00e9p\u00f4t 1+1 50%25/a b.csv"
    shop.put(name, f"{HEADER}\n{GOOD}\n")
    done = shop.sales(inputs={"lines": {"path": str(shop.folder)}})
    assert done.rows("sales", "source_file") == [(name,)]


def test_try_makes_null_out_of_a_text_on_purpose(shop: Shop):
    shop.put("a.csv", f"{HEADER},cost\n{GOOD},unknown\n")
    assert shop.sales(columns={"unit_cost": "cast(cost as double)"}).rules() == {"bad_value:unit_cost": 1}
    lenient = shop.sales(columns={"unit_cost": "try_cast(cost as double)"})
    assert lenient.rows("sales", "unit_cost") == [(None,)]


def test_listed_nulls_are_no_text(shop: Shop):
    shop.put("a.csv", f"{HEADER},cost\n{GOOD},n/a\n")
    done = shop.sales(
        columns={"unit_cost": "cast(cost as double)"}, inputs={"lines": {"path": str(shop.folder), "nulls": ["n/a"]}}
    )
    assert done.rows("sales", "unit_cost") == [(None,)]


def test_rows_left_out_by_where_are_counted_as_filtered_not_judged(shop: Shop):
    shop.put("a.csv", f"{HEADER}\n{GOOD}\n2,soon,north,POST,1,5\n")
    done = shop.sales(spec={"where": "sku <> 'POST'"})
    assert (done.count("filtered"), done.count("kept"), done.count("quarantined")) == (1, 1, 0)


def test_identical_rows_are_dropped_or_numbered(shop: Shop):
    shop.put("a.csv", f"{HEADER}\n{GOOD}\n{GOOD}\n{GOOD}\n")
    dropped = shop.sales()
    assert (dropped.count("kept"), dropped.count("exact_duplicates")) == (1, 2)
    numbered = shop.sales(spec={"duplicates": "keep"})
    assert (numbered.count("kept"), numbered.count("exact_duplicates")) == (3, 0)
    assert len({row[0] for row in numbered.rows("sales", "sale_id")}) == 3


def test_numbered_rows_of_a_file_delivered_twice_count_once(shop: Shop):
    for name in ("a.csv", "b.csv"):
        shop.put(name, f"{HEADER}\n{GOOD}\n{GOOD}\n")
    done = shop.sales(spec={"duplicates": "keep"})
    assert (done.count("kept"), done.count("exact_duplicates")) == (2, 2)


@pytest.mark.slow
def test_equal_files_whose_names_tell_the_store_are_different_rows(shop: Shop):
    for name in ("north_1.csv", "south_1.csv"):
        shop.put(name, f"{HEADER}\n{GOOD}\n{GOOD}\n")
    inputs = {"lines": {"path": str(shop.folder / "*.csv"), "file_pattern": r"(?<place>[a-z]+)_\d+\.csv"}}
    done = shop.sales(columns={"store_id": "place"}, spec={"duplicates": "keep"}, inputs=inputs)
    assert (done.count("kept"), done.count("exact_duplicates")) == (4, 0)
    assert [row[0] for row in done.rows("sales", "store_id")] == ["north", "north", "south", "south"]


@pytest.mark.slow
def test_equal_rows_of_different_files_are_different_rows(shop: Shop):
    shop.put("a.csv", f"{HEADER}\n{GOOD}\n{GOOD}\n")
    whole = shop.sales(spec={"duplicates": "keep"}).rows("sales", "sale_id")
    shop.put("a.csv", f"{HEADER}\n{GOOD}\n")
    shop.put("b.csv", f"{HEADER}\n\n{GOOD}\n")
    cut = shop.sales(spec={"duplicates": "keep"})
    assert (cut.count("kept"), cut.count("exact_duplicates")) == (2, 0)
    assert cut.rows("sales", "sale_id") == whole  # however the rows are cut into files


def test_null_and_shifted_values_hash_differently(shop: Shop):
    shop.put("a.csv", f"{HEADER},x,y\n{GOOD},,k\n{GOOD},k,\n")
    done = shop.sales()
    assert done.count("kept") == 2
    ids = done.rows("sales", "sale_id", "row_hash")
    assert all(len(sale_id) == len(row_hash) == 32 for sale_id, row_hash in ids)
    assert len(set(ids)) == 2


def test_rows_that_disagree_on_a_key_keep_the_latest(shop: Shop):
    shop.put(
        "p.csv",
        "id,name,at\n1,old,2024-01-01\n1,new,2024-02-01\n1,new,2024-02-01\n2,only,2024-01-01\n,none,2024-01-01\n",
    )
    columns = {"product_id": "id", "product_name": "name", "received_at": "to_timestamp(at)"}
    done = shop.ingest({"products": {"from": "lines", "columns": columns}})
    assert done.rows("products", "product_id", "product_name") == [("1", "new"), ("2", "only")]
    assert done.count("exact_duplicates", "products") == 1
    assert done.rules("products") == {"key_conflict": 1, "null_key": 1}
    raws = {row["rule"]: row for row in done.frames["products_quarantine"].collect()}
    assert json.loads(raws["key_conflict"]["raw"]) == {"id": "1", "name": "old", "at": "2024-01-01"}
    assert raws["key_conflict"]["detail"] == "id=1"


def test_one_row_takes_a_dimension_out_of_facts_and_counts_the_rest(shop: Shop):
    shop.put("a.csv", f"{HEADER}\n{GOOD}\n2,2024-01-03 10:00:00,north,b,1,1\n3,2024-01-02 10:00:00,north,b,1,1\n")
    spec = {"from": "lines", "one_row": "latest day", "columns": {"store_id": "store", "store_name": "sku"}}
    done = shop.ingest({"stores": spec})
    assert done.rows("stores", "store_id", "store_name") == [("north", "b")]
    assert done.count("collapsed", "stores") == 2
    first = shop.ingest({"stores": spec | {"one_row": "first day"}})
    assert first.rows("stores", "store_name") == [("a",)]


def test_join_adds_columns_and_no_rows(shop: Shop):
    shop.put("a.csv", f"{HEADER}\n{GOOD}\n2,2024-01-03 10:00:00,south,b,1,1\n")
    shop.put("dim/shops.txt", "store,cost\nnorth,0.5\n")
    inputs = {"lines": {"path": str(shop.folder / "*.csv")}, "shops": {"path": str(shop.folder / "dim" / "shops.txt")}}
    done = shop.sales(
        columns={"unit_cost": "cast(shops.cost as double)"}, spec={"join": {"shops": ["store"]}}, inputs=inputs
    )
    assert done.rows("sales", "store_id", "unit_cost") == [("north", 0.5), ("south", None)]
    shop.put("dim/shops.txt", "store,cost\nnorth,0.5\nnorth,0.7\n")
    with pytest.raises(InputError, match="repeats a key that it is joined on: store=north"):
        shop.sales(columns={"unit_cost": "shops.cost"}, spec={"join": {"shops": ["store"]}}, inputs=inputs)
    summed = inputs | {"by_store": {"from": "shops", "group_by": ["store"], "columns": {"cost": "max(cost)"}}}
    again = shop.sales(
        columns={"unit_cost": "cast(by_store.cost as double)"}, spec={"join": {"by_store": ["store"]}}, inputs=summed
    )
    assert again.rows("sales", "store_id", "unit_cost") == [("north", 0.7), ("south", None)]


def test_explode_makes_a_row_an_element_numbered_from_one(shop: Shop):
    shop.put("a.csv", "store,day,p1,p2\nnorth,2024-01-01,1.5,2.5\nsouth,2024-01-01,3.5,oops\n")
    columns = {
        "store_id": "store",
        "product_id": "cast(price_pos as string)",
        "date": "to_date(day)",
        "unit_price": "cast(price as double)",
        "known_on": "to_date(day)",
    }
    spec = {"from": "lines", "explode": {"price": "array(p1, p2)"}, "columns": columns}
    done = shop.ingest({"planned_prices": spec})
    assert done.rows("planned_prices", "store_id", "product_id", "unit_price") == [
        ("north", "1", 1.5),
        ("north", "2", 2.5),
        ("south", "1", 3.5),
    ]
    assert (done.count("rows_in", "planned_prices"), done.rules("planned_prices")) == (4, {"bad_value:unit_price": 1})


def test_lines_that_fit_no_pattern_are_malformed(shop: Shop):
    shop.put("log.txt", "ann 2024-01-01T10:00:00 /a\nnonsense\nbob 2024-01-01T10:00:01 -\n")
    spec = {"path": str(shop.folder / "log.txt"), "format": "text", "nulls": ["-"]}
    inputs = {"log": spec | {"pattern": r"(?<who>\w+) (?<at>\S+) (?<page>\S+)"}}
    columns = {"occurred_at": "to_timestamp(at)", "visitor_id": "who", "event_type": "'page_view'", "page_url": "page"}
    done = shop.ingest({"events": {"from": "log", "columns": columns}}, inputs=inputs)
    assert done.rows("events", "visitor_id", "page_url") == [("ann", "/a"), ("bob", None)]
    assert done.rules("events") == {"malformed_line": 1}


def test_json_and_parquet_become_texts_by_name(shop: Shop):
    shop.put("a.json", '{"id": 1, "name": "x", "tags": ["t"]}\n{"name": "y", "id": "2"}\n{broken\n')
    columns = {"product_id": "id", "product_name": "name"}
    inputs = {"lines": {"path": str(shop.folder / "a.json"), "format": "json"}}
    done = shop.ingest({"products": {"from": "lines", "columns": columns}}, inputs=inputs)
    assert done.rows("products", "product_id", "product_name") == [("1", "x"), ("2", "y")]
    assert done.rules("products") == {"malformed_line": 1}
    frame = frame_of_rows(shop.spark, [(1, "x"), (2, None)], "id bigint, name string")
    frame.coalesce(1).write.parquet(str(shop.folder / "parquet"))
    inputs = {"lines": {"path": str(shop.folder / "parquet"), "format": "parquet"}}
    done = shop.ingest({"products": {"from": "lines", "columns": columns}}, inputs=inputs)
    assert done.rows("products", "product_id", "product_name") == [("1", "x"), ("2", None)]


def test_hashed_columns_stand_in_the_quarantine_as_hashes_alone(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    shop.put("a.csv", f"{HEADER},who\n{GOOD},ann\n2,soon,north,a,2,1.5,ann\n3,2024-01-01,ann\n")
    monkeypatch.setenv("SALT", "pepper")
    done = shop.sales(columns={"customer_id": "who"}, hash_columns=["customer_id"], hash_salt="env:SALT")
    ((hashed,),) = done.rows("sales", "customer_id")
    assert len(hashed) == 64
    bad = {row["rule"]: row for row in done.frames["sales_quarantine"].collect()}
    assert set(bad) == {"bad_value:sold_at", "malformed_line"}
    assert not [row for row in bad.values() if "ann" in row["raw"]]
    raw = json.loads(bad["bad_value:sold_at"]["raw"])
    assert (raw["who"], raw["day"]) == (hashed, "soon")


def test_the_salt_stands_in_no_plan(shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    shop.put("a.csv", f"{HEADER},who\n{GOOD},ann\n")
    monkeypatch.setenv("SALT", "pepper")
    spec = TableSpec.model_validate({"from": "lines", "columns": SALES | {"customer_id": "who"}})
    raw = read_raw(shop.spark, "lines", InputSpec(path=str(shop.folder)), data_root=str(shop.folder))
    settings = JobSettings.model_validate({"hash_columns": ["customer_id"], "hash_salt": "env:SALT"})
    judged = to_judged(raw, contract=CANONICAL["sales"], spec=spec, joined={}, settings=settings)
    judged.explain(extended=True)
    plan = capsys.readouterr().out
    assert "sha2" in plan
    assert "pepper" not in plan


@pytest.mark.slow
def test_a_thousand_columns_are_planned(shop: Shop):
    more = [f"c{number}" for number in range(1_000)]
    shop.put("a.csv", f"{HEADER},{','.join(more)}\n{GOOD},{','.join(more)}\n")
    done = shop.sales(columns={"customer_id": "c999"})
    assert done.rows("sales", "customer_id") == [("c999",)]


@pytest.mark.slow
def test_a_time_without_a_date_does_not_become_today(shop: Shop):
    shop.put("a.csv", f"{HEADER},clock\n{GOOD},10:15\n2,10:15,north,a,2,1.50,10:15\n")
    done = shop.sales()
    assert done.rules() == {"time_without_date:sold_at": 1}
    joined = shop.sales(columns={"sold_at": "to_timestamp(concat('2024-01-01 ', clock))"})
    assert joined.count("kept") == 2


@pytest.mark.slow
def test_null_on_purpose_is_said_in_the_mapping(shop: Shop):
    shop.put("a.csv", f"{HEADER},who\n{GOOD},0\n")
    columns = {"customer_id": "nullif(who, '0')"}
    with pytest.raises(InputError) as caught:
        shop.sales(columns=columns, max_quarantined_share=0.05)
    assert "tables.sales.nullable: [customer_id]" in caught.value.fix
    done = shop.sales(columns=columns, spec={"nullable": ["customer_id"]})
    assert done.rows("sales", "customer_id") == [(None,)]


@pytest.mark.slow
def test_headers_that_differ_by_case_are_the_same_columns(shop: Shop):
    shop.put("a.csv", f"{HEADER}\n{GOOD}\n")
    shop.put("b.csv", f"{HEADER.upper()}\n2,2024-01-02 10:00:00,north,a,3,1.5\n{GOOD}\n")
    done = shop.sales()
    assert (done.count("kept"), done.count("quarantined"), done.count("exact_duplicates")) == (2, 0, 1)


def test_ansi_mode_is_back_after_an_ingest_that_failed(shop: Shop):
    shop.put("a.csv", f"{HEADER}\n{GOOD}\n")
    with pytest.raises(UsageError):
        shop.sales(columns={"quantity": "cast(n as"})
    assert shop.spark.conf.get("spark.sql.ansi.enabled") == "true"
