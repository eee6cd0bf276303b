"""Learning from the lines before a day, and measuring on those promised from that day on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.supplier_risk.baselines import LOGISTIC, inside, with_logistic
from retail_spark.domains.supplier_risk.deliveries import SHRUNK
from retail_spark.domains.supplier_risk.encoder import Encoder
from retail_spark.domains.supplier_risk.evaluate import Measured, bin_margin, measure, to_bins
from retail_spark.domains.supplier_risk.features import fit_encoder
from retail_spark.domains.supplier_risk.recipe import Recipe
from retail_spark.domains.supplier_risk.served import Scorer
from retail_spark.domains.supplier_risk.settings import JobSettings
from retail_spark.domains.supplier_risk.train_boosters import train_delays, train_late, with_scores
from retail_spark.stats.calibration import IDENTITY, Calibration, calibrate

CONSTANT = "p_constant"
_FEWEST_OF_A_KIND = 10


def with_shipment_end(features: DataFrame) -> DataFrame:
    """Adds shipment_end, the last promised_day of the line's shipment, so that no shipment is split. Same grain."""
    return features.withColumn("shipment_end", F.max("promised_day").over(W.partitionBy("shipment")))


def only_before(features: DataFrame, *, day: int) -> DataFrame:
    """Known lines of shipments that were promised, and known to have arrived, before `day`."""
    return features.where(is_before(day))


def is_before(day: int) -> Column:
    """The condition of `only_before`."""
    return (F.col("shipment_end") < day) & (F.col("known_day") < day)


def only_from(features: DataFrame, *, day: int, until: int | None = None) -> DataFrame:
    """Known lines promised on or after `day` (and before `until`)."""
    rows = features.where((F.col("promised_day") >= day) & F.col("is_late").isNotNull())
    return rows if until is None else rows.where(F.col("promised_day") < until)


def lines_a_day(known: DataFrame) -> dict[int, int]:
    """Promised day -> known lines, by rising day; one entry a day."""
    rows = known.where(F.col("is_late").isNotNull()).groupBy("promised_day").count().collect()  # one row a day
    return {int(row["promised_day"]): int(row["count"]) for row in sorted(rows, key=lambda row: row["promised_day"])}


def day_of_share(lines: Mapping[int, int], *, share: float) -> int | None:
    """The day from which on the last `share` of the lines lie, from `lines_a_day`; None when there is none."""
    total, before = sum(lines.values()), 0
    for day, count in lines.items():
        if before >= (1 - share) * total:
            return day
        before += count
    return max(lines, default=None)


@dataclass(frozen=True)
class Counted:
    """Lines whose outcome is known, and how many of them are late."""

    lines: int
    late: int

    def is_enough(self, *, lines: int) -> bool:
        """True when there are that many lines, some ten of them late and some ten not."""
        return self.lines >= lines and min(self.late, self.lines - self.late) >= _FEWEST_OF_A_KIND


def count_before_and_from(features: DataFrame, *, days: Sequence[int]) -> list[tuple[Counted, Counted]]:
    """For each day the lines of `only_before` and of `only_from`, counted together."""
    late, conditions = F.col("is_late") == 1, []
    for day in days:
        conditions += [is_before(day), (F.col("promised_day") >= day) & F.col("is_late").isNotNull()]
    counts = [F.count_if(part).alias(f"lines_{n}") for n, part in enumerate(conditions)]
    counts += [F.count_if(part & late).alias(f"late_{n}") for n, part in enumerate(conditions)]
    row = features.agg(*counts).collect()[0]
    found = [Counted(int(row[f"lines_{n}"]), int(row[f"late_{n}"])) for n in range(len(conditions))]
    return list(zip(found[::2], found[1::2], strict=True))


def count_known(known: DataFrame) -> Counted:
    """These lines, counted."""
    row = known.agg(F.count(F.lit(1)).alias("lines"), F.coalesce(F.sum("is_late"), F.lit(0)).alias("late")).collect()[0]
    return Counted(int(row["lines"]), int(row["late"]))


def learn(
    known: DataFrame,
    *,
    recipe: Recipe,
    seed: int,
    delays: bool = False,
    encoder: Encoder | None = None,
    foretold: pd.DataFrame | None = None,
) -> Learned:
    """The model of these lines. What calibrates is foretold by boosters that saw only the time before it.

    `encoder` is theirs, where it is known; `foretold` is what calibrates, where that is known (see `Learned`).
    """
    encoder = encoder or fit_encoder(known, recipe=recipe)
    if foretold is None:
        foretold = _foretold(known, recipe=recipe, seed=seed)
    boosters = {"late": train_late(known, encoder=encoder, recipe=recipe, seed=seed)}
    if delays:
        boosters["delay"] = train_delays(known, encoder=encoder, recipe=recipe, seed=seed)
    return Learned(Scorer(encoder, boosters, _calibration(foretold, recipe=recipe)), foretold)


def _foretold(known: DataFrame, *, recipe: Recipe, seed: int) -> pd.DataFrame:
    """Margins (by bin: lines, late) that boosters gave the last slices without having seen them."""
    parts = [pd.DataFrame({"bin": pd.Series(dtype="int32"), "lines": pd.Series(dtype="float64"), "late": 0.0})]
    if recipe.calibration == "none":
        return parts[0]
    lines, shares = lines_a_day(known), range(1, recipe.calibration_slices + 1)
    days = [day_of_share(lines, share=number * recipe.calibration_share) for number in shares]
    starts = [day for day in dict.fromkeys(days) if day is not None]
    end = None
    for start, (early, _) in zip(starts, count_before_and_from(known, days=starts) if starts else [], strict=True):
        if not early.is_enough(lines=_FEWEST_OF_A_KIND):
            break
        before = only_before(known, day=start)
        encoder = fit_encoder(before, recipe=recipe)
        first = Scorer(encoder, {"late": train_late(before, encoder=encoder, recipe=recipe, seed=seed)}, IDENTITY)
        scored = only_from(known, day=start, until=end).transform(with_scores, scorer=first, explain=False)
        parts.append(to_bins(scored, rivals={"raw": "p_late_raw"}).select("bin", "lines", "late").toPandas())
        end = start
    return pd.concat(parts)


def _calibration(foretold: pd.DataFrame, *, recipe: Recipe) -> Calibration:
    rows = foretold.groupby("bin")[["lines", "late"]].sum().reset_index()
    if rows.empty:
        return IDENTITY
    margins = bin_margin(rows["bin"].to_numpy())
    lines, late = rows["lines"].to_numpy(dtype=np.float64), rows["late"].to_numpy(dtype=np.float64)
    labels = np.r_[np.zeros(len(rows)), np.ones(len(rows))]
    weights = np.r_[lines - late, late]
    return calibrate(np.r_[margins, margins], labels, weights, kind=recipe.calibration, prior=recipe.calibration_prior)


@dataclass(frozen=True)
class Learned:
    """A model, and by what it was calibrated."""

    scorer: Scorer
    foretold: pd.DataFrame
    """Bin of the margin, lines, late: of lines that were foretold without having been seen. May calibrate again."""


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
    foretold: pd.DataFrame
    """What calibrated it, and the held-out window itself: calibrates the model of all lines."""
    train_lines: int
    coverage: Mapping[str, float]
    """Share of held-out lines that came within their delay quantile: delay_p50 and delay_p90."""


def compare(
    train: DataFrame,
    test: DataFrame,
    *,
    counted: Counted,
    settings: JobSettings,
    seed: int,
    encoder: Encoder | None = None,
    champion: Split | None = None,
) -> Compared:
    """Learns on `train`, and measures candidate, raw, logistic, shrunk and constant (and champion) on `test`.

    `counted` are the lines of `train`, `encoder` its own, where that is known.
    """
    recipe = settings.recipe()
    learned = learn(train, recipe=recipe, seed=seed, delays=True, encoder=encoder)
    rivals = {"candidate": "p_late", "raw": "p_late_raw", "shrunk": SHRUNK, "logistic": LOGISTIC, "constant": CONSTANT}
    rows = test.withColumn(SHRUNK, inside(F.col(SHRUNK)))
    rows = rows.transform(with_logistic, train=train, lines=counted.lines, recipe=recipe)
    plain = rows.select("delivery_id", SHRUNK, LOGISTIC, F.lit(counted.late / counted.lines).alias(CONSTANT))
    scored = with_scores(test, scorer=learned.scorer, explain=False).join(plain, "delivery_id", how="inner")
    if champion is not None:
        other = learn(champion.train, recipe=champion.recipe, seed=seed).scorer
        theirs = with_scores(champion.test, scorer=other, explain=False)
        p_champion = theirs.select("delivery_id", F.col("p_late").alias("p_champion"))
        scored, rivals = scored.join(p_champion, "delivery_id", how="inner"), {**rivals, "champion": "p_champion"}
    within = {name: F.col("delay_days") <= F.col(f"{name}_days") for name in ("delay_p50", "delay_p90")}
    bins = to_bins(scored, rivals=rivals, counts=within).toPandas()
    measured = measure(bins, replicates=settings.replicates, seed=seed)
    own = bins[bins["rival"] == "raw"]
    foretold = pd.concat([learned.foretold, own[["bin", "lines", "late"]]])
    coverage = {name: float(own[name].sum() / own["lines"].sum()) for name in within}
    return Compared(measured, learned.scorer, foretold, counted.lines, coverage)


def rolling(
    features: DataFrame, *, origins: Mapping[str, tuple[int, int]], settings: JobSettings, seed: int
) -> dict[str, Measured]:
    """Name -> candidate and shrunk rate on the lines promised from origin to end, learned on what came before.

    Origins without enough lines to learn from, or without both kinds to measure on, are left out.
    """
    recipe, found = settings.recipe(), {}
    for name, (origin, end) in origins.items():
        train, test = only_before(features, day=origin), only_from(features, day=origin, until=end)
        known, after = count_before_and_from(features.where(F.col("promised_day") < end), days=[origin])[0]
        if not (known.is_enough(lines=settings.min_lines) and after.is_enough(lines=_FEWEST_OF_A_KIND)):
            continue
        scored = with_scores(test, scorer=learn(train, recipe=recipe, seed=seed).scorer, explain=False)
        shrunk = test.select("delivery_id", inside(F.col(SHRUNK)).alias(SHRUNK))
        bins = to_bins(
            scored.join(shrunk, "delivery_id", how="inner"), rivals={"candidate": "p_late", "shrunk": SHRUNK}
        )
        found[name] = measure(bins.toPandas(), replicates=20, seed=seed)
    return found
