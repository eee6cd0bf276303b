"""Training with xgboost.spark, and scoring with what it learned. Training needs classic Spark and says so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.domains.supplier_risk.encoder import Encoder
from retail_spark.domains.supplier_risk.features import IDS
from retail_spark.domains.supplier_risk.recipe import Recipe
from retail_spark.domains.supplier_risk.served import SCORES, Scorer
from retail_spark.modelling.boosters import train_booster

_QUANTILES = (0.5, 0.9)


def train_late(known: DataFrame, *, encoder: Encoder, recipe: Recipe, seed: int) -> bytes:
    """The booster of P(late), as xgboost's JSON, from lines whose outcome is known."""
    return _train(known, kind="classifier", label="is_late", encoder=encoder, recipe=recipe, seed=seed)


def train_delays(known: DataFrame, *, encoder: Encoder, recipe: Recipe, seed: int) -> bytes:
    """The booster of the quantiles of delay_days. xgboost.spark cannot score more than one; the Scorer can."""
    quantiles = {"objective": "reg:quantileerror", "quantile_alpha": list(_QUANTILES)}
    return _train(known, kind="regressor", label="delay_days", encoder=encoder, recipe=recipe, seed=seed, **quantiles)


def _train(
    known: DataFrame,
    *,
    kind: Literal["classifier", "regressor"],
    label: str,
    encoder: Encoder,
    recipe: Recipe,
    seed: int,
    **parameters: Any,
) -> bytes:
    matrix = with_matrix(known, encoder=encoder)
    return train_booster(
        matrix.select("delivery_id", F.col(label).cast("double").alias("label"), "x"),
        kind=kind,
        width=len(encoder.features),
        placed_by=("delivery_id",),
        ordered_by=("delivery_id",),
        workers=recipe.num_workers,
        trees=recipe.trees,
        seed=seed,
        max_depth=recipe.max_depth,
        learning_rate=recipe.learning_rate,
        subsample=recipe.subsample,
        colsample_bynode=recipe.column_share,
        num_parallel_tree=recipe.forest,
        min_child_weight=recipe.min_child_weight,
        reg_lambda=recipe.reg_lambda,
        tree_method="hist",
        **parameters,
    )


def with_matrix(lines: DataFrame, *, encoder: Encoder) -> DataFrame:
    """IDS, and the features as one array of numbers (NaN for what is missing). Same grain."""
    ids = [field for field in lines.schema.fields if field.name in IDS]
    names = [field.name for field in ids]
    schema = T.StructType([*ids, T.StructField("x", T.ArrayType(T.FloatType()))])

    def encode(batches: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
        for batch in batches:
            rows = batch[names].copy()
            rows["x"] = list(encoder.matrix(batch))
            yield rows

    return lines.mapInPandas(encode, schema)


def with_scores(lines: DataFrame, *, scorer: Scorer, explain: bool) -> DataFrame:
    """IDS, SCORES, and contributions if asked. Same grain."""
    ids = [field for field in lines.schema.fields if field.name in IDS]
    names = [field.name for field in ids]
    told = [T.StructField("contributions", T.MapType(T.StringType(), T.DoubleType()))] if explain else []
    schema = T.StructType([*ids, *(T.StructField(name, T.DoubleType()) for name in SCORES), *told])

    def score(batches: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
        for batch in batches:
            rows = batch.reset_index(drop=True)
            yield pd.concat([rows[names], scorer.score(rows, explain=explain)], axis=1)

    scored = lines.mapInPandas(score, schema)
    missing = {name: F.when(~F.isnan(name), F.col(name)) for name in SCORES[3:]}
    return scored.withColumns(missing)
