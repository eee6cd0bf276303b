"""The learned elasticities on their way into the registry."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.elasticity.served import COLUMNS, DemandModel
from retail_spark.modelling.artifact import ModelFiles
from retail_spark.modelling.contest import Candidate
from retail_spark.modelling.gate import Gate


def to_model(shrunk: DataFrame, *, most: int, max_std_error: float) -> DemandModel:
    """The posterior of categories and of the `most` products whose own rows say most; a bounded number of rows.

    Whatever is not identified is left out; with no category that is, the model is empty.
    """
    shrunk = shrunk.where(F.col("std_error") <= max_std_error)  # neither NULL, nor infinite; of NaN it is false below
    shrunk = shrunk.where(~F.isnan("std_error") & ~F.isnan("elasticity"))
    names = [F.col("elasticity"), F.col("std_error")]
    is_told = F.col("raw_elasticity").isNotNull() & ~F.isnan("raw_elasticity")
    products = (
        shrunk.where(F.col("level") == "product").where(is_told).orderBy("raw_std_error", "product_id").limit(most)
    )
    known = products.select(F.lit("product").alias("level"), F.col("product_id").alias("member"), *names)
    categories = shrunk.where("level = 'category'")
    known = known.unionByName(
        categories.select(F.lit("category").alias("level"), F.col("category").alias("member"), *names)
    )
    table = known.toPandas().sort_values(["level", "member"], ignore_index=True)
    centre = table[table["level"] == "category"]
    if centre.empty:
        return DemandModel(table.iloc[:0][list(COLUMNS)])
    weights = 1 / centre["std_error"] ** 2
    mean = float((weights * centre["elasticity"]).sum() / weights.sum())
    apart = (centre["elasticity"] - mean) ** 2 + centre["std_error"] ** 2
    spread = float(((weights * apart).sum() / weights.sum()) ** 0.5)
    everything = {"level": "all", "member": "*", "elasticity": mean, "std_error": spread}
    return DemandModel(pd.concat([table, pd.DataFrame([everything])], ignore_index=True)[list(COLUMNS)])


def to_candidate(model: DemandModel, *, recipe: dict[str, Any], gate: Gate) -> Candidate:
    """The candidate, with an example of three products at a price ten percent up."""
    some = model.known[model.known["level"] == "product"].head(3)
    example = pd.DataFrame(
        {
            "product_id": some["member"].astype(str).to_numpy(),
            "category": "*",
            "price": 1.1,
            "reference_price": 1.0,
            "reference_units": 100.0,
        }
    )
    return Candidate(
        served=DemandModel,
        artifacts=ModelFiles(model.save),
        example=example,
        example_output=model.answer(example),
        gate=gate,
        recipe=recipe,
        params={"products": int((model.known["level"] == "product").sum())},
    )
