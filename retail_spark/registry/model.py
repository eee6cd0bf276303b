"""What the registry is told about a run, and what it hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
