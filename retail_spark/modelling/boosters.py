"""Boosted trees by xgboost.spark, the same on any number of cores."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.errors import ServiceMissingError
from retail_spark.spark.session import is_classic


def check_can_train(spark: SparkSession, *, job: str, instead: str = "") -> None:
    """Raises ServiceMissingError where xgboost.spark cannot train; `instead` is what else the user may do.

    xgboost tells every training at level INFO: from here on, its warnings alone are heard.
    """
    alternative = f", or {instead}" if instead else ""
    try:
        import xgboost.spark  # noqa: F401
    except ImportError as error:
        raise ServiceMissingError(
            f"xgboost is not installed: {error}.",
            fix=f"pip install 'xgboost-cpu==3.2.0' (requirements.lock has it){alternative}",
        ) from error
    logging.getLogger("XGBoost-PySpark").addFilter(_is_warning)
    if not is_classic(spark):
        raise ServiceMissingError(
            "xgboost.spark trains on classic Spark only, and this session is Spark Connect.",
            fix=f"run {job} by retail-spark run or spark-submit, without SPARK_REMOTE{alternative}",
        )


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


def train_booster(
    rows: DataFrame,
    *,
    kind: Literal["classifier", "regressor"],
    width: int,
    placed_by: Sequence[str],
    ordered_by: Sequence[str],
    workers: int,
    trees: int,
    seed: int,
    weighted: bool = False,
    **parameters: Any,
) -> bytes:
    """The booster of `label` given `x`, as xgboost's JSON; it knows its features by position. Classic Spark only.

    Rows lie on the workers by the hash of `placed_by`, and there in the order of `ordered_by`: the number of workers is
    a setting, and so no number of cores changes a tree.

    Args:
        rows: one row to train from each: `x` (array of floats, NaN where missing), `label`, `weight` where `weighted`,
            and the columns that place and order it.
        width: the length of `x`.
        workers: the tasks that train together.
        trees: rounds of boosting.
        parameters: those of xgboost, such as max_depth.
    """
    from xgboost.spark import SparkXGBClassifier, SparkXGBRegressor

    estimator = {"classifier": SparkXGBClassifier, "regressor": SparkXGBRegressor}[kind]
    names = [f"x{n}" for n in range(width)]
    columns = [F.col("x")[n].alias(name) for n, name in enumerate(names)]
    kept = list(dict.fromkeys([*placed_by, *ordered_by, "label", *(["weight"] if weighted else [])]))
    placed = rows.select(*kept, *columns).repartition(workers, *placed_by).sortWithinPartitions(*ordered_by)
    if weighted:
        parameters["weight_col"] = "weight"
    fitted = estimator(
        features_col=names, label_col="label", num_workers=workers, n_estimators=trees, random_state=seed,
        verbosity=0, verbose=False, **parameters,
    ).fit(placed)  # fmt: skip
    booster = fitted.get_booster()
    booster.feature_names = None
    return bytes(booster.save_raw("json"))
