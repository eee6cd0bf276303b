"""What a job hands to the registry, and what the registry hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retail_spark.registry.gates import Gate

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Candidate:
    """A trained model on its way into the registry.

    `code` is a Python file that ends in `mlflow.models.set_model(...)` (models from code: no pickle); `artifacts`
    are files (numpy, JSON) that its `load_context` reads by name. The signature is inferred from `example` and
    `example_output`; `recipe` (JSON values) is all that is needed to train the same model again on other data.
    """

    code: Path
    artifacts: Mapping[str, Path]
    example: pd.DataFrame
    example_output: pd.DataFrame
    gate: Gate
    recipe: Mapping[str, Any]
    params: Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class Champion:
    """The model in force: its version, its recipe, the as_of it was trained up to, and its artifacts."""

    version: str
    as_of: str
    run_id: str
    recipe: Mapping[str, Any]
    artifacts: Mapping[str, Path]
    """Name -> local file, fetched from the registry."""
