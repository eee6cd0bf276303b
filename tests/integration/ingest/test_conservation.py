"""Rows in = kept + quarantined + exact duplicates + filtered + collapsed, whatever the rows and their order."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.ingest.conftest import Done, Shop

COLUMNS = ("id", "name", "at", "cost", "kind")
VALUES = {
    "id": st.sampled_from(["", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
    "name": st.sampled_from(["", "tea", "caf\u00e9", '"a, b"', "x\ufffd", "-"]),
    "at": st.sampled_from(["", "2024-01-01", "2024-01-02", "2024-02-30", "soon"]),
    "cost": st.sampled_from(["", "1.5", "-1", "NaN", "Infinity", "1e400", "free"]),
    "kind": st.sampled_from(["", "goods", "goods", "goods", "fee"]),
}
ROWS = st.lists(
    st.one_of(st.fixed_dictionaries(VALUES).map(lambda r: tuple(r[c] for c in COLUMNS)), st.just(("broken", "line"))),
    min_size=40,
    max_size=120,
)
TABLES = {
    "products": {
        "from": "lines",
        "where": "kind <> 'fee' or kind is null",
        "columns": {
            "product_id": "id",
            "product_name": "name",
            "unit_cost": "cast(cost as double)",
            "received_at": "to_timestamp(at)",
        },
    },
    "stores": {
        "from": "lines",
        "one_row": "latest struct(at, cost)",
        "columns": {"store_id": "id", "store_name": "name"},
    },
    "sales": {
        "from": "lines",
        "duplicates": "keep",
        "columns": {
            "sold_at": "to_timestamp(at)",
            "store_id": "'s'",
            "product_id": "id",
            "quantity": "1.0D",
            "unit_price": "cast(cost as double)",
        },
    },
}


def put_files(shop: Shop, rows: Sequence[tuple[str, ...]], *, size: int, turned: bool) -> None:
    """The rows in files of `size`; `turned` writes the columns of every second file the other way round."""
    shutil.rmtree(shop.folder, ignore_errors=True)
    for number, part in enumerate(_parts(rows, size)):
        back = turned and number % 2 == 1
        lines = [COLUMNS[::-1] if back else COLUMNS, *[row[::-1] if back and len(row) > 2 else row for row in part]]
        shop.put(f"{number:03}.csv", "\n".join(",".join(line) for line in lines) + "\n")


def _parts(rows: Sequence[tuple[str, ...]], size: int) -> list[Sequence[tuple[str, ...]]]:
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def assert_conserved(done: Done, rows: int) -> None:
    for table in TABLES:
        parts = ("kept", "quarantined", "exact_duplicates", "filtered", "collapsed")
        assert done.count("rows_in", table) == rows
        assert sum(done.count(part, table) for part in parts) == rows
        assert done.frames[table].count() == done.count("kept", table)
        assert done.frames[f"{table}_quarantine"].count() == done.count("quarantined", table)
        assert sum(done.rules(table).values()) == done.count("quarantined", table)


@pytest.mark.slow
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(rows=ROWS, seed=st.integers(0, 1000), size=st.integers(15, 60))
def test_every_row_is_accounted_for_and_order_changes_nothing(
    shop: Shop, rows: list[tuple[str, ...]], seed: int, size: int
):
    put_files(shop, rows, size=len(rows), turned=False)
    whole = shop.ingest(TABLES)
    assert_conserved(whole, len(rows))
    # Identical rows in several files are one; numbering within a file needs them together, so sales are left out.
    kept = {table: whole.rows(table, *_stable(table)) for table in ("products", "stores")}
    bad = whole.rows("products_quarantine", "rule", "row_hash")
    shuffled = list(rows)
    Random(seed).shuffle(shuffled)
    put_files(shop, shuffled, size=size, turned=True)
    parts = shop.ingest(TABLES)
    assert_conserved(parts, len(rows))
    assert {table: parts.rows(table, *_stable(table)) for table in kept} == kept
    malformed = [row for row in bad if row[0] != "malformed_line"]
    again = [row for row in parts.rows("products_quarantine", "rule", "row_hash") if row[0] != "malformed_line"]
    assert sorted(rule for rule, _ in again) == sorted(rule for rule, _ in malformed)


def _stable(table: str) -> tuple[str, ...]:
    return ("product_id", "row_hash") if table == "products" else ("store_id", "row_hash")
