"""What a job hands to the registry, and what the registry hands back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path
from tempfile import TemporaryDirectory
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


class ModelFiles(Mapping[str, Path]):
    """Name -> file of a model that `save` writes into a folder, which lives as long as this mapping."""

    def __init__(self, save: Callable[[Path], Mapping[str, Path]]) -> None:
        self._folder = TemporaryDirectory(prefix="retail-spark-model-")
        self._files = save(Path(self._folder.name))

    def __getitem__(self, name: str) -> Path:
        return self._files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


@dataclass(frozen=True)
class Champion:
    """The model in force: its version, its recipe, the as_of it was trained up to, and its artifacts."""

    version: str
    as_of: str
    run_id: str
    recipe: Mapping[str, Any]
    artifacts: Mapping[str, Path]
    """Name -> local file, fetched from the registry when first asked for."""


@dataclass(frozen=True)
class RunRecord:
    """What MLflow is told about a run. `as_of` is an ISO date."""

    run_id: str
    job: str
    as_of: str
    seed: int
    attempt: int
    params: Mapping[str, Any]
    """The job's section of the settings, as flat text (see `params_of`)."""
    inputs: Mapping[str, int | None]
    """Input table -> version that changed its data last; None when the table does not exist."""
    input_paths: Mapping[str, str] = field(default_factory=dict)
    """Input table -> where it lies, for tables that are paths."""
    scratch: str | None = None
    """A folder that the driver and every executor reach; None: MLflow's own choice (MLFLOW_DFS_TMP)."""
    champion_version: str | None = None
    """Version that the gate compared the candidate with."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version in the registry, and the MLflow run it came from."""

    name: str
    version: str
    mlflow_run_id: str

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"
