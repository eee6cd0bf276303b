"""The registered model, from code: given a frame with customer_id, the lists of these customers. Needs no Spark."""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel

from retail_spark.domains.recommend.served import ServedModel


class Recommender(PythonModel):  # type: ignore[misc]
    """One row per (list, customer_id, rank) for the customers asked for; strangers get what is popular."""

    def load_context(self, context: Any) -> None:
        """Reads the numpy and JSON files of the version."""
        self.model = ServedModel.load(context.artifacts)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """The lists of the customers in column customer_id (text; nothing there: a stranger).

        A column recent_product_ids may hold a list of products that the customer bought since the model was learned,
        a column candidate_product_ids a list of the products to be ranked.
        """
        return self.model.answer(model_input)


mlflow.models.set_model(Recommender())
