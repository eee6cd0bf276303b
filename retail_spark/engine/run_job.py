"""The life of a run, once, for every job: lease, pins, compute, register, gate, stage, check, write, record.

A failure leaves every table at its old version or at its new one, and says what to do; a rerun takes over.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_spark.config.secrets import masked
from retail_spark.config.section import Settings, plain_values, section
from retail_spark.engine.code_version import code_version
from retail_spark.engine.history import AttemptRow, Finished, History, Output, record
from retail_spark.engine.job import Job, Outcome, Result, Run, SourcePin
from retail_spark.engine.progress import Progress
from retail_spark.errors import InputError, UsageError
from retail_spark.lake.commit import carry_out, marked
from retail_spark.lake.contract import AS_OF, LINEAGE, Contract
from retail_spark.lake.journal import append_rows
from retail_spark.lake.lake import Lake, Pin
from retail_spark.lake.last_date import last_date_of
from retail_spark.lake.lease import Lease, hold
from retail_spark.lake.sql import with_latest
from retail_spark.lake.whole import kept_whole
from retail_spark.lake.write import Write
from retail_spark.modelling.gate import Verdict, decide
from retail_spark.quality.checks import check
from retail_spark.quality.docs import DataDocs
from retail_spark.quality.report import EXPECTATIONS, CheckReport, expectation_rows
from retail_spark.quality.status import check_failed_share
from retail_spark.registry.model import RunRecord
from retail_spark.registry.model_files import params_of
from retail_spark.registry.registry import Registry
from retail_spark.spark.failures import explain

_BESIDE = 4  # small tables cost the driver more than the cluster: several commits at once hide that
_SCORED_BY_NONE = Verdict(passed=True, scorer="candidate", model_version=None, reasons=())


def run_job(
    job: Job,
    settings: Settings,
    *,
    spark: SparkSession | Callable[[], SparkSession],
    as_of: date | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Runs a job from lease to record, and returns what it did.

    `spark` is the session or what starts it: on a local lake a run that has finished answers `unchanged` from the
    tables' logs, and a lease that another run holds is told, before it is started.
    Raises a RetailSparkError of the kind that fits; nothing is half written then.
    """
    job.check_settings(settings)
    lake = Lake.open(spark, settings.lake)
    life = Life(job, settings, lake, as_of, force, progress or Progress(job.name))
    with life.progress.step("lease"):
        holding = hold(life.lake, job.lease_name(settings))
        lease = holding.__enter__()
    try:
        life = replace(life, lease=lease)
        if job.drive is None:
            sources = job.sources(lake, settings) if job.sources else ()
            return life.attempt(sources=sources, batch=None)

        def attempt(*, sources: tuple[SourcePin, ...], batch: Any) -> Result:
            return replace(life).attempt(sources=sources, batch=batch)  # each with the history as it is then

        result = job.drive(lake, settings, attempt)
        return result if result is not None else life.nothing_new()
    finally:
        holding.__exit__(None, None, None)


@dataclass(frozen=True)
class Life:
    """Everything one call of run_job knows; `attempt` does the work."""

    job: Job
    settings: Settings
    lake: Lake
    given_as_of: date | None
    force: bool
    progress: Progress
    lease: Lease | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @cached_property
    def registry(self) -> Registry | None:
        """MLflow, for jobs that learn."""
        return Registry.open(self.settings) if self.job.learns else None

    @cached_property
    def history(self) -> History:
        return History(self.lake, self.job.name)

    @cached_property
    def decides(self) -> dict[str, Any]:
        """The settings that decide the result: the job's own section, its source mapping, the shared ones."""
        names = [self.job.name, "run"]
        names += ["gate"] if self.job.learns else []
        names += ["source", "inputs", "tables"] if self.job.sources is not None else []
        return {name: plain_values(getattr(self.settings, name)) for name in names}

    @cached_property
    def code(self) -> str:
        """The version of the code that the job stands on."""
        return code_version(self.job.function.__module__.rpartition(".")[0])

    def attempt(self, *, sources: tuple[SourcePin, ...], batch: Any) -> Result:
        """One attempt at the run over these sources. A finished run answers `unchanged` without computing."""
        with self.progress.step("pins", "pinning inputs"):
            pins = self._pins()
        with self.progress.step("history", "looking at earlier runs"):
            told_by_logs = self._as_of_in_logs(pins)
            finished = self._finished(pins, sources, told_by_logs)
        if finished is not None:
            return replace(finished.result, status="unchanged")
        _ = self.lake.spark  # MLflow is imported while the session starts
        if self.registry is not None:
            with self.progress.step("registry"):
                self.registry.ping()
        with self.progress.step("pins"):
            as_of = self._as_of(pins)
            run_id = self._run_id(pins, sources, as_of)
        with self.progress.step("history"):
            finished = self._finished(pins, sources, as_of) if as_of != told_by_logs else None
        if finished is not None:
            return replace(finished.result, status="unchanged")
        row = AttemptRow(
            run_id=run_id,
            attempt=self.history.attempts(run_id) + 1,
            job=self.job.name,
            as_of=as_of,
            started_at=self.started_at,
            settings=self.decides,
            package_version=self.code,
            pins=[pins[contract.name] for contract in self._inputs],
            sources=sources,
        )
        try:
            with kept_whole(self.lake, reads=self._inputs, writes=self.job.writes, asked=self.force):
                return self._finish(row, pins, batch)
        except Exception as error:
            self._record_failure(row, error)
            raise
        finally:
            self.lake.drop_stages(run_id)

    def nothing_new(self) -> Result:
        """The answer of a stream to which nothing came: the last finished run, unchanged."""
        finished = self.history.last_finished()
        if finished is not None:
            return replace(finished.result, status="unchanged")
        return Result("", self.job.name, "unchanged", None, {}, {})

    @property
    def _inputs(self) -> tuple[Contract, ...]:
        return (*self.job.reads, *self.job.optional)

    def _pins(self) -> dict[str, Pin]:
        required = {contract.name for contract in self.job.reads}
        pins = {}
        for contract in (*self._inputs, *self.job.writes):
            pin = self.lake.pin(contract.table)
            if contract.name in required and pin.version is None:
                raise InputError(
                    f"{self.job.name} reads {contract.name}, which does not exist in {self.lake.where}.",
                    fix=f"ingest a source that maps the table {contract.table.parts[-1]} first",
                )
            pins[contract.name] = pin
        return pins

    def _finished(self, pins: Mapping[str, Pin], sources: Sequence[SourcePin], as_of: date | None) -> Finished | None:
        """This very run, where it has finished, nobody changed its rows since, and nobody asked for it again."""
        if self.force or self.job.always:
            return None
        found = self.history.last_finished(self._run_id(pins, sources, as_of))
        return found if found is not None and self.history.is_untouched(found) else None

    def _as_of_in_logs(self, pins: Mapping[str, Pin]) -> date | None:
        """The as-of date as far as it is given or told by the driving table's log; None where the rows must be read."""
        driving = self.job.driving
        if self.given_as_of is not None or driving is None:
            return self.given_as_of
        return self.lake.last_date_in_log(driving, version=pins[driving.name].read_version)

    def _as_of(self, pins: Mapping[str, Pin]) -> date | None:
        driving = self.job.driving
        if driving is None or driving.date_expression is None:
            if self.given_as_of is not None:
                raise UsageError(f"{self.job.name} has no as-of date.", fix="leave --as-of out")
            return None
        if self.given_as_of is not None:
            return self.given_as_of
        before = self.history.last_finished()
        return last_date_of(
            self.lake,
            driving,
            version=pins[driving.name].read_version,
            floor=before.as_of if before else None,
            max_gap_days=self.settings.run.max_gap_days,
        )

    def _run_id(self, pins: Mapping[str, Pin], sources: Sequence[SourcePin], as_of: date | None) -> str:
        identity = {
            "job": self.job.name,
            "as_of": str(as_of),
            "inputs": [(c.name, pins[c.name].table_id, pins[c.name].version) for c in self._inputs],
            "sources": sorted((s.name, s.size, s.digest) for s in sources),
            "settings": self.decides,
            "seed": self.settings.run.seed,
            "code": self.code,
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def _finish(self, row: AttemptRow, pins: Mapping[str, Pin], batch: Any) -> Result:
        run = self._run(row, pins, batch)
        with self.progress.step("compute", "computing"):
            own = section(self.settings, self.job.name, self.job.settings)
            outcome = self.job(run, own)
        verdict = self._judge(run, row, outcome)
        status = "done" if verdict.passed else "gate_refused"
        with self.progress.step("compute", "computing"):
            writes = outcome.tables(verdict) if callable(outcome.tables) else outcome.tables
        with self.progress.step("stage", "staging outputs"), ThreadPoolExecutor(_BESIDE) as pool:
            staged = list(pool.map(lambda write: self._staged(run, write, verdict), writes))
        reports = self._checked(row, staged)
        outputs = self._written(row, staged, reports)
        if verdict.passed and verdict.model_version is not None and self.registry is not None:
            with self.progress.step("promote", "moving the champion"):
                self.registry.promote(self.job.name, verdict.model_version)
        result = Result(
            run_id=row.run_id,
            job=self.job.name,
            status=status,
            as_of=row.as_of.isoformat() if row.as_of else None,
            tables={o.name: {"version": o.version, "rows": o.rows} for o in outputs},
            metrics={name: float(value) for name, value in outcome.metrics.items()},
            model=self._model_name(verdict),
        )
        with self.progress.step("record", "recording the run"):
            record(self.lake, row, status=status, outputs=outputs, result=result, seconds=self.progress.seconds)
        return result

    def _run(self, row: AttemptRow, pins: Mapping[str, Pin], batch: Any) -> Run:
        feeds = {contract.name for contract in self._inputs if contract.change_feed}
        before = self.history.to_follow(row, feeds=feeds, note=self.progress.note)
        with self.progress.step("registry"):
            as_of = str(row.as_of) if row.as_of else None
            ask = self.registry.champion if self.registry is not None else None
            champion = ask(self.job.name, run_id=row.run_id, as_of=as_of) if ask is not None else None
        return Run(
            id=row.run_id,
            job=self.job.name,
            known_until=row.as_of,
            seed=self.settings.run.seed,
            spark=self.lake.spark,
            lake=self.lake,
            settings=self.settings,
            pins=pins,
            last_pins=before.inputs if before is not None else {},
            last_as_of=before.as_of if before is not None else None,
            progress=self.progress,
            champion=champion,
            sources=tuple(row.sources),
            batch=batch,
        )

    def _judge(self, run: Run, row: AttemptRow, outcome: Outcome) -> Verdict:
        """Registers the candidate (no alias yet), then lets the gate decide who scores this run."""
        if self.registry is None or outcome.model is None:
            return _SCORED_BY_NONE
        with self.progress.step("register", "registering the model"):
            about = RunRecord(
                run_id=row.run_id,
                job=row.job,
                as_of=str(row.as_of),
                seed=run.seed,
                attempt=row.attempt,
                params=params_of(section(self.settings, self.job.name, self.job.settings)),
                inputs={pin.table: pin.version for pin in row.pins},
                input_paths={} if self.lake.catalog else {c.name: self.lake.path(c.table) for c in self._inputs},
                scratch=f"{self.lake.root}/_staging/{row.run_id}" if self.lake.has_local_logs else None,
                champion_version=run.champion.version if run.champion is not None else None,
            )
            registered = self.registry.record(about, outcome.model, metrics=outcome.metrics, figures=outcome.figures)
            if outcome.trials:
                self.registry.log_trials(about, outcome.trials)
        verdict = decide(
            outcome.model.gate,
            tolerance=self.settings.gate.tolerance,
            candidate_version=registered.version,
            champion=run.champion,
        )
        self.registry.note_verdict(row.job, registered.version, verdict)
        for note in verdict.notes:
            self.progress.note(note)
        return verdict

    def _staged(self, run: Run, write: Write, verdict: Verdict) -> Write:
        """The write with lineage filled in and its frame computed once, so that a MERGE reads stable rows."""
        frame = write.frame
        names = write.contract.names
        slice_ = dict(write.slice)
        if write.contract.snapshot:
            slice_.setdefault("as_of", run.as_of)
        for name, value in (
            (AS_OF.name, run.known_until if write.contract.snapshot else None),
            (LINEAGE[0].name, run.id),
            (LINEAGE[1].name, verdict.model_version),
        ):
            filled = name in names and (name not in frame.columns)
            if filled:
                frame = frame.withColumn(name, F.lit(value))
        frame = write.contract.select(frame)
        name = "_".join(write.contract.table.parts)  # behind out_: a job names its own stages as it likes
        if not write.staged:
            frame = run.stage(f"out_{name}", frame)
        delete = write.delete
        if delete is not None:
            delete = run.stage(f"out_{name}_delete", delete.select(*write.contract.key))
        return replace(write, frame=frame, slice=slice_, delete=delete)

    def _checked(self, row: AttemptRow, staged: Sequence[Write]) -> list[CheckReport]:
        """Every staged frame against its contract; a failure is recorded, shown in the docs, and raised."""
        with self.progress.step("check", "checking outputs"):
            now = datetime.now(UTC)
            examples = self.settings.quality.examples

            def check_one(write: Write) -> CheckReport:
                slice_, suspects = write.slice, write.suspects
                return check(write.frame, write.contract, slice_=slice_, suspects=suspects, examples=examples)

            with ThreadPoolExecutor(_BESIDE) as pool:
                reports = list(pool.map(check_one, staged))
            if self.settings.quality.data_docs:
                as_of = str(row.as_of) if row.as_of else None
                docs = DataDocs.open(
                    self.lake, run_id=row.run_id, job=row.job, attempt=row.attempt, as_of=as_of, checked_at=now
                )
                docs.add_all(zip(reports, (write.contract for write in staged), strict=True))
            if reports:
                rows = expectation_rows(reports, run_id=row.run_id, attempt=row.attempt, checked_at=now)
                append_rows(self.lake, EXPECTATIONS, rows, run_id=f"{row.run_id}-{row.attempt}")
        for report in reports:
            report.raise_if_failed()
        for write in staged:
            check_failed_share(write.frame, write.contract, limit=self.settings.run.max_failed_share)
        return reports

    def _written(self, row: AttemptRow, staged: Sequence[Write], reports: Sequence[CheckReport]) -> list[Output]:
        def write_one(write: Write, report: CheckReport) -> Output:
            if self.lease is not None:
                self.lease.check()
            slice_ = {name: str(value) for name, value in write.slice.items()}
            if report.rows == 0 and not self.lake.exists(write.contract.table):
                self.lake.ensure(write.contract)
                version = 0
            else:
                version = carry_out(
                    self.lake, replace(write, is_checked=True, rows=report.rows), run_id=row.run_id
                ).version
            if self.lake.catalog and write.contract.snapshot:
                with_latest(self.lake, write.contract.table)
            return Output(write.contract.name, version, report.rows, slice_)

        # quarantines (tables without a key) first: a run that is taken over reads there what it had told already
        pairs = list(zip(staged, reports, strict=True))
        waves = [[p for p in pairs if not p[0].contract.key], [p for p in pairs if p[0].contract.key]]
        with (
            self.progress.step("write", "writing"),
            ThreadPoolExecutor(_BESIDE) as pool,
            marked(self.lake, row.run_id),
        ):
            return [output for wave in waves for output in pool.map(lambda pair: write_one(*pair), wave)]

    def _model_name(self, verdict: Verdict) -> str | None:
        if verdict.model_version is None:
            return None
        return f"{self.settings.mlflow.model_prefix}{self.job.name}/{verdict.model_version}"

    def _record_failure(self, row: AttemptRow, error: Exception) -> None:
        """Keeps the failed attempt; a lake that cannot be written must not hide the error itself."""
        text = explain(error).what
        try:
            record(self.lake, row, status="failed", seconds=self.progress.seconds, error=masked(text)[:4000])
        except Exception as second:
            self.progress.note(f"the failure could not be recorded: {masked(str(second)).splitlines()[0]}")
