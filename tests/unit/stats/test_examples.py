"""The examples in the docstrings of retail_spark/stats are what they say."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

from retail_spark import stats


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(stats.__path__)])
def test_the_examples_of_a_module_hold(name: str) -> None:
    assert doctest.testmod(import_module(f"retail_spark.stats.{name}")).failed == 0
