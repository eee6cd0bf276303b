"""Incremental ingest: a file is taken once, a refused micro-batch stays untaken, order changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from retail_spark.engine import run_job as lifecycle
from retail_spark.engine.job import Result
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.engine.settings_layers import resolve
from retail_spark.errors import InputError, UsageError
from retail_spark.ingest.job import JOB
from retail_spark.ingest.ledger import INGESTED_FILES
from tests.integration.ingest.conftest import HEADER, SALES, Shop

MAPPING = Path(__file__).parents[3] / "conf" / "sources" / "apache_access_log.yml"
PRODUCTS = {
    "products": {
        "from": "lines",
        "columns": {"product_id": "id", "product_name": "name", "received_at": "to_timestamp(at)"},
    }
}
TABLES = {"sales": {"from": "lines", "columns": SALES}}
FIRST = f"{HEADER}\n1,2024-01-01 10:00:00,north,a,2,1.5\n2,2024-01-01 11:00:00,north,b,1,2.5\n"
SECOND = f"{HEADER}\n1,2024-01-01 10:00:00,north,a,2,1.5\n3,2024-01-02 11:00:00,north,b,1,2.5\n"


def run(shop: Shop, tables: dict[str, Any], **own: Any) -> Result:
    settings = shop.settings(tables, **({"mode": "incremental"} | own))
    return run_job(JOB, settings, spark=shop.spark, progress=Progress("test", quiet=True))


def stored(shop: Shop, table: str, *columns: str) -> list[tuple[Any, ...]]:
    frame = shop.spark.read.format("delta").load(f"{shop.lake.root}/silver/{table}")
    return sorted(tuple(row) for row in frame.select(*columns).collect())


@pytest.mark.slow
def test_a_file_is_taken_once_and_its_known_rows_are_duplicates(shop: Shop):
    shop.put("a.csv", FIRST)
    first = run(shop, TABLES)
    assert (first.status, first.metrics["sales.kept"]) == ("done", 2.0)
    assert run(shop, TABLES).status == "unchanged"
    shop.put("b.csv", SECOND)
    second = run(shop, TABLES)
    assert (second.metrics["sales.rows_in"], second.metrics["sales.exact_duplicates"]) == (2.0, 1.0)
    assert [row[0] for row in stored(shop, "sales", "order_id")] == ["1", "2", "3"]


@pytest.mark.slow
def test_a_refused_batch_stays_untaken_until_it_is_mended_or_accepted(shop: Shop):
    shop.put("a.csv", FIRST)
    run(shop, TABLES, max_quarantined_share=0.1)
    bad = shop.put("b.csv", f"{HEADER}\n9,soon,north,a,2,1.5\n8,2024-01-02 11:00:00,north,b,1,2.5\n")
    with pytest.raises(InputError, match="Micro-batch 1 stays untaken") as caught:
        run(shop, TABLES, max_quarantined_share=0.1)
    assert "ingest.accept_batch=1" in caught.value.fix
    assert len(stored(shop, "sales", "order_id")) == 2
    assert stored(shop, "sales_quarantine", "rule") == []
    taken = run(shop, TABLES, max_quarantined_share=0.1, accept_batch=1)
    assert taken.metrics["sales.quarantined"] == 1.0
    assert [row[0] for row in stored(shop, "sales", "order_id")] == ["1", "2", "8"]
    assert bad.exists()


@pytest.mark.slow
def test_equal_rows_in_pieces_are_all_kept_and_a_file_delivered_again_is_not(
    shop: Shop, capsys: pytest.CaptureFixture[str]
):
    keep = {"sales": TABLES["sales"] | {"duplicates": "keep"}}
    row = "1,2024-01-01 10:00:00,north,a,2,1.5\n"
    pieces = {"a[1].csv": f"{HEADER}\n{row}", "b.csv": f"{HEADER}\n\n{row}{row}", "c.csv": f"{HEADER}\n\n{row}{row}"}
    kept, again = [], []
    for age, (name, text) in enumerate(pieces.items()):
        path = shop.put(name, text)
        os.utime(path, (1_700_000_000 - age * 864_000,) * 2)  # each ten days older than the one before
        metrics = run(shop, keep).metrics
        kept.append(metrics["sales.kept"])
        again.append(metrics["sales.exact_duplicates"])
    assert (kept, again) == ([1.0, 2.0, 0.0], [0.0, 0.0, 2.0])  # c is b under another name
    pieced = stored(shop, "sales", "sale_id")
    shop.put("b.csv", pieces["b.csv"] + row)
    assert run(shop, keep).status == "unchanged"
    assert "b.csv: changed since it was taken" in capsys.readouterr().err
    shop.put("b.csv", pieces["b.csv"])
    assert run(shop, keep, mode="batch").metrics["sales.kept"] == 3.0
    assert stored(shop, "sales", "sale_id") == pieced  # incremental is batch
    shop.put("d.csv", pieces["b.csv"])
    assert run(shop, keep).metrics["sales.exact_duplicates"] == 2.0  # what batch took is known


@pytest.mark.slow
def test_a_source_that_brings_nothing_any_more_is_refused_unless_allowed(shop: Shop):
    shop.put("a.csv", FIRST)
    run(shop, TABLES, mode="batch")
    shop.put("a.csv", f"{HEADER}\n")
    with pytest.raises(InputError, match="brings no row to keep") as caught:
        run(shop, TABLES, mode="batch")
    assert "ingest.allow_empty" in caught.value.fix
    assert len(stored(shop, "sales", "order_id")) == 2
    run(shop, TABLES, mode="batch", allow_empty=True)
    assert stored(shop, "sales", "order_id") == []


@pytest.mark.slow
def test_batches_in_any_order_end_with_the_rows_of_one_batch(shop: Shop):
    files = {
        "a": "id,name,at\n1,old,2024-01-01\n2,two,2024-01-01\n",
        "b": "id,name,at\n1,new,2024-02-01\n3,three,2024-01-01\n1,mid,2024-01-15\n",
        "c": "id,name,at\n1,mid,2024-01-15\n1,old,2024-01-01\n",
    }
    ends = []
    for batches in (("abc",), ("ab", "c"), ("c", "b", "a")):
        lake = f"{shop.lake.root}_{len(batches)}"
        folder = f"in{len(batches)}"
        for batch in batches:
            for name in batch:
                shop.put(f"{folder}/{name}.csv", files[name])
            settings = shop.settings(
                PRODUCTS, inputs={"lines": {"path": str(shop.folder / folder)}}, mode="incremental"
            )
            moved = settings.model_copy(update={"lake": settings.lake.model_copy(update={"root": lake})})
            run_job(JOB, moved, spark=shop.spark, progress=Progress("test", quiet=True))
        kept = shop.spark.read.format("delta").load(f"{lake}/silver/products")
        bad = shop.spark.read.format("delta").load(f"{lake}/silver/products_quarantine")
        ends.append(
            (
                sorted(map(tuple, kept.select("product_id", "product_name", "row_hash").collect())),
                sorted(map(tuple, bad.select("rule", "row_hash").collect())),
            )
        )
    assert ends[0] == ends[1] == ends[2]
    assert [name for _, name, _ in ends[0][0]] == ["new", "two", "three"]
    assert [rule for rule, _ in ends[0][1]] == ["key_conflict", "key_conflict"]


@pytest.mark.slow
def test_a_run_cut_off_between_two_tables_ends_like_an_uninterrupted_one(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    shop.put("a.csv", "id,name,at\n1,old,2024-01-01\n")
    run(shop, PRODUCTS)
    shop.put("b.csv", "id,name,at\n1,new,2024-02-01\n2,two,2024-01-01\n")
    whole = lifecycle.carry_out

    def cut_off(lake: Any, write: Any, *, run_id: str) -> Any:
        done = whole(lake, write, run_id=run_id)
        if write.contract.name == "silver.products":
            raise RuntimeError("the power failed")
        return done

    monkeypatch.setattr(lifecycle, "carry_out", cut_off)
    with pytest.raises(RuntimeError, match="power failed"):
        run(shop, PRODUCTS)
    monkeypatch.setattr(lifecycle, "carry_out", whole)
    result = run(shop, PRODUCTS)
    assert (result.metrics["products.kept"], result.metrics["products.superseded"]) == (2.0, 1.0)
    assert stored(shop, "products", "product_id", "product_name") == [("1", "new"), ("2", "two")]
    assert [row[0] for row in stored(shop, "products_quarantine", "rule")] == ["key_conflict"]


@pytest.mark.slow
def test_batch_mode_replaces_the_slice_of_its_source_and_no_other(shop: Shop):
    shop.put("a.csv", FIRST)
    run(shop, TABLES, mode="batch")
    other = shop.settings(TABLES, source="other", mode="batch")
    run_job(JOB, other, spark=shop.spark, progress=Progress("test", quiet=True))
    shop.put("a.csv", FIRST.replace("2.5", "9.5"))
    run(shop, TABLES, mode="batch")
    prices = stored(shop, "sales", "source", "order_id", "unit_price")
    assert prices == [("other", "1", 1.5), ("other", "2", 2.5), ("shop", "1", 1.5), ("shop", "2", 9.5)]


@pytest.mark.slow
def test_what_was_ingested_answers_unchanged_without_spark(shop: Shop):
    shop.put("a.csv", FIRST)
    keep = {"sales": TABLES["sales"] | {"duplicates": "keep"}}  # which files were taken is remembered beside the rows
    first = run(shop, keep, mode="batch")
    settings = shop.settings(keep, mode="batch")
    again = run_job(
        JOB, settings, spark=lambda: pytest.fail("Spark was started"), progress=Progress("test", quiet=True)
    )
    assert (again.status, again.metrics) == ("unchanged", first.metrics)


@pytest.mark.slow
def test_what_batch_mode_took_is_known_to_incremental_mode(shop: Shop):
    shop.put("a.csv", FIRST)
    keep = {"sales": TABLES["sales"] | {"duplicates": "keep"}}
    run(shop, keep, mode="batch")
    later = run(shop, keep)
    assert (later.metrics["sales.kept"], later.metrics["sales.exact_duplicates"]) == (0.0, 2.0)
    assert [row[0] for row in stored(shop, "sales", "order_id")] == ["1", "2"]
    assert shop.lake.read(INGESTED_FILES.table).count() == 1


@pytest.mark.slow
def test_a_key_held_by_another_source_is_quarantined(shop: Shop):
    shop.put("a.csv", "id,name,at\n1,one,2024-01-01\n")
    run(shop, PRODUCTS, mode="batch")
    shop.put("a.csv", "id,name,at\n1,theirs,2024-01-01\n2,two,2024-01-01\n")
    other = shop.settings(PRODUCTS, source="other", mode="batch")
    result = run_job(JOB, other, spark=shop.spark, progress=Progress("test", quiet=True))
    assert result.metrics["products.quarantined.key_held_by_other_source"] == 1.0
    assert stored(shop, "products", "product_id", "source") == [("1", "shop"), ("2", "other")]


def test_a_refused_batch_writes_nothing(shop: Shop):
    shop.put("a.csv", f"{HEADER}\n9,soon,north,a,2,1.5\n")
    with pytest.raises(InputError, match="Nothing was written"):
        run(shop, TABLES, mode="batch", max_quarantined_share=0.05)
    assert not shop.lake.exists(JOB.writes[0].table)


def test_incremental_follows_one_input(shop: Shop):
    shop.put("a.csv", FIRST)
    inputs = {name: {"path": str(shop.folder)} for name in ("lines", "others")}
    tables = TABLES | {"products": PRODUCTS["products"] | {"from": "others"}}
    settings = shop.settings(tables, inputs=inputs, mode="incremental")
    with pytest.raises(UsageError, match="follows one input"):
        run_job(JOB, settings, spark=shop.spark, progress=Progress("test", quiet=True))


@pytest.mark.real
def test_the_log_in_three_shuffled_pieces_keeps_every_event(shop: Shop, data_folder: Callable[[str], Path]):
    lines = (data_folder("apache_access_log") / "apache_logs").read_bytes().splitlines(keepends=True)
    Random(42).shuffle(lines)
    kept = 0.0
    for piece in range(3):
        shop.put(f"piece_{piece}.log", b"".join(lines[piece::3]))
        sets = [f"inputs.log.path={shop.folder}/*.log", f"lake.root={shop.lake.root}", "ingest.mode=incremental"]
        settings = resolve(files=[MAPPING], sets=[*sets, "quality.data_docs=false"])
        metrics = run_job(JOB, settings, spark=shop.spark, progress=Progress("test", quiet=True)).metrics
        assert metrics["events.rows_in"] == metrics["events.kept"] + metrics["events.quarantined"]
        kept += metrics["events.kept"]
    assert kept == len(stored(shop, "events", "event_id")) == len(lines) - 1 == 9_999
