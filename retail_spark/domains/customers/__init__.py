"""Customers: what they will be worth, who has left, when the next purchase comes, cohorts and segments."""

from retail_spark.engine.catalogue import Entry

ENTRY = Entry(
    "what customers will be worth, who has left, when they buy next",
    headline=("rmse_purchases", "rmse_purchases_naive", "bias_value"),
)
