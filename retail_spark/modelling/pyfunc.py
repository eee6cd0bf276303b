"""The registered model, from code: one for all domains. It needs numpy, pandas and what the model predicts with.

MLflow runs this file when it loads a version. Which class answers stands in the version's model_config, as
`package.module:Class`, and the class keeps to `retail_spark.modelling.served.Served`.
"""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from retail_spark.modelling.served import SERVED, class_at


class RegisteredModel(PythonModel):  # type: ignore[misc]
    """A frame in, a frame out; what both hold stands in the version's signature."""

    def load_context(self, context: Any) -> None:
        """Reads the files of the version with the class that it names."""
        self.served = class_at(context.model_config[SERVED]).load(context.artifacts)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """What the model answers; `load_context` was called before."""
        answer: pd.DataFrame = self.served.answer(model_input)
        return answer


mlflow.models.set_model(RegisteredModel())
