"""The rows of gold.supplier_risk and gold.supplier_levels, put together. DataFrame to DataFrame."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.supplier_risk.changes import to_changes, to_outcomes
from retail_spark.domains.supplier_risk.concentration import to_concentration, with_spend_country
from retail_spark.domains.supplier_risk.explain import with_reasons
from retail_spark.domains.supplier_risk.history import to_events
from retail_spark.domains.supplier_risk.rates import (
    beta_quantile,
    to_fill,
    to_lead_times,
    to_level_rates,
    to_otif,
    with_lane,
    with_overdue,
)
from retail_spark.domains.supplier_risk.score import with_score
from retail_spark.domains.supplier_risk.settings import JobSettings
from retail_spark.stats.change_detection import Rule
from retail_spark.tables.supplier_risk import TRENDS

_LEAD_SHARES = (0.5, 0.9)


@dataclass(frozen=True)
class Window:
    """The time that suppliers are judged by, in days since 1970."""

    as_of: date
    days: int
    recent_days: int

    @property
    def as_of_day(self) -> int:
        return (self.as_of - date(1970, 1, 1)).days

    def lines(self, lines: DataFrame) -> DataFrame:
        """Lines promised within the window, or still open, with lane, category and value."""
        first = F.lit(self.as_of - timedelta(days=self.days))
        return lines.where((F.col("promised_on") > first) | F.col("is_late").isNull()).transform(with_lane)


def to_levels(judged: DataFrame, *, changes: DataFrame, window: Window, prior_weight: float) -> DataFrame:
    """One row per (level, member): rates, and the change seen there. `changes`: level, member, changed_on, ...

    The member of a change is a lane or a supplier_id as it is.
    """
    rates = to_level_rates(judged, as_of_day=window.as_of_day, prior_weight=prior_weight)
    keyed = rates.withColumn("_member", F.when(F.col("level") == "lane", F.col("lane")).otherwise(F.col("supplier_id")))
    seen = changes.select("level", F.col("member").alias("_member"), "changed_on", "changed_what")
    return keyed.join(seen, ["level", "_member"], how="left").drop("_member")  # changes: one row a level and member


def to_all_changes(judged: DataFrame, *, window: Window, settings: JobSettings) -> DataFrame:
    """One row per (level, member) with a change: of lanes in lateness, of suppliers in lateness and lead time."""
    rule = Rule(settings.odds_ratio, settings.false_alarm_years, settings.min_known, settings.prior_weight)
    return to_outcomes(judged, as_of_day=window.as_of_day).transform(to_changes, rule=rule)


def to_suppliers(
    judged: DataFrame,
    *,
    levels: DataFrame,
    changes: DataFrame,
    open_lines: DataFrame,
    suppliers: DataFrame | None,
    window: Window,
    settings: JobSettings,
) -> DataFrame:
    """One row per supplier_id of `judged`, with all columns of gold.supplier_risk.

    levels: `to_levels`; open_lines: `reasons.to_open_lines`; suppliers: silver.suppliers, where there is one.
    """
    own = levels.where(F.col("level") == "supplier").select(
        "supplier_id", "deliveries", "overdue", "late_rate", "late_rate_low", "late_rate_high"
    )
    overall = levels.where(F.col("level") == "all").select(F.col("late_rate").alias("late_rate_all"))
    own_changes = changes.where(F.col("level") == "supplier").select(
        F.col("member").alias("supplier_id"), "changed_on", "changed_what"
    )
    otif = to_otif(
        judged, as_of_day=window.as_of_day, level=settings.otif_level, late_days=settings.otif_late_days,
        early_days=settings.otif_early_days, full_share=settings.otif_full_share,
    )  # fmt: skip
    parts = (
        to_concentration(with_spend_country(judged, suppliers=suppliers)),
        otif,
        to_fill(judged),
        to_lead_times(judged, as_of_day=window.as_of_day, shares=_LEAD_SHARES),
        to_days_late(judged, window=window, prior_weight=settings.prior_weight),
        to_trend(judged, window=window, prior_weight=settings.prior_weight),
        own_changes,
        judged.groupBy("supplier_id").agg(F.count_if("is_contradictory").alias("contradictory_lines")),
        open_lines,
    )
    found = own.crossJoin(overall)
    for part in parts:  # each has one row a supplier
        found = found.join(part, "supplier_id", how="left")
    return found.transform(with_risk, settings=settings)


def with_risk(suppliers: DataFrame, *, settings: JobSettings) -> DataFrame:
    """Adds p_late (the shrunk rate where no line is open), risk_score, risk_band and reasons. Same grain."""
    filled = suppliers.fillna(0, ["open_deliveries", "overdue_deliveries"])
    scored = filled.withColumn("p_late", F.coalesce("p_open", "late_rate")).transform(
        with_score,
        reference=settings.score_reference,
        bands=settings.bands,
        cost_per_day_late=settings.cost_per_day_late,
        cost_of_being_late=settings.cost_of_being_late,
        concentration_weight=settings.concentration_weight,
        single_source_weight=settings.single_source_weight,
    )
    return scored.transform(with_reasons)


def to_days_late(judged: DataFrame, *, window: Window, prior_weight: float) -> DataFrame:
    """One row per supplier_id: days_late, the mean days of a late shipment, drawn to that of all suppliers.

    An overdue shipment counts with the days since its promise.
    """
    known = judged.transform(with_overdue, as_of_day=window.as_of_day)
    events = known.withColumn("member", F.col("supplier_id")).transform(to_events)
    days = F.when(F.col("late") == 1, F.col("delay"))
    sums = events.groupBy("member").agg(F.coalesce(F.sum(days), F.lit(0)).alias("days"), F.count(days).alias("late"))
    everyone = W.partitionBy(F.lit(0))  # one row a supplier
    of_all = F.coalesce(F.try_divide(F.sum("days").over(everyone), F.sum("late").over(everyone)), F.lit(1.0))
    mean = (F.col("days") + prior_weight * of_all) / (F.col("late") + prior_weight)
    return sums.select(F.col("member").alias("supplier_id"), mean.alias("days_late"))


def to_trend(judged: DataFrame, *, window: Window, prior_weight: float) -> DataFrame:
    """One row per supplier_id with a known outcome (overdue is late): trend.

    It is worse (better) when the recent 95 % interval lies above (below) the rate before. Recent is what was promised
    in the last recent_days and became known; both rates are drawn together. Without anything before it is steady.
    """
    certain = judged.transform(with_overdue, as_of_day=window.as_of_day)
    events = certain.withColumn("member", F.col("supplier_id")).transform(to_events).where(F.col("late").isNotNull())
    is_recent = F.col("promised_day") > window.as_of_day - window.recent_days
    counts = events.groupBy("member").agg(
        F.count_if(is_recent).alias("n"), F.count_if(is_recent & (F.col("late") == 1)).alias("late"),
        F.count_if(~is_recent).alias("n_before"), F.count_if(~is_recent & (F.col("late") == 1)).alias("late_before"),
    )  # fmt: skip
    before = (F.col("late_before") + 0.5) / (F.col("n_before") + 1)
    a = F.col("late") + prior_weight * before
    b = F.col("n") - F.col("late") + prior_weight * (1 - before)
    low, high = beta_quantile(F.lit(0.025), a, b), beta_quantile(F.lit(0.975), a, b)
    ends = counts.select(
        F.col("member").alias("supplier_id"),
        "n",
        "n_before",
        before.alias("before"),
        low.alias("low"),
        high.alias("high"),
    )
    better, steady, worse = TRENDS
    is_compared = (F.col("n") > 0) & (F.col("n_before") > 0)
    trend = F.when(is_compared & (F.col("low") > F.col("before")), worse)
    trend = trend.when(is_compared & (F.col("high") < F.col("before")), better).otherwise(steady)
    return ends.select("supplier_id", trend.alias("trend"))
