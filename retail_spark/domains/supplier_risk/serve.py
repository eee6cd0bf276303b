"""The registered model, from code: given the features of lines, P(late), delays and why. Needs xgboost, not Spark."""

from __future__ import annotations

import json
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from retail_spark.domains.supplier_risk.served import Scorer


class Lateness(PythonModel):  # type: ignore[misc]
    """One row per row given: p_late, p_late_raw, margin, delay quantiles, and contributions as JSON."""

    def load_context(self, context: Any) -> None:
        """Reads the JSON files of the version."""
        self.model = Scorer.load(context.artifacts)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Scores; the columns are the features by name, a missing number is NaN, a missing text None."""
        return served(self.model, model_input)


def served(model: Scorer, features: pd.DataFrame) -> pd.DataFrame:
    """What `predict` answers."""
    rows = model.score(features.reset_index(drop=True))
    return rows.assign(contributions=[json.dumps(parts) for parts in rows["contributions"]])


mlflow.models.set_model(Lateness())
