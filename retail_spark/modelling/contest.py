"""Who scores: the candidate, the champion in force, or a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retail_spark.modelling.gate import Gate

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Candidate:
    """A trained model on its way into the registry.

    `code` is a Python file, on disk or in the zip that a cluster was sent, which ends in
    `mlflow.models.set_model(...)` (models from code: no pickle); `artifacts` are files (numpy, JSON) that its
    `load_context` reads by name. Its `predict` hints `pd.DataFrame` for input and output, or MLflow warns at every
    load. The signature is inferred from `example` and `example_output`; `recipe` (JSON values) is all that is needed
    to train the same model again on other data.
    """

    code: Traversable
    artifacts: Mapping[str, Path]
    example: pd.DataFrame
    example_output: pd.DataFrame
    gate: Gate
    recipe: Mapping[str, Any]
    params: Mapping[str, str | int | float | bool]
    packages: tuple[str, ...] = ()
    """Distributions that `code` imports beside numpy, pandas, mlflow and this package; pinned in the model."""
    spark_model: Any = None
    """The Spark ML model behind it, if any, kept whole beside the served one: `mlflow.spark.load_model(
    "runs:/<MLflow's id of the run>/spark_model")`."""


@dataclass(frozen=True)
class Champion:
    """The model in force: its version, its recipe, the as_of it was trained up to, and its artifacts."""

    version: str
    as_of: str
    run_id: str
    recipe: Mapping[str, Any]
    artifacts: Mapping[str, Path]
    """Name -> local file, fetched from the registry when first asked for."""
