"""What a model has to beat: the shrunk rate of the finest history, and a logistic curve over the histories."""

from __future__ import annotations

from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.suppliers.recipe import Recipe
from retail_spark.suppliers.transforms import history_names, key_name

SHRUNK, LOGISTIC = "p_shrunk", "p_logistic"
_LEAST = 1e-4


def shrunk_rate(recipe: Recipe) -> Column:
    """The shrunk rate by the history key of most columns (the first of them), such as supplier by lane."""
    finest = max(recipe.history_keys, key=len)
    return _inside(F.col(f"{key_name(finest)}__rate"))


def with_shrunk(features: DataFrame, *, recipe: Recipe) -> DataFrame:
    """Adds p_shrunk. Same grain."""
    return features.withColumn(SHRUNK, shrunk_rate(recipe))


def with_logistic(features: DataFrame, *, train: DataFrame, recipe: Recipe) -> DataFrame:
    """Adds p_logistic: a logistic curve over the log odds of every history's rates, learned on `train`. Same grain."""
    rates = [name for name in history_names(recipe) if name.partition("__")[2].startswith("rate")]

    def with_inputs(rows: DataFrame) -> DataFrame:
        odds = {f"odds_{n}": F.log(_inside(F.col(name)) / (1 - _inside(F.col(name)))) for n, name in enumerate(rates)}
        return rows.withColumns(odds)

    inputs = [f"odds_{n}" for n in range(len(rates))]
    assemble = VectorAssembler(inputCols=inputs, outputCol="odds")
    curve = LogisticRegression(featuresCol="odds", labelCol="is_late", regParam=1e-3, maxIter=50)
    fitted = Pipeline(stages=[assemble, curve]).fit(train.transform(with_inputs).select("is_late", *inputs))
    scored = fitted.transform(features.transform(with_inputs))
    return scored.select(*features.columns, _inside(vector_to_array(F.col("probability"))[1]).alias(LOGISTIC))


def _inside(p: Column) -> Column:
    return F.least(F.greatest(p, F.lit(_LEAST)), F.lit(1 - _LEAST))
