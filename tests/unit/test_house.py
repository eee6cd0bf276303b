"""The walls of the house, as tests: who may import whom, how long a room may get, what may not be used."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from retail_spark.canonical import SILVER, quarantine_of
from retail_spark.domains import JOBS

PACKAGE = Path(__file__).parents[2] / "retail_spark"
MODULES = sorted(PACKAGE.rglob("*.py"))
DOMAINS = {path.parent.name for path in PACKAGE.glob("*/job.py")}
FORBIDDEN_ROOMS = {"utils", "helpers", "common", "misc"}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
    return {name for name in found if name.startswith("retail_spark")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_stay_small_and_well_named(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400, "move a wall: a module has at most 400 lines"
    assert path.stem not in FORBIDDEN_ROOMS
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 45, f"{node.name} has {length} lines"


@pytest.mark.parametrize("domain", sorted(DOMAINS))
def test_a_domain_never_imports_another(domain: str) -> None:
    others = {f"retail_spark.{other}" for other in DOMAINS - {domain}}
    for path in (PACKAGE / domain).glob("*.py"):
        guilty = {name for name in imports(path) if any(name.startswith(other) for other in others)}
        assert not guilty, f"{path.name} imports {guilty}"


def test_arrows_run_one_way() -> None:
    """lake, quality and registry know no run, no job and no domain; transforms and models know no storage."""
    upper = tuple(f"retail_spark.{name}" for name in ("run", "lifecycle", "launch", "cli", "domains", "demo", *DOMAINS))
    for room in ("lake", "quality", "registry"):
        for path in (PACKAGE / room).glob("*.py"):
            assert not {name for name in imports(path) if name.startswith(upper)}, path
    for domain in DOMAINS:
        for name in ("transforms", "model"):
            path = PACKAGE / domain / f"{name}.py"
            if path.exists():
                assert not {
                    i for i in imports(path) if i.startswith(("retail_spark.lake.store", "retail_spark.registry"))
                }


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
    for name, entry in JOBS.items():
        assert entry.job().name == name
        assert entry.does
        assert entry.settings.__doc__


@pytest.mark.parametrize("contract", [*SILVER, *map(quarantine_of, SILVER)], ids=lambda c: c.name)
def test_contracts_say_what_they_hold(contract) -> None:  # type: ignore[no-untyped-def]
    assert contract.grain.endswith(".")
    assert all(column.comment for column in contract.columns)
    assert {"source", "run_id"} & set(contract.names)
