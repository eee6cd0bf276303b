"""Learning from the lines before a day, and measuring on those promised from that day on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.suppliers.baselines import LOGISTIC, SHRUNK, with_logistic, with_shrunk
from retail_spark.suppliers.boosting import train_delays, train_late, with_scores
from retail_spark.suppliers.calibration import IDENTITY, Calibration, calibrate
from retail_spark.suppliers.evaluate import Measured, bin_margin, measure, to_bins
from retail_spark.suppliers.features import fit_encoder
from retail_spark.suppliers.model import Scorer
from retail_spark.suppliers.recipe import Recipe
from retail_spark.suppliers.settings import JobSettings

CONSTANT = "p_constant"
_FEWEST_OF_A_KIND = 10


def with_shipment_end(features: DataFrame) -> DataFrame:
    """Adds shipment_end, the last promised_day of the line's shipment, so that no shipment is split. Same grain."""
    return features.withColumn("shipment_end", F.max("promised_day").over(W.partitionBy("shipment")))


def only_before(features: DataFrame, *, day: int) -> DataFrame:
    """Known lines of shipments that were promised, and known to have arrived, before `day`."""
    return features.where((F.col("shipment_end") < day) & (F.col("known_day") < day))


def only_from(features: DataFrame, *, day: int, until: int | None = None) -> DataFrame:
    """Known lines promised on or after `day` (and before `until`)."""
    rows = features.where((F.col("promised_day") >= day) & F.col("is_late").isNotNull())
    return rows if until is None else rows.where(F.col("promised_day") < until)


def day_of_share(known: DataFrame, *, share: float) -> int | None:
    """The promised day from which on the last `share` of the known lines lie; None when there is none."""
    rows = known.where(F.col("is_late").isNotNull()).groupBy("promised_day").count().orderBy("promised_day").collect()
    if not rows:
        return None
    total, before = sum(row["count"] for row in rows), 0  # one row a day
    for row in rows:
        if before >= (1 - share) * total:
            return int(row["promised_day"])
        before += row["count"]
    return int(rows[-1]["promised_day"])


def is_enough(known: DataFrame, *, lines: int) -> bool:
    """True when there are that many lines, some ten of them late and some ten not."""
    found = known.agg(F.count(F.lit(1)).alias("lines"), F.sum("is_late").alias("late")).collect()[0]
    late = found["late"] or 0
    return bool(found["lines"] >= lines and min(late, found["lines"] - late) >= _FEWEST_OF_A_KIND)


def learn(known: DataFrame, *, recipe: Recipe, seed: int, delays: bool = False) -> Scorer:
    """The model of these lines. What calibrates is foretold by a first booster that saw only the time before it."""
    encoder = fit_encoder(known, recipe=recipe)
    calibration = _calibration(known, recipe=recipe, seed=seed)
    boosters = {"late": train_late(known, encoder=encoder, recipe=recipe, seed=seed)}
    if delays:
        boosters |= train_delays(known, encoder=encoder, recipe=recipe, seed=seed)
    return Scorer(encoder, boosters, calibration)


def _calibration(known: DataFrame, *, recipe: Recipe, seed: int) -> Calibration:
    """Margins that boosters gave the last slices without having seen them, and what came of these lines."""
    if recipe.calibration == "none":
        return IDENTITY
    parts, end = [], None
    for number in range(1, recipe.calibration_slices + 1):
        start = day_of_share(known, share=number * recipe.calibration_share)
        early = only_before(known, day=start) if start is not None else known.limit(0)
        if start is None or start == end or not is_enough(early, lines=_FEWEST_OF_A_KIND):
            break
        encoder = fit_encoder(early, recipe=recipe)
        first = Scorer(encoder, {"late": train_late(early, encoder=encoder, recipe=recipe, seed=seed)}, IDENTITY)
        scored = only_from(known, day=start, until=end).transform(with_scores, scorer=first, explain=False)
        parts.append(to_bins(scored, rivals={"raw": "p_late_raw"}).toPandas())
        end = start
    if not parts:
        return IDENTITY
    rows = pd.concat(parts).groupby("bin")[["lines", "late"]].sum().reset_index()
    margins = bin_margin(rows["bin"].to_numpy())
    lines, late = rows["lines"].to_numpy(), rows["late"].to_numpy()
    labels = np.r_[np.zeros(len(rows)), np.ones(len(rows))]
    weights = np.r_[lines - late, late]
    return calibrate(np.r_[margins, margins], labels, weights, kind=recipe.calibration, prior=recipe.calibration_prior)


@dataclass(frozen=True)
class Split:
    """The features by a recipe, and the day that parts what is learned from and what is measured on."""

    recipe: Recipe
    features: DataFrame
    cut: int

    @property
    def train(self) -> DataFrame:
        return only_before(self.features, day=self.cut)

    @property
    def test(self) -> DataFrame:
        return only_from(self.features, day=self.cut)


@dataclass(frozen=True)
class Compared:
    """What a held-out window says of the candidate and its rivals."""

    measured: Measured
    scorer: Scorer
    """Learned on the training lines alone."""
    train_lines: int
    coverage: Mapping[str, float]
    """Share of held-out lines that came within their delay quantile: delay_p50 and delay_p90."""


def compare(
    train: DataFrame, test: DataFrame, *, settings: JobSettings, seed: int, champion: Split | None = None
) -> Compared:
    """Learns on `train`, and measures candidate, raw, logistic, shrunk and constant (and champion) on `test`."""
    recipe = settings.recipe()
    scorer = learn(train, recipe=recipe, seed=seed, delays=True)
    base = train.agg(F.avg("is_late").alias("rate"), F.count(F.lit(1)).alias("lines")).collect()[0]
    rivals = {"candidate": "p_late", "raw": "p_late_raw", "shrunk": SHRUNK, "logistic": LOGISTIC, "constant": CONSTANT}
    rows = test.transform(with_shrunk, recipe=recipe).transform(with_logistic, train=train, recipe=recipe)
    plain = rows.select("delivery_id", SHRUNK, LOGISTIC, F.lit(float(base["rate"])).alias(CONSTANT))
    scored = with_scores(test, scorer=scorer, explain=False).join(plain, "delivery_id", how="inner")
    if champion is not None:
        other = learn(champion.train, recipe=champion.recipe, seed=seed)
        theirs = with_scores(champion.test, scorer=other, explain=False)
        p_champion = theirs.select("delivery_id", F.col("p_late").alias("p_champion"))
        scored, rivals = scored.join(p_champion, "delivery_id", how="inner"), {**rivals, "champion": "p_champion"}
    bins = to_bins(scored, rivals=rivals).toPandas()
    measured = measure(bins, replicates=settings.replicates, seed=seed)
    return Compared(measured, scorer, int(base["lines"]), _coverage(scored))


def _coverage(scored: DataFrame) -> dict[str, float]:
    within = [
        F.avg((F.col("delay_days") <= F.col(f"{name}_days")).cast("double")).alias(name)
        for name in ("delay_p50", "delay_p90")
    ]
    row = scored.agg(*within).collect()[0]
    return {name: float(row[name]) for name in ("delay_p50", "delay_p90")}


def rolling(
    features: DataFrame, *, origins: Mapping[str, tuple[int, int]], settings: JobSettings, seed: int
) -> dict[str, Measured]:
    """Name -> candidate and shrunk rate on the lines promised from origin to end, learned on what came before.

    Origins without enough lines to learn from, or without both kinds to measure on, are left out.
    """
    recipe, found = settings.recipe(), {}
    for name, (origin, end) in origins.items():
        train, test = only_before(features, day=origin), only_from(features, day=origin, until=end)
        if not (is_enough(train, lines=settings.min_lines) and is_enough(test, lines=_FEWEST_OF_A_KIND)):
            continue
        scored = with_scores(test, scorer=learn(train, recipe=recipe, seed=seed), explain=False)
        shrunk = test.transform(with_shrunk, recipe=recipe).select("delivery_id", SHRUNK)
        bins = to_bins(
            scored.join(shrunk, "delivery_id", how="inner"), rivals={"candidate": "p_late", "shrunk": SHRUNK}
        )
        found[name] = measure(bins.toPandas(), replicates=20, seed=seed)
    return found
