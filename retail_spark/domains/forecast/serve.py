"""The registered policy, from code: given the history of series, their forecasts. Needs xgboost, not Spark."""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from retail_spark.domains.forecast.served import Policy, served


class Forecaster(PythonModel):  # type: ignore[misc]
    """One row per series given and period ahead: mean, quantiles, model and status."""

    def load_context(self, context: Any) -> None:
        """Reads the JSON files of the version."""
        self.policy = Policy.load(context.artifacts)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Forecasts; the columns are store_id, product_id, date (ISO) and quantity."""
        return served(self.policy, model_input)


mlflow.models.set_model(Forecaster())
