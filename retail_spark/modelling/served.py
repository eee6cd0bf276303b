"""Models outside Spark: what a registered version is loaded from and asked, and how it names its class."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    import pandas as pd

SERVED = "served"
"""The key of a version's model_config that names its class."""


class Served(Protocol):
    """A model outside Spark: what the registered version loads, and asks."""

    @classmethod
    def load(cls, files: Mapping[str, str | Path], /) -> Served:
        """The model from its files, by name."""

    def answer(self, asked: pd.DataFrame, /) -> pd.DataFrame:
        """The answer to a frame, as the version's signature says."""


def address_of(served: type[Served]) -> str:
    """The class as `package.module:Class`."""
    return f"{served.__module__}:{served.__qualname__}"


def class_at(address: str) -> type[Served]:
    """The class of an address.

    >>> class_at("retail_spark.stats.calibration:Calibration").__name__
    'Calibration'
    """
    module, _, name = address.partition(":")
    found: Any = getattr(import_module(module), name)
    return cast("type[Served]", found)
