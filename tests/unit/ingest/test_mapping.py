"""A mapping is refused before anything is read, with the key at fault and the nearest right name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retail_spark.engine.launch import launch
from retail_spark.engine.settings_layers import resolve
from retail_spark.errors import RetailSparkError, UsageError
from retail_spark.ingest.job import JOB
from retail_spark.ingest.mapping import SourceMapping, check_mapping, mapping_of

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


def test_a_misspelt_key_of_an_input_names_the_nearest():
    with pytest.raises(UsageError) as caught:
        resolve(sets=["inputs.lines.path=/x", "inputs.lines.seperator=;"])
    assert caught.value.fix == "did you mean inputs.lines.separator?"


def test_an_encoding_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match="there is no encoding 'latin9000'"):
        resolve(sets=["inputs.lines.path=/x", "inputs.lines.encoding=latin9000"])


def test_an_expression_that_reads_elsewhere_is_refused_wherever_it_stands():
    reads = "reflect('java.lang.System', 'getenv', 'HOME')"
    for spec in (
        {"columns": SALES | {"order_id": reads}},
        {"columns": SALES, "where": f"{reads} = 'x'"},
        {"columns": SALES, "join": {"lines": {"a": reads}}},
        {"columns": SALES, "explode": {"x": f"array({reads})"}},
        {"columns": SALES | {"sale_id": "id"}, "one_row": f"latest {reads}"},
    ):
        assert "reflect has no place" in refused(tables={"sales": {"from": "lines"} | spec})


def test_nullable_names_mapped_columns():
    spec = {"from": "lines", "columns": SALES, "nullable": ["order_id"]}
    assert "no mapped column 'order_id'" in refused(tables={"sales": spec})


def test_a_wrong_mapping_or_file_is_told_before_spark_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("retail_spark.engine.launch.get_session", lambda *_, **__: pytest.fail("Spark was started"))
    given = {"source": "shop", "inputs": {"lines": {"path": str(tmp_path)}}, "lake": {"root": str(tmp_path / "lake")}}

    def told(columns: dict[str, str]) -> str:
        file = tmp_path / ".mapping.yml"
        file.write_text(json.dumps(given | {"tables": {"sales": {"from": "lines", "columns": columns}}}))
        with pytest.raises(RetailSparkError) as caught:
            launch(JOB, resolve(files=[file]))
        return str(caught.value)

    assert "did you mean to_timestamp?" in told(SALES | {"sold_at": "to_timestmp(day)"})
    assert "there is no file at" in told(SALES)
    (tmp_path / "x.csv").write_bytes(b"PK\x03\x04")
    assert "x.csv is not csv: it seems to be a zip archive" in told(SALES)


@pytest.mark.parametrize("name", ["lake[1]", "a:b", "a%41", "a?b", "a#b"])
def test_a_lake_in_a_folder_that_delta_reads_otherwise_is_refused(name: str):
    with pytest.raises(UsageError, match=r"lake\.root: a lake cannot lie in a folder"):
        resolve(sets=[f"lake.root='/tmp/{name}'"])


def test_a_separator_is_one_sign():
    assert "a separator is one character" in _refused_by_settings("inputs.lines.separator='||'")
    settings = resolve(sets=["inputs.lines.path=/x", r"inputs.lines.separator='\t'"])
    assert mapping(inputs=settings.inputs).inputs["lines"].separator == "\t"  # type: ignore[attr-defined]


def _refused_by_settings(given: str) -> str:
    with pytest.raises(UsageError) as caught:
        resolve(sets=["inputs.lines.path=/x", given])
    return str(caught.value)
