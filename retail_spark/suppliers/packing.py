"""The learned model on its way into the registry."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from retail_spark.registry.gates import Gate
from retail_spark.registry.models import Candidate
from retail_spark.suppliers.model import Scorer
from retail_spark.suppliers.recipe import Recipe


class ModelFiles(Mapping[str, Path]):
    """Name -> file of a saved model, in a folder that lives as long as this mapping."""

    def __init__(self, model: Scorer) -> None:
        self._folder = TemporaryDirectory(prefix="retail-spark-suppliers-")
        self._files = model.save(Path(self._folder.name))

    def __getitem__(self, name: str) -> Path:
        return self._files[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def to_candidate(model: Scorer, *, recipe: Recipe, gate: Gate, example: pd.DataFrame) -> Candidate:
    """The candidate: `example` is a few lines with their features."""
    shown = pd.DataFrame(
        {f.name: example[f.name].astype("object" if f.is_text else "float64") for f in model.encoder.features}
    )
    answer = model.score(shown)
    told = answer.assign(contributions=[json.dumps(parts) for parts in answer["contributions"]])
    return Candidate(
        code=files("retail_spark.suppliers") / "serve.py",
        artifacts=ModelFiles(model),
        example=shown,
        example_output=told,
        gate=gate,
        recipe=recipe.to_json(),
        params={"features": len(model.encoder.features), "calibration_slope": model.calibration.slope},
        packages=("xgboost-cpu",),
    )
