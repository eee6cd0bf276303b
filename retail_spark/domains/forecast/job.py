"""The job `forecast`: what every store will sell of every product, by what proved itself on held-out time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from matplotlib.figure import Figure

from retail_spark.domains.forecast.accuracy import coverage_by_step, examples
from retail_spark.domains.forecast.evaluate import Limits, gate_of, kept_gate
from retail_spark.domains.forecast.figures import added_figure, coverage_figure, series_figure
from retail_spark.domains.forecast.pipeline import Made, baseline_of, days_of, example_of, make, reconciled
from retail_spark.domains.forecast.recipe import Recipe
from retail_spark.domains.forecast.reconcile.levels import to_level_errors, to_levels
from retail_spark.domains.forecast.series.frequency import settled
from retail_spark.domains.forecast.served import Policy, to_candidate
from retail_spark.domains.forecast.settings import JobSettings
from retail_spark.engine.job import Job, Outcome, Run, job
from retail_spark.lake.write import Write, replace_slice
from retail_spark.modelling.contest import Candidate
from retail_spark.modelling.gate import Gate, Verdict, judge
from retail_spark.tables.forecast import (
    FORECAST_ACCURACY,
    FORECAST_BOOSTERS,
    FORECAST_LEVELS,
    FORECAST_TRIALS,
    FORECASTS,
)
from retail_spark.tables.silver import CALENDAR, INVENTORY, PLANNED_PRICES, PRODUCTS, SALES, STORES

_DRAWN = 500


def forecast(run: Run, settings: JobSettings) -> Outcome:
    """Tries every candidate on windows of the past, measures the policy on the last, and forecasts from as_of on.

    Raises InputError when nothing was sold by as_of. Where the last window has nothing to measure on, nothing is
    registered, and the policy forecasts all the same.
    """
    days = days_of(run, settings)
    settings, told = settled(settings, days)
    if told is not None:
        run.progress.note(told)
    recipe, carry_out = settings.recipe(), partial(make, run, settings, days=days)
    made = carry_out(recipe, name="own")
    shown = {"series": float(made.chosen.count()), "series_fitted": float(made.fitted()),
             "windows": float(made.frame.windows)}  # fmt: skip
    if made.frame.windows < 2 or not made.measured.has_points:
        run.progress.note("too short a history to measure on: nothing is registered")
        return Outcome(tables=(*_tables(run, settings, made), *_kept(made)), metrics=shown)
    theirs = _champion_recipe(run)
    is_same = theirs is None or theirs == recipe
    champion = made if is_same else carry_out(theirs, name="champion")  # type: ignore[arg-type]
    baseline = cache(lambda: carry_out(baseline_of(recipe), name="baseline"))
    gate = _gate(run, settings, made, champion=champion if run.champion is not None else None, baseline=baseline)
    makers: dict[str, Callable[[], Made]] = {
        "candidate": lambda: made,
        "champion": lambda: champion,
        "baseline": baseline,
    }

    def tables(verdict: Verdict) -> tuple[Write, ...]:
        return (*_tables(run, settings, makers[verdict.scorer]()), *_kept(made))

    return Outcome(
        tables=tables,
        metrics={**made.measured.metrics(), **_level_metrics(made, settings), **shown},
        model=_candidate(made, gate),
        figures=_figures(made),
    )


JOB: Job = job(
    "forecast",
    settings=JobSettings,
    reads=(SALES,),
    optional=(PRODUCTS, STORES, CALENDAR, PLANNED_PRICES, INVENTORY),
    writes=(FORECASTS, FORECAST_LEVELS, FORECAST_ACCURACY, FORECAST_TRIALS, FORECAST_BOOSTERS),
    learns=True,
)(forecast)


def _gate(run: Run, settings: JobSettings, made: Made, *, champion: Made | None, baseline: Callable[[], Made]) -> Gate:
    """The gate; open where it would refuse a candidate for the sake of a worse scorer, which is told."""
    limits = Limits(settings.max_total_bias, settings.max_coverage_error)
    drawn: dict[str, Any] = {"limits": limits, "replicates": settings.replicates, "seed": run.seed}
    gate = gate_of(made.measured, champion.measured if champion is not None else None, **drawn)
    tolerance = run.settings.gate.tolerance
    if not judge(gate, tolerance=tolerance):
        return gate
    successor = (champion or baseline()).measured
    gate, told = kept_gate(gate, made.measured, successor=successor, tolerance=tolerance, **drawn)
    if told is not None:
        run.progress.note(told)
    return gate


def _level_metrics(made: Made, settings: JobSettings) -> dict[str, float]:
    """wape_product, wape_total, ...: of the sums of each level, in the held-out window."""
    rows = to_level_errors(made.chosen, levels=settings.levels).collect()  # one row a level
    return {f"wape_{row['level']}": float(row["wape"]) for row in rows if row["wape"] is not None}


def _figures(made: Made) -> dict[str, Figure]:
    """Drawn from a few hundred series that their hash picks."""
    rows = made.sample(_DRAWN)
    added = {str(category): float(value) for category, value in made.measured.fva_by_category().items()}
    return {
        "series.png": series_figure(examples(rows, made.frame)),
        "coverage.png": coverage_figure(coverage_by_step(rows, made.frame, made.early_pools)),
        "value_added.png": added_figure(added),
    }


def _champion_recipe(run: Run) -> Recipe | None:
    return None if run.champion is None else Recipe.from_json(run.champion.recipe)


def _candidate(made: Made, gate: Gate) -> Candidate:
    """The policy with the last booster, shown on the history of three series."""
    booster = made.boosters[-1] if made.boosters else None
    policy = Policy(made.frame.recipe, booster, made.priors, made.pools, tuple(made.frame.events),
                    {store: tuple(events) for store, events in made.frame.store_events.items()})  # fmt: skip
    packed = made.packed.orderBy("store_id", "product_id").limit(3).toPandas()
    return to_candidate(policy, gate=gate, example=example_of(packed, made.frame))


def _kept(made: Made) -> tuple[Write, ...]:
    trials, boosters = made.kept()
    return (
        replace_slice(FORECAST_TRIALS, trials.transform(FORECAST_TRIALS.select)),
        replace_slice(FORECAST_BOOSTERS, boosters.transform(FORECAST_BOOSTERS.select)),
    )


def _tables(run: Run, settings: JobSettings, made: Made) -> tuple[Write, ...]:
    rows = made.forecasts()
    if settings.reconcile == "mint":
        rows = reconciled(run, settings, made, rows)
    rows = run.stage("forecasts", rows)
    levels = to_levels(rows, made.chosen, levels=settings.levels, model=settings.reconcile)
    return (
        replace_slice(FORECASTS, rows.transform(FORECASTS.select)),
        replace_slice(FORECAST_LEVELS, levels.transform(FORECAST_LEVELS.select)),
        replace_slice(FORECAST_ACCURACY, made.accuracy().transform(FORECAST_ACCURACY.select)),
    )
