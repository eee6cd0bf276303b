"""The stages of the job over Spark: lessons, boosters, trials, choice. Whole buckets of products at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, GroupedData
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.domains.forecast.backtest import NEW
from retail_spark.domains.forecast.candidates import chosen_rows, prior_sums, priors_of, tried_rows
from retail_spark.domains.forecast.features.matrix import CODED, Codes, Past, names_of
from retail_spark.domains.forecast.models.global_booster import Booster, lessons, missed, parameters
from retail_spark.domains.forecast.select import Prior
from retail_spark.domains.forecast.series.frame import ALL, MARK, SHARES, Frame, Pools
from retail_spark.domains.forecast.series.panel import ATTRIBUTES, KEYS, Array
from retail_spark.frames.sums import exact_sum
from retail_spark.modelling.boosters import train_booster

_FEWEST_LESSONS = 50
_FEWEST_ERRORS = 50
_TEXT, _NUMBERS = T.StringType(), T.ArrayType(T.DoubleType())


def _schema(texts: Sequence[str], *, numbers: Sequence[str] = (), arrays: Sequence[str] = ()) -> T.StructType:
    kinds = [*((n, _TEXT) for n in texts), *((n, T.DoubleType()) for n in numbers), *((n, _NUMBERS) for n in arrays)]
    return T.StructType([T.StructField(name, kind) for name, kind in kinds])


LESSONS = T.StructType([
    *(T.StructField(name, _TEXT) for name in KEYS),
    *(T.StructField(name, T.DoubleType()) for name in ("target", "lead", "ratio", "weight")),
    T.StructField("x", T.ArrayType(T.FloatType())),
])  # fmt: skip
_CLASSES = T.StructField("classes", T.ArrayType(_TEXT))
TRIED = _schema(
    [*KEYS, *ATTRIBUTES, "broken", "set_aside", MARK], arrays=("values", "actual", "scale", "instead", "open")
)
TRIED = TRIED.add(_CLASSES)
CHOSEN = _schema(
    [*KEYS, *ATTRIBUTES, "demand_class", "model_early", "model_all", "reason", "error", "status"],
    numbers=("scale_early", "scale_all"),
    arrays=("mean_early", "errors_early", "open_early", "mean_all", "errors_all", "open_all", "actual", "reference",
            "history", "backtest",
            "rmsse", "pinball", "bias", "wape"),
).add(_CLASSES)  # fmt: skip
_SUMS = _schema(["span", "demand_class", "model"], numbers=("total", "series"))


def codes_of(packed: DataFrame, *, most: int) -> Codes:
    """Attribute -> value -> number, for attributes with no more than `most` values."""
    found = {}
    for name in CODED:
        rows = packed.select(name).distinct().orderBy(name).limit(most + 1).collect()  # at most `most` values
        if len(rows) <= most:
            found[name] = {row[name]: n for n, row in enumerate(rows)}
    return found


def by_bucket(packed: DataFrame, *, frame: Frame) -> GroupedData:
    """Groups by bucket, spread by an explicit repartition: adaptive execution would put small ones into one task."""
    return packed.repartition(frame.buckets, "bucket").groupBy("bucket")


def share_to_learn(packed: DataFrame, *, frame: Frame) -> float:
    """The share of all periods of all series that may teach, so that there are `max_lessons` at most (about)."""
    recipe = frame.recipe
    oldest = frame.end + 1 - min(recipe.train_periods, frame.periods)
    periods = F.greatest(F.lit(frame.end + 1) - F.greatest(F.col("first"), F.lit(oldest)), F.lit(0)).cast("long")
    rows = (packed.agg(F.sum(periods).alias("n")).collect()[0]["n"] or 0) * min(recipe.leads_per_row, recipe.horizon)
    return min(1.0, recipe.max_lessons / rows) if rows else 1.0


def to_lessons(packed: DataFrame, *, frame: Frame) -> DataFrame:
    """One row per series, period and lead to learn from: all there are, or `max_lessons` of them."""
    share = share_to_learn(packed, frame=frame)

    def teach(batch: pd.DataFrame) -> pd.DataFrame:
        panel = frame.panel(batch).opened()
        found = lessons(
            panel,
            Past.of(panel, frequency=frame.recipe.frequency),
            frame.days(panel),
            codes=frame.codes,
            recipe=frame.recipe,
            share=share,
        )
        rows = panel.keys.loc[found.series.astype(int), list(KEYS)].reset_index(drop=True)
        numbers = {name: getattr(found, name) for name in ("target", "lead", "ratio", "weight")}
        return rows.assign(**numbers, x=list(found.x.astype(np.float32)))

    return by_bucket(packed, frame=frame).applyInPandas(teach, LESSONS)


def train(rows: DataFrame, *, cut: int, frame: Frame, seed: int) -> Booster | None:
    """A booster of the lessons whose target was known at the cut; None where there are too few. Classic Spark only."""
    recipe = frame.recipe
    known = rows.where(F.col("target") < cut)
    if known.limit(_FEWEST_LESSONS).count() < _FEWEST_LESSONS:
        return None
    stored = train_booster(
        known.withColumnRenamed("ratio", "label"),
        kind="regressor",
        width=len(names_of(recipe.frequency)),
        placed_by=KEYS,
        ordered_by=(*KEYS, "target", "lead"),
        workers=recipe.num_workers,
        trees=recipe.trees,
        seed=seed,
        weighted=True,
        **{name: value for name, value in parameters(recipe, seed=seed).items() if name != "seed"},
    )
    return Booster(stored, frame.codes)


def missed_by(rows: DataFrame, *, booster: Booster, cuts: tuple[int, int], frame: Frame) -> tuple[float, float]:
    """Units sold and foretold between two cuts, by a booster that was trained at the first."""
    recipe = frame.recipe

    def add_up(batch: pd.DataFrame) -> pd.DataFrame:
        x = np.stack(batch["x"].to_numpy())  # type: ignore[call-overload]
        sold, foretold = missed(x, batch["ratio"].to_numpy(), booster=booster, recipe=recipe)
        return pd.DataFrame({"sold": [sold], "foretold": [foretold]})

    between = rows.where((F.col("target") >= cuts[0]) & (F.col("target") < cuts[1])).select("x", "ratio")
    sums = mapped(between, add_up, _schema([], numbers=("sold", "foretold")))
    totals = {name: exact_sum(F.col(name), scale=10) for name in ("sold", "foretold")}
    row = sums.agg(*[total.alias(name) for name, total in totals.items()]).collect()[0]
    return float(row["sold"] or 0.0), float(row["foretold"] or 0.0)


def to_tried(packed: DataFrame, *, frame: Frame, boosters: Sequence[Booster]) -> DataFrame:
    """One row per series: what every candidate says at every cut."""

    def attempt(batch: pd.DataFrame) -> pd.DataFrame:
        return tried_rows(batch, frame, boosters)[TRIED.names]

    return by_bucket(packed, frame=frame).applyInPandas(attempt, TRIED)


def to_priors(tried: DataFrame, *, frame: Frame) -> dict[str, Prior]:
    """Span -> class -> candidate -> mean log score; a few dozen numbers."""
    sums = mapped(tried, lambda batch: prior_sums(batch, frame), _SUMS)
    totals = sums.groupBy("span", "demand_class", "model").agg(
        exact_sum(F.col("total"), scale=10).alias("total"), F.sum("series").alias("series")
    )
    return priors_of(totals.toPandas().sort_values(["span", "demand_class", "model"]))  # one row a class and candidate


def to_chosen(tried: DataFrame, *, frame: Frame, priors: Mapping[str, Prior]) -> DataFrame:
    """One row per series: the choice, its mean, its past errors."""
    return mapped(tried, lambda batch: chosen_rows(batch, frame, priors), CHOSEN)


def to_pools(chosen: DataFrame, *, frame: Frame, span: str) -> Pools:
    """Quantiles of past errors by the class at the cut and step, and by step alone. Classes with few errors are NaN.

    All new series are a class as well, beside those of each age.
    """
    horizon = frame.recipe.horizon
    long = chosen.where(F.col("status") != "failed").select("classes", F.posexplode(f"errors_{span}"))
    long = long.where(~F.isnan("col") & F.col("col").isNotNull()).withColumn("step", F.col("pos") % horizon)
    name = F.element_at("classes", F.floor(F.col("pos") / horizon).cast("int") + 1)
    names = F.array_compact(F.array(F.lit(ALL), name, F.when(F.startswith(name, F.lit(NEW)), F.lit(NEW))))
    every = long.withColumn("demand_class", F.explode(names))
    rows = every.groupBy("demand_class", "step").agg(
        F.percentile("col", F.array(*map(F.lit, SHARES))).alias("q"), F.count(F.lit(1)).alias("errors")
    )
    found: dict[str, Array] = {}
    for row in rows.collect():  # one row a class and step
        pool = found.setdefault(row["demand_class"], np.full((horizon, len(SHARES)), np.nan))
        if row["errors"] >= _FEWEST_ERRORS or row["demand_class"] == ALL:
            pool[row["step"]] = row["q"]
    return found


def mapped(rows: DataFrame, function: Callable[[pd.DataFrame], pd.DataFrame], schema: T.StructType) -> DataFrame:
    """The function over every batch of rows, its columns in the order of the schema."""

    def each(batches: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
        for batch in batches:
            if len(batch):
                yield function(batch)[schema.names]

    return rows.mapInPandas(each, schema)
