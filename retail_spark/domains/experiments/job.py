"""The job `experiments`: what a change causes, from one pass over the units, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.experiments.measures import to_facts, to_values, with_winsorised
from retail_spark.domains.experiments.models.analyse import Analysis, analyse
from retail_spark.domains.experiments.models.cells import Cell, Design, Measure, Rules
from retail_spark.domains.experiments.settings import JobSettings, Metric, Plan
from retail_spark.domains.experiments.sums import cells_of, to_clusters, to_sums
from retail_spark.domains.experiments.units import to_groups, to_split_clusters, to_units
from retail_spark.engine.job import Job, Outcome, Run, job
from retail_spark.errors import InputError, UsageError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.contract import Contract
from retail_spark.lake.write import Write, replace_slice
from retail_spark.tables.assignments import ASSIGNMENTS, OUTCOMES
from retail_spark.tables.experiments import DECISIONS, EXPERIMENT_LOOKS, EXPERIMENT_RESULTS
from retail_spark.tables.silver import SALES

_MOST_METRICS = 100
_MOST_ROWS = 1_000_000
"""Of the sums, which the driver holds: experiments x metrics x variants x strata x days."""


def experiments(run: Run, settings: JobSettings) -> Outcome:
    """Every experiment's metrics with intervals, a decision and its reason. Raises InputError without assignments."""
    units = run.stage("units", to_units(run.read(ASSIGNMENTS), plans=settings.experiments))
    designs = _designs(units, settings)
    if not designs:
        raise InputError(
            f"{ASSIGNMENTS.name} holds no row up to {run.as_of}.", fix="use a later --as-of, or ingest assignments"
        )
    outcomes = run.read(OUTCOMES)
    metrics, looked_at = _metrics(outcomes, designs, settings)
    sales = _sales(run, metrics)
    values = to_values(
        to_facts(outcomes, sales),
        units.where(F.col("n_variants") == 1),
        metrics=metrics,
        as_of=run.as_of,
        wanted=_is_wanted(looked_at),
    ).transform(with_winsorised, metrics=metrics)
    if any(design.is_clustered for design in designs):
        values = _with_clusters(values, [design.experiment_id for design in designs if design.is_clustered])
    cells = _by_experiment(values)
    found = [
        analyse(
            design,
            cells.get(design.experiment_id, ()),
            measures={name: _measure(metrics[name]) for name in looked_at[design.experiment_id]},
            rules=_rules(settings),
        )
        for design in designs
    ]
    return Outcome(tables=_tables(run, found), metrics=_told(found))


JOB: Job = job(
    "experiments",
    settings=JobSettings,
    reads=(OUTCOMES, ASSIGNMENTS),
    optional=(SALES,),
    writes=(EXPERIMENT_RESULTS, EXPERIMENT_LOOKS),
)(experiments)


def _designs(units: DataFrame, settings: JobSettings) -> list[Design]:
    split = {row["experiment_id"]: row["split"] for row in to_split_clusters(units).collect()}
    by_experiment: dict[str, list[Any]] = {}
    for row in to_groups(units).collect():  # a row for each variant
        by_experiment.setdefault(row["experiment_id"], []).append(row)
    found = []
    for name, rows in sorted(by_experiment.items()):
        plan = settings.experiments.get(name, Plan())
        sizes = {row["variant"]: row["units"] for row in rows if row["units"]}
        sizes = sizes or {row["variant"]: 0 for row in rows}
        control = plan.control or ("control" if "control" in sizes else min(sizes))
        if plan.weights and set(sizes) - set(plan.weights):
            raise UsageError(
                f"experiments.experiments.{name}.weights has no weight for {min(set(sizes) - set(plan.weights))}.",
                fix="give every variant that was assigned its weight, or name it under renamed",
            )
        found.append(
            Design(
                name, control, sizes, plan.weights or dict.fromkeys(sizes, 1.0),
                crossed=sum(row["crossed"] for row in rows), split_clusters=split.get(name, 0),
                is_clustered=any(row["in_clusters"] for row in rows),
                is_stratified=any(row["in_strata"] for row in rows), planned_units=plan.planned_units,
            )
        )  # fmt: skip
    return found


def _metrics(
    outcomes: DataFrame, designs: Iterable[Design], settings: JobSettings
) -> tuple[Mapping[str, Metric], Mapping[str, tuple[str, ...]]]:
    """The metrics by name, and for each experiment the names that are looked at."""
    rows = outcomes.select("experiment_id", "metric").distinct().limit(_MOST_ROWS).collect()
    there: dict[str, set[str]] = {}
    for row in rows:
        there.setdefault(row["experiment_id"], set()).add(row["metric"])
    metrics = settings.metrics or {name: Metric(value=name) for names in there.values() for name in sorted(names)}
    if not metrics or len(metrics) > _MOST_METRICS:
        raise InputError(
            f"{OUTCOMES.name} holds {len(metrics)} metrics, and the settings name none.",
            fix=f"name at most {_MOST_METRICS} in experiments.metrics",
        )
    looked_at = {}
    for design in designs:
        planned = settings.experiments.get(design.experiment_id, Plan()).metrics
        unknown = sorted(set(planned) - set(metrics))
        if unknown:
            raise UsageError(
                f"experiments.experiments.{design.experiment_id}.metrics names {unknown[0]}, which is no metric.",
                fix=f"use some of: {', '.join(sorted(metrics))}",
            )
        own = there.get(design.experiment_id, set())
        looked_at[design.experiment_id] = planned or tuple(
            sorted(name for name, m in metrics.items() if m.source == "sales" or m.value in own)
        )
    return metrics, looked_at


def _sales(run: Run, metrics: Mapping[str, Metric]) -> DataFrame | None:
    names = [name for name, metric in metrics.items() if metric.source == "sales"]
    if names and not run.has(SALES):
        raise InputError(f"the metric {names[0]} needs {SALES.name}.", fix="ingest sales, or take the metric away")
    return run.read(SALES) if names else None


def _is_wanted(looked_at: Mapping[str, tuple[str, ...]]) -> Column:
    pairs = [f"{experiment}\0{metric}" for experiment, names in sorted(looked_at.items()) for metric in names]
    return F.concat_ws("\0", "experiment_id", "metric").isin(pairs)


def _with_clusters(values: DataFrame, clustered: list[str]) -> DataFrame:
    is_clustered = F.col("experiment_id").isin(clustered)
    sums = values.where(is_clustered).transform(to_clusters)
    return sums.unionByName(values.where(~is_clustered).select(*sums.columns))


def _by_experiment(values: DataFrame) -> dict[str, list[Cell]]:
    rows = values.transform(to_sums).limit(_MOST_ROWS + 1).collect()
    if len(rows) > _MOST_ROWS:
        raise InputError(
            f"the experiments have more than {_MOST_ROWS:,} groups of metric, variant, stratum and day.",
            fix="use coarser strata, or fewer metrics",
        )
    found: dict[str, list[Cell]] = {}
    for cell in cells_of(rows):
        found.setdefault(cell.experiment_id, []).append(cell)
    return found


def _measure(metric: Metric) -> Measure:
    return Measure(metric.kind, metric.covariate_days > 0, metric.is_guardrail, metric.lower_is_better)


def _rules(settings: JobSettings) -> Rules:
    return Rules(**{name: getattr(settings, name) for name in Rules.__dataclass_fields__})


def _tables(run: Run, found: Iterable[Analysis]) -> tuple[Write, ...]:
    analyses = list(found)

    def frame(contract: Contract, rows: list[dict[str, object]]) -> DataFrame:
        return frame_of_rows(run.spark, rows, contract.given).transform(contract.select)

    results = [row for analysis in analyses for row in analysis.results]
    looks = [row for analysis in analyses for row in analysis.looks]
    return (
        replace_slice(EXPERIMENT_RESULTS, frame(EXPERIMENT_RESULTS, results)),
        replace_slice(EXPERIMENT_LOOKS, frame(EXPERIMENT_LOOKS, looks)),
    )


def _told(found: Iterable[Analysis]) -> dict[str, float]:
    rows = [row for analysis in found for row in analysis.results]
    counts = Counter(str(row["decision"]) for row in rows)
    return {
        "experiments": float(len({row["experiment_id"] for row in rows})),
        **{decision.replace(" ", "_"): float(counts[decision]) for decision in DECISIONS},
    }
