"""What every job that trains with xgboost.spark shares."""

from __future__ import annotations

import logging

from pyspark.sql import SparkSession

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
