"""The registered model, from code: price and context to units, with an interval. Needs no Spark."""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from retail_spark.domains.elasticity.served import DemandModel


class Demand(PythonModel):  # type: ignore[misc]
    """One row per row given: units, units_low, units_high, elasticity."""

    def load_context(self, context: Any) -> None:
        """Reads the JSON file of the version."""
        self.model = DemandModel.load(context.artifacts)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Units at `price`, given product_id, category, reference_price and reference_units."""
        return self.model.answer(model_input)


mlflow.models.set_model(Demand())
