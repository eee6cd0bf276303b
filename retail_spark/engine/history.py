"""The history of the house: ops.job_runs and ops.metrics. What has finished is known from here alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from itertools import takewhile
from typing import Any

from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.config.secrets import masked_values
from retail_spark.engine.job import Result, SourcePin
from retail_spark.lake.contract import (
    DATE,
    DOUBLE,
    INT,
    LONG,
    NUMBER_MAP,
    STRING,
    TIMESTAMP,
    Column,
    Contract,
)
from retail_spark.lake.journal import append_rows, read_rows
from retail_spark.lake.lake import Lake, Pin
from retail_spark.lake.table_name import TableName
from retail_spark.lake.whole import feed_is_there

FINISHED = ("done", "gate_refused")

_INPUT = T.ArrayType(
    T.StructType(
        [
            T.StructField("name", STRING),
            T.StructField("table_id", STRING),
            T.StructField("version", LONG),
            T.StructField("digest", STRING),
        ]
    )
)
_OUTPUT = T.ArrayType(
    T.StructType(
        [
            T.StructField("name", STRING),
            T.StructField("version", LONG),
            T.StructField("rows", LONG),
            T.StructField("slice", T.MapType(STRING, STRING)),
        ]
    )
)

JOB_RUNS = Contract(
    "ops.job_runs",
    grain="One row per attempt at a run.",
    key=("run_id", "attempt"),
    columns=(
        Column("run_id", STRING, "Hash of job, as_of, inputs, settings, seed and package version."),
        Column("attempt", INT, "1 for the first attempt at this run.", check="attempt >= 1"),
        Column("job", STRING, "Job."),
        Column("status", STRING, "done, gate_refused or failed."),
        Column("as_of", DATE, "Last date the run knew of.", nullable=True),
        Column("started_at", TIMESTAMP, "Start of the attempt, UTC."),
        Column("finished_at", TIMESTAMP, "End of the attempt, UTC."),
        Column("inputs", _INPUT, "Tables with version, files with digest.", nullable=True),
        Column("outputs", _OUTPUT, "Tables with the version after the run, rows and slice.", nullable=True),
        Column("model", STRING, "Model that scored the run: name/version.", nullable=True),
        Column("result", STRING, "The JSON line that the run printed.", nullable=True),
        Column("settings", STRING, "Settings that decide the result, JSON, secrets masked."),
        Column("seconds", NUMBER_MAP, "Seconds per part of the run.", nullable=True),
        Column(
            "package_version", STRING, "Version of retail-spark, and a digest of the modules that the job stands on."
        ),
        Column("error", STRING, "What went wrong, for a failed attempt.", nullable=True),
    ),
    cluster_by=("job", "started_at"),
)

METRICS = Contract(
    "ops.metrics",
    grain="One row per metric of an attempt at a run.",
    key=("run_id", "attempt", "metric"),
    columns=(
        Column("run_id", STRING, "Run; see ops.job_runs."),
        Column("attempt", INT, "Attempt."),
        Column("job", STRING, "Job."),
        Column("metric", STRING, "Name, such as ndcg_at_10 or sales.kept."),
        Column("value", DOUBLE, "Value."),
    ),
    cluster_by=("job", "metric"),
)


@dataclass(frozen=True)
class Output:
    """A table after a run. `slice` says which of its rows the run owns; empty: rows of its own keys."""

    name: str
    version: int
    rows: int
    slice: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finished:
    """A finished run as the history tells it."""

    run_id: str
    inputs: Mapping[str, Pin]
    outputs: tuple[Output, ...]
    result: Result
    settings: str = ""
    """The settings that decided it, as ops.job_runs keeps them."""
    package_version: str = ""

    @property
    def as_of(self) -> date | None:
        return date.fromisoformat(self.result.as_of) if self.result.as_of else None


class History:
    """The runs of one job on a lake. The newest are read once, in one query."""

    _NEWEST = 200

    def __init__(self, lake: Lake, job: str) -> None:
        self._lake = lake
        self._job = job

    def attempts(self, run_id: str) -> int:
        """Attempts at this run so far."""
        return max((row["attempt"] for row in self._rows_of(run_id)), default=0)

    def last_finished(self, run_id: str | None = None) -> Finished | None:
        """The last finished run of the job, or the last finished attempt at one run."""
        rows = self._newest if run_id is None else self._rows_of(run_id)
        row = next((row for row in rows if row["status"] in FINISHED), None)
        if row is None:
            return None
        inputs = {i["name"]: Pin(i["name"], i["table_id"], i["version"]) for i in row["inputs"] or []}
        outputs = tuple(Output(**o) for o in row["outputs"] or [])
        result = Result(**json.loads(row["result"]))
        return Finished(row["run_id"], inputs, outputs, result, row["settings"], row["package_version"])

    def to_follow(self, row: AttemptRow, *, feeds: Set[str], note: Callable[[str], None]) -> Finished | None:
        """The last finished run, when a run that only adds what came since ends like one that computes all anew.

        None when that run was this one, had other settings or another package, knew of later dates, or when somebody
        else has written into its tables since; and when an input of `feeds` no longer tells what changed in it, which
        is noted.
        """
        found = self.last_finished()
        if found is None or found.run_id == row.run_id or found.package_version != row.package_version:
            return None
        if found.settings != settings_text(row.settings) or (found.as_of or date.min) > (row.as_of or date.max):
            return None
        if not self.is_untouched(found, but_by=row.run_id):
            return None
        lost = [pin.table for pin in row.pins if pin.table in feeds and self._is_lost(found.inputs.get(pin.table), pin)]
        if lost:
            note(f"what changed in {', '.join(lost)} since the last run can no longer be read: all is computed anew")
        return None if lost else found

    def _is_lost(self, before: Pin | None, now: Pin) -> bool:
        """True when the changes between two versions of one table are no longer kept."""
        if before is None or before.version is None or now.read_version is None or before.table_id != now.table_id:
            return False
        return not feed_is_there(self._lake, TableName.parse(now.table), after=before.version, until=now.read_version)

    @cached_property
    def _newest(self) -> list[dict[str, Any]]:
        """The newest attempts, newest first."""
        found = read_rows(self._lake, JOB_RUNS, where={"job": self._job}, newest_by="finished_at", most=self._NEWEST)
        return sorted(found, key=lambda row: (row["finished_at"], row["attempt"]), reverse=True)

    def _rows_of(self, run_id: str) -> list[dict[str, Any]]:
        found = [row for row in self._newest if row["run_id"] == run_id]
        if found or len(self._newest) < self._NEWEST:
            return found
        return read_rows(self._lake, JOB_RUNS, where={"job": self._job, "run_id": run_id}, newest_by="attempt")

    def is_untouched(self, finished: Finished, *, but_by: str | None = None) -> bool:
        """True while no later commit that changed data touched the rows that the run wrote (`but_by`: a run's own)."""
        runs = {finished.run_id, but_by or finished.run_id}  # a commit by hand has no run id, and is somebody else's
        return all(self._output_is_untouched(output, runs) for output in finished.outputs)

    def _output_is_untouched(self, output: Output, run_ids: Set[str]) -> bool:
        table = TableName.parse(output.name)
        if not self._lake.exists(table):
            return False
        since = list(takewhile(lambda c: c.version >= output.version, self._lake.commits(table)))
        if not since or since[-1].version != output.version:
            return False
        later = [c for c in since[:-1] if c.changes_data and c.run_id not in run_ids]
        if later and output.slice and output.rows and not self._slice_is_there(table, output):
            return False
        return all(self._is_elsewhere(c.run_id, output) for c in later)

    def _slice_is_there(self, table: TableName, output: Output) -> bool:
        """False when retention has dropped the slice since."""
        rows = self._lake.read(table)
        for column, value in output.slice.items():
            rows = rows.where(F.col(column).cast("string") == value)
        return not rows.isEmpty()

    def _is_elsewhere(self, run_id: str | None, output: Output) -> bool:
        """True when the commit is another run's, on another slice of the table."""
        if run_id is None or not output.slice:
            return False
        attempts = read_rows(self._lake, JOB_RUNS, where={"run_id": run_id}, newest_by="attempt")
        outputs = [o for row in attempts if row["status"] in FINISHED for o in row["outputs"] or []]
        found = [dict(o["slice"] or {}) for o in outputs if o["name"] == output.name]
        return bool(found) and all(s and s != dict(output.slice) for s in found)


@dataclass(frozen=True)
class AttemptRow:
    """What ops.job_runs keeps of one attempt."""

    run_id: str
    attempt: int
    job: str
    as_of: date | None
    started_at: datetime
    settings: Mapping[str, object]
    package_version: str
    pins: Sequence[Pin] = ()
    sources: Sequence[SourcePin] = ()


def settings_text(settings: Mapping[str, object]) -> str:
    """The settings as ops.job_runs keeps them."""
    return json.dumps(masked_values(settings), sort_keys=True, default=str)


def record(
    lake: Lake,
    row: AttemptRow,
    *,
    status: str,
    outputs: Sequence[Output] = (),
    result: Result | None = None,
    seconds: Mapping[str, float] | None = None,
    error: str | None = None,
) -> None:
    """Writes the row of an attempt, and its metrics: the last act of a run."""
    inputs: list[tuple[str, str | None, int | None, str | None]] = []
    inputs += [(p.table, p.table_id, p.version, None) for p in row.pins]
    inputs += [(s.name, None, s.size, s.digest) for s in row.sources]
    attempt = {
        "run_id": row.run_id,
        "attempt": row.attempt,
        "job": row.job,
        "status": status,
        "as_of": row.as_of,
        "started_at": row.started_at,
        "finished_at": datetime.now(UTC),
        "inputs": inputs,
        "outputs": [(o.name, o.version, o.rows, dict(o.slice)) for o in outputs],
        "model": result.model if result else None,
        "result": json.dumps(asdict(result)) if result else None,
        "settings": settings_text(row.settings),
        "seconds": dict(seconds or {}),
        "package_version": row.package_version,
        "error": error,
    }
    key = f"{row.run_id}-{row.attempt}"
    if result is not None and result.metrics:
        same = {"run_id": row.run_id, "attempt": row.attempt, "job": row.job}
        metrics = [same | {"metric": name, "value": float(v)} for name, v in sorted(result.metrics.items())]
        append_rows(lake, METRICS, metrics, run_id=key)
    append_rows(lake, JOB_RUNS, [attempt], run_id=key)
