"""Changes in lateness and lead time, by sums of likelihood ratios (CUSUM), with window functions only.

Every shipment is a yes or no (late? slower than usual?) with the probability that its member's own past foretells: a
Beta predictive, so that under "nothing changed" the likelihood ratio for "the odds are R times as large" is a
martingale. A CUSUM of such ratios with threshold log(n) raises on average at most one false alarm in n shipments
(Lorden 1971; the Shiryaev-Roberts sum, which is larger, is a martingale minus time). n is what the member ships in
`false_alarm_years`, times the number of charts that watch it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

SETTLE_DAYS = 7
"""An open shipment counts as late from so many days after its promise on: the record of an arrival may lag."""
PEER_DAYS = 14
"""Peers are the other suppliers' shipments promised within so many days before or after."""
_PEER_WEIGHT = 20.0
_NAMES = {"late": ("late_up", "late_down"), "slow": ("slower", "faster")}
_PRIOR_RATE = {"late": 0.1, "slow": 0.5}
_YEAR_DAYS = 365.25
_LEAST, _MOST = 0.005, 0.995


@dataclass(frozen=True)
class Rule:
    """What is looked for, and how seldom it may be seen where it is not."""

    odds_ratio: float
    """Change of the odds."""
    years: float
    """Years of a member that hold one false alarm, over all charts together."""
    min_known: int
    """Shipments that must be known before."""
    prior_weight: float
    """Shipments that the rate of all weighs."""


def to_outcomes(lines: DataFrame, *, as_of_day: int) -> DataFrame:
    """One row per (shipment, supplier_id, lane) that was due: day (promised), late, and slow.

    late is 1 for what came after its promise, or should have come and did not. slow is 1 when it took longer from
    order to arrival than the mean of the supplier's earlier shipments of that mode; NULL without an order date.
    """
    open_late = F.col("promised_day") + SETTLE_DAYS <= as_of_day
    late = F.when(F.col("is_late").isNotNull(), F.col("is_late")).when(open_late, F.lit(1))
    ordered_day = F.unix_date(F.to_date("ordered_at"))
    days = F.coalesce(F.unix_date("delivered_on"), F.lit(as_of_day)) - ordered_day
    due = lines.where((F.col("promised_day") + SETTLE_DAYS <= as_of_day) & late.isNotNull())
    shipments = due.groupBy("shipment", "supplier_id", "lane").agg(
        F.min("promised_day").alias("day"),
        F.max(late).alias("late"),
        F.min(days).alias("days"),
        F.max(F.coalesce("ship_mode", F.lit(""))).alias("mode"),
    )
    before = W.partitionBy("supplier_id", "mode").orderBy("day").rangeBetween(W.unboundedPreceding, -1)
    usual = F.avg("days").over(before)
    return shipments.withColumn("slow", (F.col("days") > usual).cast("int")).drop("mode")


def to_changes(outcomes: DataFrame, *, level: str, charts: Sequence[str], rule: Rule) -> DataFrame:
    """One row per member with a change: the last one. Columns member, changed_on, changed_what, seen_on.

    `level` is supplier or lane; `charts` are of late and slow, each watched upwards and downwards. What other
    suppliers (on the lane, or at all) suffer at the same time is expected of a supplier too, so that a shock of a
    lane is a change of the lane, and of none of its suppliers.
    """
    member = F.col("supplier_id") if level == "supplier" else F.col("lane")
    found = None
    for chart in charts:
        told = outcomes.where(F.col(chart).isNotNull()).select(
            member.alias("member"), "lane", "day", "shipment", F.col(chart).alias("y")
        )
        expected = told.transform(with_expected, prior_rate=_PRIOR_RATE[chart], prior_weight=rule.prior_weight)
        common = {"p_up": F.col("p"), "p_down": F.col("p")}
        expected = expected.transform(with_peers) if chart == "late" else expected.withColumns(common)
        marked = to_crossings(expected, rule=rule, charts=2 * len(charts))
        up, down = _NAMES[chart]
        named = marked.withColumn("changed_what", F.when(F.col("is_up"), up).otherwise(down))
        found = named if found is None else found.unionByName(named)
    if found is None:
        raise ValueError("no chart")
    last = found.groupBy("member").agg(F.max(F.struct("changed_day", "seen_day", "changed_what")).alias("last"))
    return last.select(
        "member",
        F.date_from_unix_date(F.col("last.changed_day")).alias("changed_on"),
        F.col("last.changed_what").alias("changed_what"),
        F.date_from_unix_date(F.col("last.seen_day")).alias("seen_on"),
    )


def with_expected(outcomes: DataFrame, *, prior_rate: float, prior_weight: float) -> DataFrame:
    """Adds p, what the member's shipments promised earlier foretell, and known (how many there are). Same grain."""
    by_day = outcomes.groupBy("member", "day").agg(F.count(F.lit(1)).alias("n"), F.sum("y").alias("y"))
    before = W.partitionBy("member").orderBy("day").rangeBetween(W.unboundedPreceding, -1)
    all_days = by_day.groupBy("day").agg(F.sum("n").alias("n"), F.sum("y").alias("y"))
    ever = W.partitionBy(F.lit(0)).orderBy("day").rangeBetween(W.unboundedPreceding, -1)
    base = (_sum("y", ever) + 10.0 * prior_rate) / (_sum("n", ever) + 10.0)
    bases = all_days.select("day", base.alias("base"))
    known, yes = _sum("n", before), _sum("y", before)
    own = by_day.select("member", "day", known.alias("known"), yes.alias("yes")).join(bases, "day", how="inner")
    p = (F.col("yes") + prior_weight * F.col("base")) / (F.col("known") + prior_weight)
    return outcomes.join(own.select("member", "day", "known", p.alias("p")), ["member", "day"], how="inner")


def with_peers(expected: DataFrame) -> DataFrame:
    """Adds p_up and p_down: the odds of p times what befell others at the same time (their odds of being late
    over those expected of them).

    p_up is p where others fared better, and p_down where they fared worse: who is as late as ever while others
    are struck has not changed. Same grain.
    """
    sums = [F.sum("y").alias("o"), F.sum("p").alias("e"), F.count(F.lit(1)).alias("n")]

    def around(frame: DataFrame, *keys: str, name: str) -> DataFrame:
        near = W.partitionBy(*keys, F.lit(0)).orderBy("day").rangeBetween(-PEER_DAYS, PEER_DAYS)
        days = frame.groupBy(*keys, "day").agg(*sums)
        return days.select(*keys, "day", *[_sum(x, near).alias(f"{x}_{name}") for x in ("o", "e", "n")])

    found = expected.join(around(expected, name="all"), "day", how="inner")
    for keys, name in ((("member",), "member"), (("lane",), "lane"), (("member", "lane"), "own")):
        found = found.join(around(expected, *keys, name=name), [*keys, "day"], how="inner")
    others = _odds_ratio(*[F.col(f"{x}_all") - F.col(f"{x}_member") for x in ("o", "e", "n")], prior=F.lit(1.0))
    peers = _odds_ratio(*[F.col(f"{x}_lane") - F.col(f"{x}_own") for x in ("o", "e", "n")], prior=others)
    odds = F.col("p") / (1 - F.col("p")) * peers
    adjusted = found.withColumn("shared", odds / (1 + odds))
    both = {"p_up": F.greatest("p", "shared"), "p_down": F.least("p", "shared")}
    return adjusted.withColumns(both).select(*expected.columns, *both)


def to_crossings(expected: DataFrame, *, rule: Rule, charts: int) -> DataFrame:
    """One row per alarm: member, changed_day (of the first shipment after the sum was lowest), seen_day, is_up.

    `expected` has member, day, shipment, y, known, p_up and p_down; `charts` watch a member together.
    """
    order = W.partitionBy("member").orderBy("day", "shipment")
    whole = W.partitionBy("member")
    span = F.greatest(F.max("day").over(whole) - F.min("day").over(whole), F.lit(30)) / _YEAR_DAYS
    per_year = F.count(F.lit(1)).over(whole) / span
    threshold = F.log(F.greatest(per_year * rule.years * charts, F.lit(20.0)))
    numbered = expected.where(F.col("known") >= rule.min_known).withColumns(
        {"n": F.row_number().over(order), "threshold": threshold}
    )
    both = [F.struct(F.lit(r > 1).alias("is_up"), F.lit(r).alias("r")) for r in (rule.odds_ratio, 1 / rule.odds_ratio)]
    charted = numbered.withColumn("chart", F.explode(F.array(*both)))
    by_chart = W.partitionBy("member", "chart.is_up").orderBy("day", "shipment")
    so_far, r = by_chart.rowsBetween(W.unboundedPreceding, 0), F.col("chart.r")
    own = F.when(F.col("chart.is_up"), F.col("p_up")).otherwise(F.col("p_down"))
    p = F.least(F.greatest(own, F.lit(_LEAST)), F.lit(_MOST))
    gain = F.col("y") * F.log(r) - F.log(1 - p + p * r)
    summed = charted.withColumn("total", F.sum(gain).over(so_far)).withColumn("next_day", F.lead("day").over(by_chart))
    lowest = F.min(F.struct(F.col("total"), (-F.col("n")).alias("n"), F.col("next_day"))).over(so_far)
    first_day = F.min("day").over(by_chart.rowsBetween(W.unboundedPreceding, W.unboundedFollowing))
    start = F.when(lowest["total"] < 0, lowest["next_day"]).otherwise(first_day)
    risen = summed.withColumns({"height": F.col("total") - F.least(lowest["total"], F.lit(0.0)), "changed_day": start})
    before = F.coalesce(F.lag("height").over(by_chart), F.lit(0.0))
    crossed = risen.withColumn("is_new", (F.col("height") > F.col("threshold")) & (before <= F.col("threshold")))
    alarms = crossed.where("is_new")
    return alarms.select("member", "changed_day", F.col("day").alias("seen_day"), F.col("chart.is_up").alias("is_up"))


def _sum(name: str, window: object) -> Column:
    return F.coalesce(F.sum(name).over(window), F.lit(0))  # type: ignore[arg-type]


def _odds_ratio(seen: Column, expected: Column, shipments: Column, *, prior: Column) -> Column:
    """The odds of what was seen over those of what was expected, drawn to the prior where shipments are few."""
    rate = F.least(F.greatest(F.try_divide(expected, shipments), F.lit(_LEAST)), F.lit(_MOST))
    odds = rate / (1 - rate)
    before = odds * prior / (1 + odds * prior)
    share = (seen + _PEER_WEIGHT * before) / (shipments + _PEER_WEIGHT)
    now = F.least(F.greatest(share, F.lit(_LEAST)), F.lit(_MOST))
    return F.when(shipments > 0, now / (1 - now) / odds).otherwise(prior)
