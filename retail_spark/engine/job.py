"""What a job sees and returns: Run, Outcome, and the @job mark. How a run lives is in run_job.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import Section, Settings
from retail_spark.errors import InputError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.content_hash import row_hashes
from retail_spark.lake.contract import Contract
from retail_spark.lake.lake import Lake, Pin
from retail_spark.lake.write import Write
from retail_spark.modelling.contest import Candidate, Champion
from retail_spark.modelling.gate import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from retail_spark.engine.progress import Progress


_CAME = ("insert", "update_postimage")


@dataclass(frozen=True)
class SourcePin:
    """An input outside the lake: a file by (relative name, size, content hash), or a query that is never unchanged."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class Run:
    """One attempt at one job: its identity, its pinned inputs, and the time and chance it may use."""

    id: str
    job: str
    known_until: date | None
    """The run's as_of; None for a job without a driving table (ingest)."""
    seed: int
    spark: SparkSession
    lake: Lake
    settings: Settings
    pins: Mapping[str, Pin]
    last_pins: Mapping[str, Pin]
    """Input versions of the last finished run of this job; empty where all is to be computed: on the first run, when
    settings or package changed, when as_of went back, when somebody else wrote into the job's tables."""
    progress: Progress
    champion: Champion | None = None
    """The model in force for this job, if there is one."""
    sources: tuple[SourcePin, ...] = ()
    """Inputs outside the lake, pinned when the run began."""
    last_as_of: date | None = None
    """What the last finished run knew of, where there are last_pins."""
    batch: Any = None
    """What a job that drives its own stream hands to each attempt (see Job.drive)."""

    @property
    def as_of(self) -> date:
        """The last date the run may know of."""
        if self.known_until is None:
            raise ValueError(f"the job {self.job} has no as_of")
        return self.known_until

    def stage(self, name: str, frame: DataFrame) -> DataFrame:
        """Computes the frame once, stores it beside the lake until the run ends, and returns the stored one."""
        return self.lake.stage(self.id, name, frame)

    def read(self, contract: Contract) -> DataFrame:
        """The table at its pinned version, without rows that were not known at the end of as_of.

        Raises InputError when the table does not exist yet.
        """
        frame = self._at(contract, self.pins)
        return frame.transform(only_known_by, contract=contract, as_of=self.as_of)

    def has(self, contract: Contract) -> bool:
        """True when the input table exists (an optional input may not)."""
        return self.pins[contract.name].version is not None

    def latest(self, contract: Contract) -> DataFrame:
        """The newest snapshot of another domain's table that is not later than as_of, at the pinned version.

        Its rows tell the date it was computed for in `as_of`, and by `run_id` what it was made from (ops.job_runs).
        Empty where every snapshot is later. Raises InputError when the table does not exist yet, ValueError for a
        table without snapshots.
        """
        if not contract.snapshot:
            raise ValueError(f"{contract.name} has no snapshots: use read")
        known = self.read(contract)
        newest = known.agg(F.max("as_of").alias("as_of")).collect()[0]["as_of"]
        return known.where(F.col("as_of") == F.lit(newest))

    def previous(self, contract: Contract) -> DataFrame:
        """The job's own output as it stood when the run began; empty when there is none yet.

        A run that is taken over sees what its first attempt saw, as long as its own commits are the newest.
        """
        pin = self.pins.get(contract.name)
        newest = pin.read_version if pin is not None and pin.version is not None else None
        if newest is not None:
            for commit in self.lake.commits(contract.table):
                if commit.version <= newest and commit.run_id != self.id:
                    return self.lake.read(contract.table, version=commit.version)
        return frame_of_rows(self.spark, [], contract.schema)

    def follows(self, contract: Contract) -> bool:
        """True when only what came or went in this input since the last finished run need be computed."""
        before, now = self.last_pins.get(contract.name), self.pins[contract.name]
        is_there = before is not None and before.version is not None and now.read_version is not None
        return is_there and before is not None and before.table_id == now.table_id

    def added_since_last(self, contract: Contract) -> DataFrame:
        """Rows inserted or updated since the last finished run's input version; all rows where it is not followed."""
        if not self.follows(contract):
            return self.read(contract)
        came = self._feed(contract).where(F.col("_change_type").isin(*_CAME)).select(*contract.names)
        return came.unionByName(self._known_since_last(contract))

    def changed_since_last(self, contract: Contract, *columns: str) -> DataFrame:
        """These columns of the rows that came or went since the last finished run; a changed row is both.

        A row that went and came back as it was (an input replaced by nearly the same) has not changed. All rows where
        the last run is not followed.
        """
        if not self.follows(contract):
            return self.read(contract).select(*columns)
        sign = F.when(F.col("_change_type").isin(*_CAME), 1).otherwise(-1)
        halves = row_hashes(contract.schema)
        rows = self._feed(contract).select(
            *columns, halves[0].alias("_h0"), halves[1].alias("_h1"), sign.alias("_sign")
        )
        net = rows.groupBy(*columns, "_h0", "_h1").agg(F.sum("_sign").alias("_net")).where("_net <> 0")
        return net.select(*columns).unionByName(self._known_since_last(contract).select(*columns)).distinct()

    def _feed(self, contract: Contract) -> DataFrame:
        before, now = self.last_pins[contract.name].version, self.pins[contract.name].read_version
        if before is None or now is None:
            raise ValueError(f"{contract.name} is not followed")
        feed = self.lake.change_feed(contract, after=before, until=now)
        return feed.transform(only_known_by, contract=contract, as_of=self.last_as_of or self.as_of)

    def _known_since_last(self, contract: Contract) -> DataFrame:
        """Rows that the last run could not know of because they are later than its as_of."""
        frame = self.read(contract)
        if contract.known_by is None or self.last_as_of is None or self.last_as_of >= self.as_of:
            return frame.limit(0)
        return frame.where(F.to_date(F.expr(contract.known_by)) > F.lit(self.last_as_of))

    def _at(self, contract: Contract, pins: Mapping[str, Pin]) -> DataFrame:
        pin = pins[contract.name]
        if pin.version is None:
            raise InputError(
                f"{contract.name} does not exist in {self.lake.where}.",
                fix=self._how_to_get(contract),
            )
        return self.lake.read(contract.table, version=pin.read_version)

    @staticmethod
    def _how_to_get(contract: Contract) -> str:
        if contract.snapshot:
            return "run the job that writes it first (retail-spark pipeline runs all jobs in their order)"
        return f"ingest a source that maps the table {contract.table.parts[-1]} first"


def only_known_by(frame: DataFrame, *, contract: Contract, as_of: date) -> DataFrame:
    """Rows known by the end of as_of, by the contract's `known_by`. Same grain."""
    if contract.known_by is None:
        return frame
    return frame.where(F.to_date(F.expr(contract.known_by)) <= F.lit(as_of))


@dataclass(frozen=True)
class Outcome:
    """What a job returns. The machinery stages, checks, writes, registers and records it.

    `tables` may be a function of the gate's verdict, so that a refused candidate's run is scored by the champion.
    """

    tables: tuple[Write, ...] | Callable[[Verdict], tuple[Write, ...]]
    metrics: Mapping[str, float] = field(default_factory=dict)
    model: Candidate | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)
    """File name -> figure, logged with the model's run."""
    trials: Sequence[Mapping[str, Mapping[str, Any]]] = ()
    """What was tried before the candidate ({"params": ..., "metrics": ...}), each logged as a child run."""


JobFunction = Callable[[Run, Any], Outcome]


@dataclass(frozen=True)
class Result:
    """The end of a run, as printed on the last line of stdout."""

    run_id: str
    job: str
    status: str
    """done, unchanged, or gate_refused."""
    as_of: str | None
    tables: Mapping[str, Mapping[str, int]]
    """Table -> {"version", "rows"}: rows of this run."""
    metrics: Mapping[str, float]
    model: str | None = None
    """`name/version` of the model that scored the run."""


class Attempt(Protocol):
    """One attempt at a run over the given sources: pins, computes, checks, writes, records."""

    def __call__(self, *, sources: tuple[SourcePin, ...], batch: Any) -> Result: ...


@dataclass(frozen=True)
class Job:
    """A job: its name, the settings section it reads, its tables, and its function."""

    name: str
    settings: type[Section]
    reads: tuple[Contract, ...]
    writes: tuple[Contract, ...]
    function: JobFunction
    driving: Contract | None
    """The table whose last date is the default as_of."""
    optional: tuple[Contract, ...] = ()
    """Inputs that may be absent."""
    learns: bool = False
    """True when the job registers a model, so that MLflow must answer before anything is computed."""
    sources: Callable[[Lake, Settings], tuple[SourcePin, ...]] | None = None
    """Finds and pins inputs outside the lake."""
    check: Callable[[Settings], None] | None = None
    """Raises what can be said of the settings before a session is started."""
    lease_scope: Callable[[Settings], str] | None = None
    """What the lease is taken on beside the job, such as the source of an ingest."""
    always: bool = False
    """True for a job whose work depends on more than its inputs: a finished run is run again."""
    drive: Callable[[Lake, Settings, Attempt], Result | None] | None = None
    """For a job that is fed by a stream: calls the attempt for its micro-batch. None: nothing new came."""

    def __call__(self, run: Run, settings: Section) -> Outcome:
        return self.function(run, settings)

    def check_settings(self, settings: Settings) -> None:
        """Raises UsageError for settings that cannot be right, before Spark is started."""
        if self.check is not None:
            self.check(settings)

    def lease_name(self, settings: Settings) -> str:
        """The name of the lease that a run holds."""
        return self.name if self.lease_scope is None else f"{self.name}:{self.lease_scope(settings)}"


def job(
    name: str,
    *,
    settings: type[Section],
    reads: tuple[Contract, ...] = (),
    writes: tuple[Contract, ...] = (),
    optional: tuple[Contract, ...] = (),
    learns: bool = False,
    **hooks: Any,
) -> Callable[[JobFunction], Job]:
    """Marks a function from pinned inputs to an Outcome as the job `name`; the first of `reads` drives as_of."""

    def mark(function: JobFunction) -> Job:
        return Job(
            name=name,
            settings=settings,
            reads=reads,
            writes=writes,
            function=function,
            driving=reads[0] if reads else None,
            optional=optional,
            learns=learns,
            **hooks,
        )

    return mark
