"""The job ingest: source files to canonical tables, every row accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.canonical import SILVER, quarantine_of
from retail_spark.ingest.expressions import tolerant
from retail_spark.ingest.judging import ORDER, POS, to_judged, uses_of, without_erased
from retail_spark.ingest.mapping import CANONICAL, InputSpec, SourceMapping, TableSpec, mapping_of
from retail_spark.ingest.reading import Raw, grouped, pins_of, read_raw
from retail_spark.ingest.report import Counts, check_share, counts_of, to_quarantine
from retail_spark.ingest.settings import JobSettings
from retail_spark.ingest.settling import ID, Table, known_losers, settled
from retail_spark.ingest.stream import MicroBatch, take_once
from retail_spark.lake.contracts import Contract
from retail_spark.lake.names import TableName
from retail_spark.lake.store import Lake
from retail_spark.lake.tombstones import with_erased
from retail_spark.lake.writers import Write, append_once, replace_slice, upsert
from retail_spark.run import Attempt, Outcome, Result, Run, SourcePin, job
from retail_spark.settings import Settings, section


def pin_sources(lake: Lake, settings: Settings) -> tuple[SourcePin, ...]:
    """Every input that a table uses, by content."""
    mapping = mapping_of(settings)
    return tuple(pin for name in _used(mapping) for pin in _pins(lake, name, mapping.inputs[name], settings.data_root))


def ingest(run: Run, settings: JobSettings) -> Outcome:
    """Maps, judges and settles every table of the source; nothing is written when one of them is too bad."""
    mapping = mapping_of(run.settings)
    inputs = Inputs(run, mapping)
    writes: list[Write] = []
    metrics: dict[str, float] = {}
    for name, spec in mapping.tables.items():
        with run.progress.step(f"ingest {name}", f"ingesting {name}"):
            made, counts = _table(run, settings, inputs, CANONICAL[name], spec)
        writes += made
        metrics |= counts.metrics
    return Outcome(tables=tuple(writes), metrics=metrics)


def check(settings: Settings) -> None:
    """What can be told of a mapping before Spark is started."""
    mapping_of(settings)


def drive(lake: Lake, settings: Settings, attempt: Attempt) -> Result | None:
    """Batch mode: one attempt over all files. Incremental: one over the files that came since the last."""
    own = section(settings, "ingest", JobSettings)
    if own.mode == "batch":
        return attempt(sources=pin_sources(lake, settings), batch=None)
    return take_once(lake.spark, lake, settings, attempt)


def _pins(lake: Lake, name: str, spec: InputSpec, data_root: str) -> tuple[SourcePin, ...]:
    """A table of the lake by its last version that changed data: OPTIMIZE makes no new input of it."""
    table = _lake_table(lake, spec)
    if table is None:
        return pins_of(lake.spark, name, spec, data_root=data_root)
    pin = lake.pin(table)
    return (SourcePin(f"table:{name}", pin.version or 0, str(pin.table_id)),)


def _lake_table(lake: Lake, spec: InputSpec) -> TableName | None:
    """The table of this lake that an input names as schema.table; None when it lies elsewhere."""
    table = TableName.parse(spec.table) if spec.table is not None else None
    return table if table is not None and len(table.parts) == 2 and lake.exists(table) else None


def _located(lake: Lake, spec: InputSpec) -> InputSpec:
    """The input with its place in the lake, which the session knows no name of."""
    table = _lake_table(lake, spec)
    if table is None:
        return spec
    if lake.catalog:
        return spec.model_copy(update={"table": str(TableName.of(lake.catalog, *table.parts))})
    return spec.model_copy(update={"table": None, "path": lake.path(table), "format": "delta"})


@dataclass
class Inputs:
    """The inputs of a run, each read once: one that several tables use is staged."""

    run: Run
    mapping: SourceMapping
    read: dict[str, Raw] = field(default_factory=dict)

    def raw(self, name: str) -> Raw:
        """The raw rows of an input: of all its files, or of the micro-batch's."""
        if name not in self.read:
            self.read[name] = self._read(name)
        return self.read[name]

    def _read(self, name: str) -> Raw:
        spec = _located(self.run.lake, self.mapping.inputs[name])
        if spec.from_ is not None:
            raw = grouped(self.raw(spec.from_), name, spec)
        else:
            batch = self.run.batch
            files = batch.files if isinstance(batch, MicroBatch) and batch.input == name else None
            raw = read_raw(self.run.spark, name, spec, data_root=self.run.settings.data_root, files=files)
        is_stable = spec.is_files or spec.format == "delta"
        return raw if self._uses(name) < 2 and is_stable else raw.through(self.run.stage(f"raw_{name}", raw.frame))

    def _uses(self, name: str) -> int:
        tables = self.mapping.tables.values()
        sums = sum(spec.from_ == name for spec in self.mapping.inputs.values())
        return sums + sum((t.from_ == name) + (name in t.join) for t in tables)


def _table(
    run: Run, settings: JobSettings, inputs: Inputs, contract: Contract, spec: TableSpec
) -> tuple[list[Write], Counts]:
    """The writes of one table: kept rows and quarantine."""
    with tolerant(run.spark):
        raw = inputs.raw(spec.from_)
        joined = {name: inputs.raw(name) for name in spec.join}
        judged = to_judged(raw, contract=contract, spec=spec, joined=joined, settings=settings)
        unused = [c for c, used in ((POS, spec.explode), (ORDER, spec.order)) if not used]
        subjects = [name for name in contract.subjects if name in spec.columns]
        judged = judged.transform(with_erased, run.lake, columns=subjects, salt=run.settings.privacy.salt)
        numbered = judged.transform(without_erased).drop(*unused).withColumn(ID, F.monotonically_increasing_id())
        stage = run.stage(contract.table.parts[-1] + "_judged", numbered)
    table = _settle(run, Table(contract, spec, inputs.mapping.source, stage))
    where = quarantine_of(contract)
    with tolerant(run.spark):  # the raw rows of losers are looked up again
        uses = uses_of(spec, raw, joined)
        bad = to_quarantine(table, raw=raw, uses=uses, contract=where, run_id=run.id)
        quarantine = run.stage(where.table.parts[-1], bad)
    counts = counts_of(run.lake, table, quarantine)
    batch = run.batch.id if isinstance(run.batch, MicroBatch) else None
    if batch is None or batch != settings.accept_batch:
        check_share(counts, quarantine, limit=settings.max_quarantined_share, batch=batch)
    return _writes(table, where, quarantine, is_batch=batch is None), counts


def _settle(run: Run, table: Table) -> Table:
    if not isinstance(run.batch, MicroBatch):
        return settled(run, table, stored=None, previous=run.previous(table.contract))
    previous = run.previous(table.contract)
    stored = previous.where(F.col("source") == table.source)
    table = settled(run, table, stored=stored, previous=previous)
    return known_losers(run, table, quarantine=run.previous(quarantine_of(table.contract)), stored=stored)


def _writes(table: Table, where: Contract, quarantine: DataFrame, *, is_batch: bool) -> list[Write]:
    """Quarantine first: a run taken over after its rows are in could no longer tell what they replaced."""
    kept = table.kept.drop(ID)
    if is_batch:
        bad = replace_slice(where, quarantine, staged=True, source=table.source)
        good = replace_slice(table.contract, kept, staged=True, source=table.source)
    else:
        bad = append_once(where, quarantine, staged=True)
        good = (append_once if table.is_hashed else upsert)(table.contract, kept, staged=True)
    return [bad, replace(good, suspects=table.suspects)]


def _used(mapping: SourceMapping) -> Sequence[str]:
    """Inputs that a table needs, in the mapping's order."""
    wanted = {name for t in mapping.tables.values() for name in (t.from_, *t.join)}
    wanted |= {str(spec.from_) for name, spec in mapping.inputs.items() if name in wanted and spec.from_}
    return [name for name in mapping.inputs if name in wanted]


def _scope(settings: Settings) -> str:
    return mapping_of(settings).source


_TABLES: Mapping[str, Contract] = {c.name: c for table in SILVER for c in (table, quarantine_of(table))}

JOB = job(
    "ingest",
    settings=JobSettings,
    writes=tuple(_TABLES.values()),
    sources=pin_sources,
    check=check,
    lease_scope=_scope,
    drive=drive,
)(ingest)
