"""The risk score: expected value at risk, on a scale of 0 to 100 that rises with each of its inputs."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.tables.supplier_risk import BANDS


def value_at_risk(
    *, cost_per_day_late: float, cost_of_being_late: float, concentration_weight: float, single_source_weight: float
) -> Column:
    """P(late) x cost of delay x share of spend, as a share of all spend, more where little else is at hand.

    From p_late, days_late (mean days of a late shipment), value_share, hhi, hhi_country (NULL as 0) and
    is_single_source.
    """
    cost = F.lit(cost_of_being_late) + F.lit(cost_per_day_late) * F.col("days_late")
    index = F.greatest("hhi", F.coalesce("hhi_country", F.lit(0.0)))
    single = F.when(F.col("is_single_source"), F.lit(single_source_weight)).otherwise(F.lit(0.0))
    return F.col("p_late") * cost * F.col("value_share") * (1 + F.lit(concentration_weight) * index + single)


def with_score(suppliers: DataFrame, *, reference: float, bands: Sequence[float], **weights: float) -> DataFrame:
    """Adds risk_score and risk_band: 100 (1 - exp(-value at risk / reference)), cut at `bands`. Same grain."""
    score = F.least(100 * (1 - F.exp(-value_at_risk(**weights) / reference)), F.lit(100.0))
    band = F.when(F.col("risk_score") >= bands[2], BANDS[3]).when(F.col("risk_score") >= bands[1], BANDS[2])
    band = band.when(F.col("risk_score") >= bands[0], BANDS[1]).otherwise(BANDS[0])
    return suppliers.withColumn("risk_score", score).withColumn("risk_band", band)
