"""The smallest model from code: multiplies by a number. Logged by machinery_cost.py."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pandas as pd


class Times(mlflow.pyfunc.PythonModel):
    """value -> value times the factor."""

    def load_context(self, context: mlflow.pyfunc.PythonModelContext) -> None:
        self.factor = json.loads(Path(context.artifacts["factor"]).read_text())["factor"]

    def predict(self, context: mlflow.pyfunc.PythonModelContext, model_input: pd.DataFrame) -> pd.DataFrame:
        return model_input * self.factor


mlflow.models.set_model(Times())
