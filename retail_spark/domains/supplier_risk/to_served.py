"""The learned model on its way into the registry."""

from __future__ import annotations

import pandas as pd

from retail_spark.domains.supplier_risk.recipe import Recipe
from retail_spark.domains.supplier_risk.served import Scorer
from retail_spark.modelling.artifact import ModelFiles
from retail_spark.modelling.contest import Candidate
from retail_spark.modelling.gate import Gate


def to_candidate(model: Scorer, *, recipe: Recipe, gate: Gate, example: pd.DataFrame) -> Candidate:
    """The candidate: `example` is a few lines with their features."""
    shown = pd.DataFrame(
        {f.name: example[f.name].astype("object" if f.is_text else "float64") for f in model.encoder.features}
    )
    return Candidate(
        served=Scorer,
        artifacts=ModelFiles(model.save),
        example=shown,
        example_output=model.answer(shown),
        gate=gate,
        recipe=recipe.to_json(),
        params={"features": len(model.encoder.features), "calibration_slope": model.calibration.slope},
        packages=("xgboost-cpu",),
    )
