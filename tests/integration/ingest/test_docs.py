"""The reference of the mapping language holds every key with its default, and its examples do what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_core import PydanticUndefined
from pyspark.sql import SparkSession

from retail_spark.config.section import Section
from retail_spark.engine.settings_layers import resolve
from retail_spark.ingest.mapping import InputSpec, JdbcSpec, TableSpec
from retail_spark.lake.lake import Lake
from tests.integration.ingest.conftest import ingested

PAGE = (Path(__file__).parents[3] / "docs" / "mapping.md").read_text(encoding="utf-8")
REFERENCE, _, EXAMPLES = PAGE.partition("\n## Examples\n")
TITLES = re.findall(r"^### (.+)$", EXAMPLES, re.MULTILINE)
_FILE = re.compile(r"`([\w.]+)`(?: \(([\w-]+)\))?:\n\n```[\w-]+\n(.*?)```", re.DOTALL)


def blocks(title: str, kind: str) -> list[str]:
    part = EXAMPLES.split(f"### {title}\n")[1].split("\n### ")[0]
    return re.findall(rf"^```{kind}\n(.*?)^```", part, re.DOTALL | re.MULTILINE)


def default_of(model: type[Section], name: str) -> str:
    field = model.model_fields[name]
    if field.is_required() or field.default == "":
        return "required"
    value = field.get_default(call_default_factory=True)
    assert value is not PydanticUndefined
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


@pytest.mark.parametrize("model", [InputSpec, JdbcSpec, TableSpec], ids=lambda model: model.__name__)
def test_every_key_stands_in_the_reference_with_its_default(model: type[Section]):
    for name, field in model.model_fields.items():
        assert f"| `{field.alias or name}` | {default_of(model, name)} | " in REFERENCE


def test_every_key_is_used_by_an_example():
    used = {key for title in TITLES for key in _keys(yaml.safe_load(blocks(title, "yaml")[0]))}
    models: tuple[type[Section], ...] = (InputSpec, JdbcSpec, TableSpec)
    every = {field.alias or name for model in models for name, field in model.model_fields.items()}
    elsewhere = {"table", "user", "password"}  # a table of the lake, and what a database in memory does not ask for
    assert every - used == elsewhere


def _keys(value: Any) -> set[str]:
    if not isinstance(value, dict):
        return set()
    return set(value) | {key for inner in value.values() for key in _keys(inner)}


@pytest.mark.slow
@pytest.mark.parametrize("title", TITLES)
def test_an_example_gives_the_rows_below_it(spark: SparkSession, lake: Lake, tmp_path: Path, title: str):
    part = EXAMPLES.split(f"### {title}\n")[1].split("\n### ")[0]
    for name, encoding, text in _FILE.findall(part):
        (tmp_path / name).write_text(text, encoding=encoding or "utf-8")
    mapping = tmp_path / ".mapping.yml"
    mapping.write_text(blocks(title, "yaml")[0], encoding="utf-8")
    sets = [f"data_root={tmp_path}", f"lake.root={lake.root}", "ingest.max_quarantined_share=1"]
    done = ingested(spark, lake, resolve(files=[mapping], sets=sets))
    expected = [json.loads(line) for line in blocks(title, "json")[0].splitlines()]
    (table,) = {row.pop("table") for row in expected}
    names = list(expected[0])
    found = [row.asDict() for row in done.frames[table].select(*names).collect()]
    assert sorted(map(str, found)) == sorted(map(str, expected))
    assert done.count("quarantined", table) == 0
