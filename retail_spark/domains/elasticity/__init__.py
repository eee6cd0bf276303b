"""Price elasticity from moments, its standard errors, and the prices that follow from it."""

from retail_spark.engine.catalogue import Entry

ENTRY = Entry(
    "what prices do to units, and the prices that follow",
    headline=("pooled_elasticity", "pooled_std_error_two_way", "rmse", "rmse_no_price"),
)
