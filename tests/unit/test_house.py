"""The walls of the house, as tests: how long a room may get, and what may not be used."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from retail_spark.engine.catalogue import all_jobs
from retail_spark.tables.silver import SILVER, quarantine_of

PACKAGE = Path(__file__).parents[2] / "retail_spark"
MODULES = sorted(PACKAGE.rglob("*.py"))
FORBIDDEN_ROOMS = {"utils", "helpers", "common", "misc"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_stay_small_and_well_named(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400, "move a wall: a module has at most 400 lines"
    assert path.stem not in FORBIDDEN_ROOMS
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 45, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_core_runs_on_spark_connect(path: Path) -> None:
    if path.name == "session.py":
        return
    assert not re.search(r"\.sparkContext|\._jvm|\._jsc|\.rdd\b", path.read_text())


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_time_and_chance_come_from_the_run(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"F\.(rand|randn|current_timestamp|current_date|now|uuid)\(", text)
    assert not re.search(r"np\.random\.(?!default_rng|Generator)|\brandom\.(random|choice|shuffle)\(", text)


def test_every_job_has_settings_and_a_sentence() -> None:
    for name, entry in all_jobs().items():
        assert entry.job().name == name
        assert entry.does
        assert entry.settings.__doc__


@pytest.mark.parametrize("contract", [*SILVER, *map(quarantine_of, SILVER)], ids=lambda c: c.name)
def test_contracts_say_what_they_hold(contract) -> None:  # type: ignore[no-untyped-def]
    assert contract.grain.endswith(".")
    assert all(column.comment for column in contract.columns)
    assert {"source", "run_id"} & set(contract.names)
