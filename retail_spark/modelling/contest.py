"""Who scores: the candidate, the champion in force, or a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retail_spark.modelling.gate import Gate
from retail_spark.modelling.served import Served

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Candidate:
    """A trained model on its way into the registry.

    The registered version loads `served` from `artifacts`, files (numpy, JSON) by name: nothing is pickled. The
    signature is inferred from `example` and `example_output`; `recipe` (JSON values) is all that is needed to train
    the same model again on other data.
    """

    served: type[Served]
    artifacts: Mapping[str, Path]
    example: pd.DataFrame
    example_output: pd.DataFrame
    gate: Gate
    recipe: Mapping[str, Any]
    params: Mapping[str, str | int | float | bool]
    packages: tuple[str, ...] = ()
    """Distributions that `served` imports beside numpy, pandas, mlflow and this package; pinned in the model."""
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
