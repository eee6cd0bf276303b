"""Rates of suppliers: shrunk lateness with intervals, OTIF, fill, defects, lead times. DataFrame to DataFrame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from retail_spark.domains.supplier_risk.deliveries import UNKNOWN
from retail_spark.domains.supplier_risk.history import to_events
from retail_spark.frames.sums import exact_sum

LANE = ("origin_country", "destination_country")
_PARTS = ("supplier_id", "lane", "category")
LEVEL_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "all": (),
    "lane": ("lane",),
    "supplier": ("supplier_id",),
    "supplier_lane": ("supplier_id", "lane"),
    "supplier_lane_category": _PARTS,
}
_DESCENT = (
    ("supplier", "supplier_lane", ("supplier_id",)),
    ("supplier_lane", "supplier_lane_category", ("supplier_id", "lane")),
)
"""A level, the one that starts from it, and what they share; lanes and suppliers start from the whole."""
_PRIOR_RATE, _PRIOR_SHIPMENTS = 0.1, 2.0


def with_lane(lines: DataFrame) -> DataFrame:
    """Adds lane (origin and destination), and a category and value that are never NULL. Same grain."""
    ends = [_part(F.coalesce(name, F.lit(UNKNOWN))) for name in LANE]
    return lines.withColumns(
        {
            "lane": F.concat_ws(" > ", *ends),
            "category": F.coalesce("category", F.lit(UNKNOWN)),
            "value": F.greatest(F.coalesce("order_value", F.lit(0.0)), F.lit(0.0)),
        }
    )


def with_overdue(lines: DataFrame, *, as_of_day: int) -> DataFrame:
    """Same grain: an open line whose day is over becomes one known on as_of to be late, by the days since at least.

    Who never delivers would have no late shipment otherwise. Adds is_overdue.
    """
    is_overdue = F.col("is_late").isNull() & (F.col("promised_day") < as_of_day)
    certain = {
        "is_late": F.lit(1),
        "known_day": F.lit(as_of_day),
        "delay_days": F.lit(as_of_day) - F.col("promised_day"),
    }
    changed = {name: F.when(is_overdue, value).otherwise(F.col(name)) for name, value in certain.items()}
    return lines.withColumns({**changed, "is_overdue": is_overdue})


def to_level_rates(lines: DataFrame, *, as_of_day: int, prior_weight: float) -> DataFrame:
    """One row per (level, member): shipments that arrived, overdue and late ones, the shrunk share late, its interval.

    Beta-binomial: each level's share, worth prior_weight shipments, is where the level below starts from (all to
    supplier to supplier on a lane to its category there). A shipment counts once in every member it belongs to; what
    is overdue is late.
    """
    lines = lines.transform(with_overdue, as_of_day=as_of_day)
    counts = lines.transform(to_level_counts).transform(with_suppliers)
    rates = counts.crossJoin(_overall(lines))  # one row
    level, first = F.col("level"), F.col("_overall")
    late, judged = F.col("late"), F.col("deliveries") + F.col("overdue")
    rates = rates.withColumn("_prior", F.when(level == "all", F.lit(_PRIOR_RATE)).otherwise(first))
    rates = rates.withColumn("_weight", F.when(level == "all", F.lit(_PRIOR_SHIPMENTS)).otherwise(F.lit(prior_weight)))
    shrunk = (late + F.col("_weight") * F.col("_prior")) / (judged + F.col("_weight"))
    for above, below, columns in _DESCENT:
        parent = F.max(F.when(level == above, shrunk)).over(W.partitionBy(*columns))
        rates = rates.withColumn("_prior", F.when(level == below, parent).otherwise(F.col("_prior")))
    a, b = late + F.col("_weight") * F.col("_prior"), judged - late + F.col("_weight") * (1 - F.col("_prior"))
    low, high = (beta_quantile(F.lit(share), a, b) for share in (0.025, 0.975))
    bounded = rates.withColumns({"late_rate": shrunk, "_low": low, "_high": high})
    about = ("level", "member", *_PARTS, "suppliers", "deliveries", "overdue", "late", "late_rate")
    # at the ends of 0..1 the mean of a very skewed Beta lies beyond its own quantiles
    ends = (F.least("_low", "late_rate"), F.greatest("_high", "late_rate"))
    return bounded.select(*about, ends[0].alias("late_rate_low"), ends[1].alias("late_rate_high"))


def to_level_counts(lines: DataFrame) -> DataFrame:
    """One row per (level, member): its supplier_id, lane and category (NULL where it has none), and its shipments.

    deliveries have arrived, overdue ones have not and should have, late are of both.
    """
    members = []
    for name, columns in LEVEL_COLUMNS.items():
        parts = [F.col(c) if c in columns else F.lit(None).cast("string") for c in _PARTS]
        about = (F.lit(name).alias("level"), member_name(columns).alias("member"))
        members.append(F.struct(*about, *[part.alias(c) for part, c in zip(parts, _PARTS, strict=True)]))
    asked = ("shipment", "promised_day", "known_day", "is_late", "delay_days", "cancelled_day", "is_overdue")
    events = lines.select(*asked, F.explode(F.array(*members)).alias("member")).transform(to_events)
    overdue = F.count_if(F.col("is_overdue"))
    counts = events.groupBy("member").agg(
        (F.count("known_day") - overdue).alias("deliveries"),
        overdue.alias("overdue"),
        F.coalesce(F.sum("late"), F.lit(0)).alias("late"),
    )
    return counts.select("member.*", "deliveries", "overdue", "late")


def with_suppliers(counts: DataFrame) -> DataFrame:
    """Adds suppliers, those behind the member: of a lane as many as are there beside it. Same grain."""
    level, by_lane = F.col("level"), W.partitionBy("lane")  # the whole and its suppliers have no lane
    of_lane = F.count_if(level == "supplier_lane").over(by_lane)
    of_all = F.count_if(level == "supplier").over(by_lane)
    return counts.withColumn(
        "suppliers", F.when(level == "lane", of_lane).when(level == "all", of_all).otherwise(F.lit(1))
    )


def _overall(lines: DataFrame) -> DataFrame:
    """One row: _overall, the shrunk rate of all shipments."""
    events = lines.withColumn("member", F.lit("*")).transform(to_events)
    late, known = F.coalesce(F.sum("late"), F.lit(0)), F.count("known_day")
    rate = (late + _PRIOR_SHIPMENTS * _PRIOR_RATE) / (known + _PRIOR_SHIPMENTS)
    return events.agg(rate.alias("_overall"))


def member_name(columns: Sequence[str]) -> Column:
    """The name of a level's member: its parts joined by ' | '; no two members share one."""
    # a lane is a text of parts already; `a | b` and `a` beside `b` must not meet in one name
    return F.concat_ws(" | ", *[c if c == "lane" else _part(F.col(c)) for c in columns]) if columns else F.lit("*")


def _part(text: Column) -> Column:
    """A text as part of a name: what separates parts, and a backslash, is written with a backslash before it."""
    for mark in ("\\", "|", ">"):
        text = F.replace(text, F.lit(mark), F.lit(f"\\{mark}"))
    return text


def beta_quantile(share: Column, a: Column, b: Column) -> Column:
    """The quantile of a Beta distribution."""

    @pandas_udf("double")  # type: ignore[call-overload, untyped-decorator, unused-ignore]
    def quantile(share: pd.Series, a: pd.Series, b: pd.Series) -> pd.Series:
        return pd.Series(_beta_quantile(share.to_numpy(), a.to_numpy(), b.to_numpy()))

    found: Column = quantile(share, a, b)
    return found


def _beta_quantile(share: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    from scipy.special import betaincinv

    return np.asarray(betaincinv(a, b, share), dtype=np.float64)


def to_otif(
    lines: DataFrame, *, as_of_day: int, level: str, late_days: int, early_days: int | None, full_share: float
) -> DataFrame:
    """One row per supplier_id: otif_rate over lines, orders or units (case) that arrived or should have.

    On time is at most late_days after and early_days before the promise (None: any time before); in full is
    full_share of the units ordered, taken as in full where the units received are not told. An open line fails once
    its tolerance is over, and before that it does not count. An order is on time in full when all its lines are.
    """
    delay = F.col("delay_days")
    is_early = F.lit(False) if early_days is None else delay < -early_days
    is_full = F.coalesce(F.col("quantity_received") >= full_share * F.col("quantity_ordered"), F.lit(True))
    is_good = F.coalesce((delay <= late_days) & ~is_early & is_full, F.lit(False)).cast("double")
    is_due = F.col("delay_days").isNotNull() | (F.col("promised_day") + late_days < as_of_day)
    judged = lines.where(is_due).select("supplier_id", "purchase_order_id", "quantity_ordered", is_good.alias("good"))
    if level == "order":
        judged = judged.groupBy("supplier_id", "purchase_order_id").agg(F.min("good").alias("good"))
    weight = F.col("quantity_ordered") if level == "case" else F.lit(1.0)
    good = F.col("good") * weight
    rate = F.try_divide(exact_sum(good, scale=6), exact_sum(weight, scale=6))
    return judged.groupBy("supplier_id").agg(rate.alias("otif_rate"))


def to_fill(lines: DataFrame) -> DataFrame:
    """One row per supplier_id: fill_rate and defect_rate of what arrived, NULL where the units are not told."""
    received, ordered, rejected = F.col("quantity_received"), F.col("quantity_ordered"), F.col("quantity_rejected")
    has_come = F.col("delay_days").isNotNull() & received.isNotNull()
    is_checked = has_come & rejected.isNotNull()

    def share(part: Column, whole: Column, *, where: Column) -> Column:
        sums = (exact_sum(F.when(where, column), scale=6) for column in (part, whole))
        return F.try_divide(*sums)

    return lines.groupBy("supplier_id").agg(
        share(F.least(received, ordered), ordered, where=has_come).alias("fill_rate"),
        share(F.least(rejected, received), received, where=is_checked).alias("defect_rate"),
    )


def to_lead_times(lines: DataFrame, *, as_of_day: int, shares: Sequence[float]) -> DataFrame:
    """One row per supplier_id with an order date: the days by which the given shares have arrived (Kaplan, Meier 1958).

    A shipment runs from its first order to its first arrival; an open one is censored at as_of. A share that is
    not reached yet has no quantile (NULL). Lines that were ordered after they came have no lead time. Columns
    lead_time_p<percent>_days.
    """
    ordered_day = F.unix_date(F.to_date("ordered_at"))
    told = lines.where(F.col("ordered_at").isNotNull() & ~F.col("is_contradictory"))
    runs = told.groupBy("supplier_id", "shipment").agg(
        F.min(ordered_day).alias("start"), F.min(F.unix_date("delivered_on")).alias("end")
    )
    days = F.greatest(F.coalesce("end", F.lit(as_of_day)) - F.col("start"), F.lit(0))
    at_day = runs.groupBy("supplier_id", days.alias("days")).agg(
        F.count("end").alias("arrived"), F.count(F.lit(1)).alias("leaving")
    )
    by_supplier = W.partitionBy("supplier_id").orderBy("days")
    still = by_supplier.rowsBetween(0, W.unboundedFollowing)
    until = by_supplier.rowsBetween(W.unboundedPreceding, 0)
    risk = at_day.withColumn("at_risk", F.sum("leaving").over(still))
    is_all = F.col("arrived") >= F.col("at_risk")
    step = F.when(is_all, F.lit(-1e9)).otherwise(F.log1p(-F.col("arrived") / F.col("at_risk")))
    survival = risk.withColumn("survival", F.exp(F.sum(step).over(until)))
    quantiles = [
        F.min(F.when(F.col("survival") <= 1 - share + 1e-12, F.col("days")))
        .cast("double")
        .alias(f"lead_time_p{round(share * 100)}_days")
        for share in shares
    ]
    return survival.groupBy("supplier_id").agg(*quantiles)
