"""The pipeline: every job whose inputs are there, each after those whose tables it reads, in one session."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from retail_spark.cli.query_output import aligned
from retail_spark.config.secrets import masked
from retail_spark.config.section import Settings
from retail_spark.engine.catalogue import all_jobs, in_order
from retail_spark.engine.job import Job, Result
from retail_spark.engine.launch import Session
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.errors import UsageError
from retail_spark.lake.lake import Lake
from retail_spark.spark.failures import explain

SKIPPED, FAILED, UNCHANGED = "skipped", "failed", "unchanged"
_MADE_UP, _INGEST, _LAST = "synthetic", "ingest", "maintain"
_WORST_FIRST = (1, 4, 3, 6, 5, 2, 0)
"""Exit codes by what they say of the lake: an error that nobody foresaw is worse than a service that was away."""


@dataclass(frozen=True)
class Step:
    """What became of one job of the pipeline."""

    job: str
    status: str
    """done, unchanged, gate_refused, skipped or failed."""
    seconds: float
    told: str
    """The headline figures, or why the job was skipped or failed."""
    result: Result | None = None
    exit_code: int = 0


def order_of_jobs(settings: Settings, *, skip: Sequence[str] = (), made_up: bool = False) -> list[str]:
    """The jobs of a pipeline in order: each after those whose tables it reads.

    They are those of `pipeline.jobs`, or else all there are: ingest where the settings map a source, the made-up
    retailer only where it is asked for, what is done only on demand (erase) never. Raises UsageError for a name that
    is no job.
    """
    chosen = settings.pipeline.jobs
    unknown = [name for name in (*skip, *chosen) if name not in all_jobs()]
    if unknown:
        raise UsageError(f"there is no job {unknown[0]!r}.", fix=f"use some of: {', '.join(all_jobs())}")
    left_out = {
        *skip,
        *(name for name, entry in all_jobs().items() if entry.on_demand or (chosen and name not in chosen)),
    }
    left_out |= set() if made_up else {_MADE_UP}
    left_out |= set() if getattr(settings, "tables", None) else {_INGEST}
    last = [] if _LAST in left_out else [_LAST]
    return [*in_order(name for name in all_jobs() if name not in {*left_out, _LAST}), *last]


def dates_between(first: date, last: date, *, every_days: int) -> list[date]:
    """The as-of dates of a backfill, both ends included where the steps meet them. Raises UsageError for none."""
    if first > last or every_days < 1:
        raise UsageError(f"there is no date from {first} to {last} in steps of {every_days} days.", fix="swap them")
    return [first + timedelta(days=n) for n in range(0, (last - first).days + 1, every_days)]


def run_pipeline(
    settings: Settings, jobs: Sequence[str], *, spark: Session, as_of_dates: Sequence[date | None] = (None,)
) -> list[Step]:
    """Runs the jobs one after the other, those that are dated once for every date, the oldest first.

    A job without its inputs is skipped, and so is one that reads what a failed job would have written; the others
    go on. A second call takes up where the first one ended: what has finished answers `unchanged`.
    """
    steps: list[Step] = []
    broken: set[str] = set()
    for name, as_of in _runs(jobs, as_of_dates):
        if name == _LAST and all(step.status in (UNCHANGED, SKIPPED, FAILED) for step in steps):
            continue
        job = all_jobs()[name].job()
        why_not = _why_not(job, Lake.open(spark, settings.lake), broken)
        steps.append(Step(name, SKIPPED, 0.0, why_not) if why_not else _step(job, settings, spark, as_of))
        if steps[-1].status == FAILED:
            broken |= {contract.name for contract in job.writes}
    return steps


def worst_exit_code(steps: Sequence[Step]) -> int:
    """The exit code of the pipeline: that of its worst job."""
    return min((step.exit_code for step in steps), key=_WORST_FIRST.index, default=0)


def summary(steps: Sequence[Step]) -> str:
    """A line a job: what became of it, its seconds, and its headline figures or what is wrong."""
    rows = [(step.job, step.status, f"{step.seconds:.1f}", step.told) for step in steps]
    return aligned(["job", "status", "seconds", "figures"], rows).rstrip("\n")


def _runs(jobs: Sequence[str], dates: Sequence[date | None]) -> Iterator[tuple[str, date | None]]:
    dated = [
        name for name in jobs if (driving := all_jobs()[name].job().driving) is not None and driving.date_expression
    ]
    yield from ((name, None) for name in jobs if name not in dated and name != _LAST)
    yield from ((name, day) for day in dates for name in dated)
    yield from ((name, None) for name in jobs if name == _LAST)


def _why_not(job: Job, lake: Lake, broken: set[str]) -> str:
    """Why the job cannot run; empty when it can."""
    inputs = [contract.name for contract in (*job.reads, *job.optional)]
    stale = [name for name in inputs if name in broken]
    if stale:
        return f"{stale[0]} is not up to date: the job that writes it failed"
    missing = [contract.name for contract in job.reads if not lake.exists(contract.table)]
    return f"the source has no {', '.join(missing)}" if missing else ""


def _step(job: Job, settings: Settings, spark: Session, as_of: date | None) -> Step:
    began = time.monotonic()
    progress = Progress(job.name if as_of is None else f"{job.name} {as_of}")
    try:
        result = run_job(job, settings, spark=spark, as_of=as_of, progress=progress)
    except Exception as error:  # the other jobs go on; what is wrong stands in the table and in ops.job_runs
        explained = explain(error)
        told = masked(explained.what)
        progress.note(told)
        return Step(job.name, FAILED, time.monotonic() - began, told.splitlines()[0], exit_code=explained.exit_code)
    return Step(job.name, result.status, time.monotonic() - began, _figures(job.name, result), result)


def _figures(name: str, result: Result) -> str:
    figures = ", ".join(f"{m} {result.metrics[m]:,.4g}" for m in all_jobs()[name].headline if m in result.metrics)
    rows = sum(table["rows"] for table in result.tables.values())
    model = f", model {result.model}" if result.model else ""
    return f"{figures or f'{rows:,} rows'}{model}"
