"""A mapping is refused before anything is read, with the key at fault and the nearest right name."""

from __future__ import annotations

from pathlib import Path

import pytest

from retail_spark.errors import RetailSparkError, UsageError
from retail_spark.ingest.mapping import SourceMapping, check_mapping, mapping_of
from retail_spark.layers import resolve

SALES = {
    "sold_at": "to_timestamp(day)",
    "store_id": "'s'",
    "product_id": "sku",
    "quantity": "cast(n as double)",
    "unit_price": "1.0D",
}


def mapping(**changes: object) -> SourceMapping:
    given = {
        "source": "shop",
        "inputs": {"lines": {"path": "/x/lines.csv"}},
        "tables": {"sales": {"from": "lines", "columns": SALES}},
    }
    return SourceMapping.model_validate(given | changes)


def refused(**changes: object) -> str:
    with pytest.raises(UsageError) as caught:
        check_mapping(mapping(**changes))
    return str(caught.value)


def test_a_sound_mapping_is_accepted():
    check_mapping(mapping())


def test_unknown_table_names_the_nearest():
    told = refused(tables={"sale": {"from": "lines", "columns": SALES}})
    assert "tables.sale" in told
    assert "did you mean sales?" in told


def test_unknown_column_names_the_nearest():
    told = refused(tables={"sales": {"from": "lines", "columns": SALES | {"quantitty": "1"}}})
    assert "tables.sales.columns.quantitty" in told
    assert "did you mean quantity?" in told


def test_missing_required_column_is_named():
    columns = {k: v for k, v in SALES.items() if k != "sold_at"}
    assert "lacks the required column sold_at" in refused(tables={"sales": {"from": "lines", "columns": columns}})


def test_table_without_a_key_is_refused():
    told = refused(tables={"products": {"from": "lines", "columns": {"product_name": "x"}}})
    assert "lacks the key product_id" in told


def test_join_to_an_unknown_input_is_refused():
    told = refused(tables={"sales": {"from": "lines", "join": {"line": ["a"]}, "columns": SALES}})
    assert "tables.sales.join" in told
    assert "did you mean lines?" in told


def test_unknown_driving_input_is_refused():
    assert "no input 'nothing'" in refused(tables={"sales": {"from": "nothing", "columns": SALES}})


def test_columns_that_ingest_fills_cannot_be_mapped():
    assert "row_hash" in refused(tables={"sales": {"from": "lines", "columns": SALES | {"row_hash": "1"}}})


def test_numbering_duplicates_needs_a_hashed_key():
    spec = {"from": "lines", "duplicates": "keep", "columns": SALES | {"sale_id": "id"}}
    assert "needs a hashed key" in refused(tables={"sales": spec})


def test_one_row_needs_a_mapped_key():
    assert "needs a key" in refused(tables={"sales": {"from": "lines", "one_row": "latest day", "columns": SALES}})


def test_source_name_is_plain():
    assert "not a plain name" in refused(source="My Shop")


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"path": "/x", "table": "a.b"},
        {"path": "/x", "format": "text"},
        {"path": "/x", "pattern": "(?<a>.)"},
        {"from": "lines"},
        {"path": "/x", "group_by": ["a"]},
    ],
)
def test_input_lies_in_one_place_and_is_whole(spec: dict[str, object]):
    with pytest.raises(ValueError, match="inputs"):
        mapping(inputs={"lines": spec})


def test_settings_without_a_source_say_which_file_to_give():
    with pytest.raises(UsageError, match="-c conf/sources"):
        mapping_of(resolve())


def test_password_is_a_reference_and_never_shown():
    jdbc = {"url": "jdbc:x", "query": "select 1", "password": "env:SHOP_PASSWORD"}
    given = mapping(inputs={"lines": {"jdbc": jdbc}})
    assert "SHOP_PASSWORD" not in repr(given)
    with pytest.raises(ValueError, match="by reference"):
        mapping(inputs={"lines": {"jdbc": jdbc | {"password": "hunter2"}}})


@pytest.mark.parametrize("file", sorted((Path(__file__).parents[3] / "conf" / "sources").glob("*.yml")), ids=str)
def test_every_mapping_that_is_shipped_is_sound(file: Path):
    settings = resolve(files=[file])
    try:
        found = mapping_of(settings)
    except RetailSparkError as error:
        pytest.fail(f"{file.name}: {error}")
    assert found.tables
