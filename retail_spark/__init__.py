"""Retail AI as Spark jobs: contracts on Delta Lake, safe reruns, models in MLflow."""

__version__ = "0.1.0"
