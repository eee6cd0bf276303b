"""The examples in the docstrings of the statistics that experiments stand on."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

MODULES = ("moments", "delta_method", "differences", "sequences", "false_discovery", "sample_ratio", "power")


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    found = doctest.testmod(import_module(f"retail_spark.stats.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
