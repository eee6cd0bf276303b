"""Changes in lateness and lead time of suppliers and lanes: what is charted, and what is expected of it.

Every shipment is a yes or no (late? slower than usual?) with the probability that its member's own past foretells, a
Beta predictive. What it is held to, and how seldom it is wrong, stands in charts.py. One pass serves all kinds of
chart: lanes and suppliers in lateness, suppliers in lead time.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.stats.change_detection import SHARES, History, Rule, detect

SETTLE_DAYS = 7
"""An open shipment counts as late from so many days after its promise on: the record of an arrival may lag."""
PEER_DAYS = 14
"""Peers are the other members' shipments promised within so many days before or after."""
_PEER_WEIGHT = 20.0
_NAMES = {"late": ("late_up", "late_down"), "slow": ("slower", "faster")}
_PRIOR_RATE = {"late": 0.1, "slow": 0.5}
_LEAST, _MOST = 0.005, 0.995
_ALARM = "level string, member string, changed_day int, seen_day int, changed_what string"
_KIND = ("level", "chart")


def to_outcomes(lines: DataFrame, *, as_of_day: int) -> DataFrame:
    """One row per (shipment, supplier_id, lane) that was due: day (promised), late, and slow.

    late is 1 for what came after its promise, or should have come and did not. slow is 1 when it took longer from
    order to arrival than the mean of the supplier's earlier shipments of that mode; NULL without an order date.
    """
    open_late = F.col("promised_day") + SETTLE_DAYS <= as_of_day
    late = F.when(F.col("is_late").isNotNull(), F.col("is_late")).when(open_late, F.lit(1))
    ordered_day = F.unix_date(F.to_date("ordered_at"))
    lasted = F.coalesce(F.unix_date("delivered_on"), F.lit(as_of_day)) - ordered_day
    days = F.when(~F.col("is_contradictory"), lasted)
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


def to_changes(outcomes: DataFrame, *, rule: Rule) -> DataFrame:
    """One row per (level, member) with a change: the last one. Columns changed_on, changed_what, seen_on.

    What other suppliers (on the lane, or at all) suffer at the same time is expected of a supplier too, so that a
    shock of a lane is a change of the lane, and of none of its suppliers.
    """
    found = outcomes.transform(to_alarms, rule=rule)
    last = found.groupBy("level", "member").agg(
        F.max(F.struct("changed_day", "seen_day", "changed_what")).alias("last")
    )
    return last.select(
        "level",
        "member",
        F.date_from_unix_date(F.col("last.changed_day")).alias("changed_on"),
        F.col("last.changed_what").alias("changed_what"),
        F.date_from_unix_date(F.col("last.seen_day")).alias("seen_on"),
    )


def to_alarms(outcomes: DataFrame, *, rule: Rule) -> DataFrame:
    """One row per alarm: level, member, changed_day, seen_day, changed_what."""
    cells = outcomes.transform(to_cells).transform(with_expected, prior_weight=rule.prior_weight)
    charted = cells.transform(with_peers).select(*_KIND, "member", "day", "shipments", "yes", "base", "peers")

    def watch(rows: pd.DataFrame) -> pd.DataFrame:
        return alarms_of(rows, rule=rule)

    return charted.groupBy(*_KIND, "member").applyInPandas(watch, _ALARM)


def alarms_of(rows: pd.DataFrame, *, rule: Rule) -> pd.DataFrame:
    """The alarms of one member by one chart, from its rows of `to_alarms`."""
    level, chart, member = (str(rows[name].iloc[0]) for name in (*_KIND, "member"))
    sorted_ = rows.sort_values("day", kind="stable")
    numbers = [sorted_[name].to_numpy(dtype=np.float64) for name in ("shipments", "yes", "base", "peers")]
    history = History(sorted_["day"].to_numpy(dtype=np.int64), *numbers)
    alarms: Iterable[tuple[object, ...]] = [
        (level, member, alarm.changed_day, alarm.seen_day, _NAMES[chart][0 if alarm.is_up else 1])
        for alarm in detect(history, rule=rule, shares=SHARES[level, chart])
    ]
    return pd.DataFrame(alarms, columns=["level", "member", "changed_day", "seen_day", "changed_what"])


def to_cells(outcomes: DataFrame) -> DataFrame:
    """One row per (level, chart, member, lane, day) with shipments that a chart can judge: shipments, yes."""
    each = [
        F.struct(
            F.lit(level).alias("level"),
            F.lit(chart).alias("chart"),
            F.col("lane" if level == "lane" else "supplier_id").alias("member"),
            F.col(chart).alias("y"),
        )
        for level, chart in SHARES
    ]
    told = outcomes.select("lane", "day", F.inline(F.array(*each))).where(F.col("y").isNotNull())
    return told.groupBy(*_KIND, "member", "lane", "day").agg(
        F.count(F.lit(1)).alias("shipments"), F.sum("y").alias("yes")
    )


def with_expected(cells: DataFrame, *, prior_weight: float) -> DataFrame:
    """Adds base (the rate of all before that day) and expected (yes that the member's earlier days foretell)."""
    days = cells.groupBy(*_KIND, "day").agg(F.sum("shipments").alias("shipments"), F.sum("yes").alias("yes"))
    ever = W.partitionBy(*_KIND).orderBy("day").rangeBetween(W.unboundedPreceding, -1)
    prior = F.when(F.col("chart") == "late", F.lit(_PRIOR_RATE["late"])).otherwise(F.lit(_PRIOR_RATE["slow"]))
    base = (_sum("yes", ever) + 10.0 * prior) / (_sum("shipments", ever) + 10.0)
    bases = days.select(*_KIND, "day", base.alias("base"))  # one row a chart and day
    before = W.partitionBy(*_KIND, "member").orderBy("day").rangeBetween(W.unboundedPreceding, -1)
    known, yes = _sum("shipments", before), _sum("yes", before)
    own = cells.join(F.broadcast(bases), [*_KIND, "day"], how="inner")
    p = (yes + prior_weight * F.col("base")) / (known + prior_weight)
    return own.withColumn("expected", F.col("shipments") * p)


def with_peers(cells: DataFrame) -> DataFrame:
    """Adds peers: the odds of others to be late at that time over those expected of them; 1 by charts of lead time.

    Others are those on the lane, drawn to all others where they are few. Same grain.
    """
    sums = {"o": "yes", "e": "expected", "n": "shipments"}

    def near(*keys: str) -> object:
        return W.partitionBy(*_KIND, *keys).orderBy("day").rangeBetween(-PEER_DAYS, PEER_DAYS)

    def around(*keys: str, name: str) -> DataFrame:
        days = cells.groupBy(*_KIND, *keys, "day").agg(*[F.sum(x).alias(x) for x in sums.values()])
        sides = [_sum(x, near(*keys)).alias(f"{short}_{name}") for short, x in sums.items()]
        return F.broadcast(days.select(*_KIND, *keys, "day", *sides))  # one row a day (and lane)

    found = cells.join(around(name="all"), [*_KIND, "day"], how="inner")
    found = found.join(around("lane", name="lane"), [*_KIND, "lane", "day"], how="inner")
    own = {f"{short}_member": _sum(x, near("member")) for short, x in sums.items()}
    own |= {f"{short}_own": _sum(x, near("member", "lane")) for short, x in sums.items()}
    summed = found.withColumns(own)
    others = _odds_ratio(*[F.col(f"{x}_all") - F.col(f"{x}_member") for x in sums], prior=F.lit(1.0))
    peers = _odds_ratio(*[F.col(f"{x}_lane") - F.col(f"{x}_own") for x in sums], prior=others)
    shared = F.when(F.col("chart") == "late", peers).otherwise(F.lit(1.0))
    return summed.withColumn("peers", shared).select(*cells.columns, "peers")


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
