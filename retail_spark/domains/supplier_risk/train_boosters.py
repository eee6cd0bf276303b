"""Training with xgboost.spark, and scoring with what it learned. Training needs classic Spark and says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.domains.supplier_risk.features import IDS, Encoder
from retail_spark.domains.supplier_risk.recipe import Recipe
from retail_spark.domains.supplier_risk.served import SCORES, Scorer

if TYPE_CHECKING:
    import xgboost

_QUANTILES = (0.5, 0.9)
_BY_THE_LINE = ("delivery_id", "shipment")


def train_late(known: DataFrame, *, encoder: Encoder, recipe: Recipe, seed: int) -> bytes:
    """The booster of P(late), as xgboost's JSON, from lines whose outcome is known."""
    from xgboost.spark import SparkXGBClassifier

    return _train(SparkXGBClassifier, known, label="is_late", encoder=encoder, recipe=recipe, seed=seed, given={})


def train_delays(known: DataFrame, *, encoder: Encoder, recipe: Recipe, seed: int) -> bytes:
    """The booster of the quantiles of delay_days. xgboost.spark cannot score more than one; the Scorer can."""
    from xgboost.spark import SparkXGBRegressor

    given = {"objective": "reg:quantileerror", "quantile_alpha": list(_QUANTILES)}
    return _train(SparkXGBRegressor, known, label="delay_days", encoder=encoder, recipe=recipe, seed=seed, given=given)


def _train(
    estimator: Any,
    known: DataFrame,
    *,
    label: str,
    encoder: Encoder,
    recipe: Recipe,
    seed: int,
    given: Mapping[str, Any],
) -> bytes:
    """Rows lie on the workers by the hash of their id, and in its order there: no core count changes a tree."""
    matrix = with_matrix(known, encoder=encoder)
    names = [f"x{n}" for n in range(len(encoder.features))]
    columns = [F.col("x")[n].alias(name) for n, name in enumerate(names)]
    rows = matrix.select(*_BY_THE_LINE, F.col(label).cast("double").alias("label"), *columns)
    placed = rows.repartition(recipe.num_workers, "delivery_id").sortWithinPartitions("delivery_id")
    fitted = estimator(
        features_col=names,
        label_col="label",
        num_workers=recipe.num_workers,
        n_estimators=recipe.trees,
        max_depth=recipe.max_depth,
        learning_rate=recipe.learning_rate,
        subsample=recipe.subsample,
        colsample_bynode=recipe.column_share,
        num_parallel_tree=recipe.forest,
        min_child_weight=recipe.min_child_weight,
        reg_lambda=recipe.reg_lambda,
        tree_method="hist",
        random_state=seed,
        verbosity=0,
        verbose=False,
        **given,
    ).fit(placed)
    booster: xgboost.Booster = fitted.get_booster()
    booster.feature_names = None  # the matrix is known by position
    return bytes(booster.save_raw("json"))


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
