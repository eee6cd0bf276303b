"""A recipe carried out on the pinned inputs of a run: series, boosters, trials, choice. Each stage is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.domains.forecast.accuracy import accuracy_rows, measured_rows
from retail_spark.domains.forecast.evaluate import BUCKETS, Measured
from retail_spark.domains.forecast.features.calendar import events_of
from retail_spark.domains.forecast.models.global_booster import Booster, smear_of
from retail_spark.domains.forecast.outputs import forecast_rows
from retail_spark.domains.forecast.recipe import REFERENCE, Recipe
from retail_spark.domains.forecast.reconcile.over_spark import recipe_above, to_packed_above, to_reconciled
from retail_spark.domains.forecast.select import Prior
from retail_spark.domains.forecast.series.aggregate import to_out, to_periods, to_planned, to_sold
from retail_spark.domains.forecast.series.frame import KEPT, Frame, Pools
from retail_spark.domains.forecast.series.frequency import closed_weekdays
from retail_spark.domains.forecast.series.pack import to_packed
from retail_spark.domains.forecast.series.panel import ATTRIBUTES
from retail_spark.domains.forecast.settings import JobSettings
from retail_spark.domains.forecast.train import (
    codes_of,
    mapped,
    missed_by,
    to_chosen,
    to_lessons,
    to_pools,
    to_priors,
    to_tried,
    train,
)
from retail_spark.domains.forecast.warm_start import (
    fingerprint_of,
    kept_boosters,
    to_booster_rows,
    to_trials,
    with_fingerprint,
    with_kept,
)
from retail_spark.engine.job import Run
from retail_spark.errors import InputError
from retail_spark.frames.periods import day_of
from retail_spark.modelling.boosters import check_can_train
from retail_spark.tables.forecast import (
    FORECAST_ACCURACY,
    FORECAST_BOOSTERS,
    FORECAST_TRIALS,
    FORECASTS,
)
from retail_spark.tables.silver import CALENDAR, INVENTORY, PLANNED_PRICES, PRODUCTS, SALES, STORES

_FEWEST_BUCKETS, _SERIES_A_BUCKET = 8, 2000
_MEASURED = T.StructType([
    T.StructField("bucket", T.IntegerType()), T.StructField("category", T.StringType()),
    *(T.StructField(name, T.DoubleType()) for name in (
        "units", "points", "absolute_policy", "error_policy", "absolute_reference", "error_reference", "coverage_80",
        "coverage_95")),
])  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A recipe's trials and choices over all series, and what they were made with."""

    frame: Frame
    packed: DataFrame
    boosters: Sequence[Booster]
    mark: str
    """Fingerprint of all that the boosters were trained on."""
    tried: DataFrame
    priors: dict[str, Prior]
    chosen: DataFrame
    pools: Pools
    early_pools: Pools

    @cached_property
    def measured(self) -> Measured:
        """The held-out window, by rows of sums that do not grow with the series."""
        frame, pools = self.frame, self.early_pools
        sums = mapped(
            self.chosen,
            lambda batch: measured_rows(batch, frame, pools, buckets=BUCKETS),
            _MEASURED,
        )
        figures = _MEASURED.names[2:]
        total = sums.groupBy("bucket", "category").agg(*(F.sum(name).alias(name) for name in figures))
        return Measured(total.toPandas().sort_values(["bucket", "category"]).reset_index(drop=True))

    def kept(self) -> tuple[DataFrame, DataFrame]:
        """FORECAST_TRIALS and FORECAST_BOOSTERS, without lineage: what the next run may take over."""
        boosters = to_booster_rows(self.tried.sparkSession, self.boosters, fingerprint=self.mark, frame=self.frame)
        return to_trials(self.tried, frame=self.frame), boosters

    def fitted(self) -> int:
        """Series whose local models were worked out by this run, not taken over."""
        return self.packed.where(F.col(KEPT).isNull()).count()

    def sample(self, size: int) -> pd.DataFrame:
        """At most `size` series, picked by their hash."""
        order = (F.xxhash64("store_id", "product_id"), "store_id", "product_id")
        return self.chosen.where("status <> 'failed'").orderBy(*order).limit(size).toPandas()  # bounded

    def forecasts(self) -> DataFrame:
        """One row per series and period ahead, with ATTRIBUTES."""
        names = ("status", "error", "date", "step", "mean", "p10", "p50", "p90", "lo_95", "hi_95", "model")
        fields = [FORECASTS.schema[name] for name in ("store_id", "product_id")]
        texts = [T.StructField(name, T.StringType()) for name in ATTRIBUTES]
        schema = T.StructType([*fields, *texts, *(FORECASTS.schema[name] for name in names)])
        frame, pools = self.frame, self.pools
        return mapped(self.chosen, lambda batch: forecast_rows(batch, frame, pools), schema)

    def accuracy(self) -> DataFrame:
        """One row per series and candidate."""
        names = [name for name in FORECAST_ACCURACY.names if name not in ("as_of", "run_id", "model_version")]
        schema = T.StructType([FORECAST_ACCURACY.schema[name] for name in names])
        frame, pools = self.frame, self.early_pools
        rows = mapped(self.chosen, lambda batch: accuracy_rows(batch, frame, pools), schema)
        numbers = [f.name for f in schema.fields if isinstance(f.dataType, T.DoubleType)]
        return rows.withColumns({name: F.when(~F.isnan(name), F.col(name)) for name in numbers})


def make(run: Run, settings: JobSettings, recipe: Recipe, *, days: Sequence[date], name: str) -> Made:
    """Carries the recipe out; `days` are those with sales. Raises InputError when nothing was sold by then."""
    with run.progress.step("series"):
        packed, frame = prepare(run, settings, recipe, days=days, name=name)
    boosters: Sequence[Booster] = ()
    mark = ""
    with run.progress.step("boosters"):
        if recipe.global_model:
            mark = fingerprint_of(packed, frame=frame, seed=run.seed)
            kept = kept_boosters(run.previous(FORECAST_BOOSTERS), fingerprint=mark, frame=frame)
            boosters = kept or learn(run, packed, frame, name=name)
    with run.progress.step("trials"):
        tried = run.stage(f"{name}_tried", to_tried(packed, frame=frame, boosters=boosters))
    with run.progress.step("choice"):
        priors = to_priors(tried, frame=frame)
        chosen = run.stage(f"{name}_chosen", to_chosen(tried, frame=frame, priors=priors))
        pools, early = (to_pools(chosen, frame=frame, span=span) for span in ("all", "early"))
    return Made(frame, packed, boosters, mark, tried, priors, chosen, pools, early)


def reconciled(run: Run, settings: JobSettings, made: Made, rows: DataFrame) -> DataFrame:
    """The forecasts, drawn together with what the levels above foretell by themselves."""
    frame = replace(made.frame, recipe=recipe_above(made.frame.recipe))
    with run.progress.step("levels"):
        packed = to_packed_above(made.packed, levels=settings.levels, frame=frame)
        tried = run.stage("above_tried", to_tried(packed, frame=frame, boosters=()))
        chosen = run.stage("above_chosen", to_chosen(tried, frame=frame, priors=to_priors(tried, frame=frame)))
    return rows.transform(
        to_reconciled, chosen=made.chosen, chosen_above=chosen, levels=settings.levels, frame=made.frame
    )


def baseline_of(recipe: Recipe) -> Recipe:
    """Seasonal naive alone."""
    return replace(recipe, models=(REFERENCE,), ensembles=(), global_model=False)


def days_of(run: Run, settings: JobSettings) -> list[date]:
    """The days on which anything was sold by as_of, in order."""
    day = day_of("sold_at", time_zone=settings.time_zone).alias("day")
    rows = run.read(SALES).where("quantity > 0").select(day).distinct().orderBy("day").collect()  # dates
    return [row["day"] for row in rows]


def prepare(
    run: Run, settings: JobSettings, recipe: Recipe, *, days: Sequence[date], name: str
) -> tuple[DataFrame, Frame]:
    """The packed series as known by as_of, staged, and the frame over them."""
    clock = recipe.clock
    end = clock.last_complete(run.as_of, closed=closed_weekdays(days) if clock.row_days == 1 else frozenset())
    sold = to_sold(run.read(SALES), clock=clock, returns=settings.returns, renamed=settings.renamed)
    further = []
    if run.has(PLANNED_PRICES):
        further.append(
            to_planned(run.read(PLANNED_PRICES), clock=clock, plan_days=settings.plan_days, renamed=settings.renamed)
        )
    if run.has(INVENTORY):
        further.append(
            to_out(run.read(INVENTORY), clock=clock, share=settings.stockout_share, renamed=settings.renamed)
        )
    periods = run.stage(f"{name}_periods", to_periods(sold, *further))
    is_sold = (F.col("quantity") > 0) & (F.col("period") <= end)
    series = F.approx_count_distinct(F.xxhash64("store_id", "product_id"))
    first, count = periods.where(is_sold).agg(F.min("period"), series).collect()[0]
    if first is None:
        raise InputError(
            f"{SALES.name} holds no sale of a whole {recipe.frequency} by then.", fix="use a later --as-of"
        )
    history = min(recipe.history_periods, end - int(first) + 1)
    buckets = settings.buckets or max(_FEWEST_BUCKETS, count // _SERIES_A_BUCKET)
    packed = to_packed(
        periods, products=run.read(PRODUCTS) if run.has(PRODUCTS) else None,
        stores=run.read(STORES) if run.has(STORES) else None, clock=clock, end=end, history=history,
        future=recipe.reach, closed_periods=settings.length("closed_periods"), buckets=buckets,
        calendar=run.read(CALENDAR) if run.has(CALENDAR) else None,
    )  # fmt: skip
    events, store_events = _events(run, recipe)
    frame = Frame(recipe, end, history, events, buckets=buckets, store_events=store_events)
    marked = run.stage(f"{name}_marked", packed).transform(with_fingerprint, frame=frame)
    packed = run.stage(f"{name}_packed", marked.transform(with_kept, run.previous(FORECAST_TRIALS)))
    codes = codes_of(packed, most=settings.max_codes) if recipe.global_model else {}
    return packed, replace(frame, codes=codes)


def _events(run: Run, recipe: Recipe) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
    """The periods that hold a holiday: of all stores, and of those with others."""
    if not run.has(CALENDAR):
        return (), {}
    stores = run.read(STORES) if run.has(STORES) else None
    return events_of(run.read(CALENDAR), stores=stores, clock=recipe.clock)


def learn(run: Run, packed: DataFrame, frame: Frame, *, name: str) -> list[Booster]:
    """One booster a cut; none at all where the first cut has too little to learn from."""
    check_can_train(run.spark, job=run.job, instead="set forecast.global_model to false")
    rows = run.stage(f"{name}_lessons", to_lessons(packed, frame=frame))
    found: list[Booster] = []
    sums: list[tuple[float, float]] = []
    for k, cut in enumerate(frame.cuts):
        if found and frame.recipe.debias:
            sums.append(missed_by(rows, booster=found[-1], cuts=(frame.cuts[k - 1], cut), frame=frame))
        booster = train(rows, cut=cut, frame=frame, seed=run.seed)
        if booster is None:
            return []
        found.append(replace(booster, smear=smear_of(sums)))
    return found


def example_of(packed: pd.DataFrame, frame: Frame) -> pd.DataFrame:
    """The plain history of packed series: what the registered model is shown."""
    clock, parts = frame.recipe.clock, []
    for row in packed.to_dict("records"):
        known = [(int(p), float(q)) for p, q in zip(row["period"], row["quantity"], strict=True)]
        known = [(p, q) for p, q in known if p <= frame.end and q == q]
        told = {"date": [str(clock.first_day(p)) for p, _ in known], "quantity": [q for _, q in known]}
        parts.append(pd.DataFrame({"store_id": row["store_id"], "product_id": row["product_id"], **told}))
    return pd.concat(parts, ignore_index=True)
