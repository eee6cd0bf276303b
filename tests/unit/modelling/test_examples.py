"""The examples in the docstrings of retail_spark/modelling are what they say."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

from retail_spark import modelling

MODULES = [module.name for module in pkgutil.iter_modules(modelling.__path__) if module.name != "pyfunc"]
WITH_EXAMPLES = {"recipe", "served"}


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    found = doctest.testmod(import_module(f"retail_spark.modelling.{name}"))
    assert found.failed == 0
    assert found.attempted > 0 or name not in WITH_EXAMPLES
