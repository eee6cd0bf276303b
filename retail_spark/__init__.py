"""Retail AI as Spark jobs: contracts on Delta Lake, safe reruns, models in MLflow."""

__version__ = "0.2.0"
"""The one place where the version stands; the metadata of the package take it from here."""
