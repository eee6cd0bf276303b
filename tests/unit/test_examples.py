"""The examples in the docstrings of the shared rooms are what they say."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

from retail_spark import frames, modelling, stats

ROOMS = (frames, modelling, stats)
RUN_BY_MLFLOW = "retail_spark.modelling.pyfunc"
"""Registers itself as the model of whoever imports it."""
MODULES = sorted(
    {module.name for room in ROOMS for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")}
    - {RUN_BY_MLFLOW}
)
WITH_EXAMPLES = {
    "retail_spark.frames.days", "retail_spark.modelling.recipe", "retail_spark.modelling.served",
    *(f"retail_spark.stats.{name}" for name in ("moments", "delta_method", "differences", "sequences",
                                                "false_discovery", "sample_ratio", "power", "survival")),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    found = doctest.testmod(import_module(name))
    assert found.failed == 0
    assert found.attempted > 0 or name not in WITH_EXAMPLES


def test_modules_that_had_examples_are_there() -> None:
    assert set(MODULES) >= WITH_EXAMPLES
