"""The job ingest: source files to canonical tables, every row accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import rmtree

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.config.section import Settings, section
from retail_spark.engine.job import Attempt, Outcome, Result, Run, SourcePin, job
from retail_spark.errors import InputError
from retail_spark.ingest.contents import check_kind
from retail_spark.ingest.expressions import tolerant
from retail_spark.ingest.files import SourceFile, find_files, full_path, pins_of
from retail_spark.ingest.hiding import hidden_columns
from retail_spark.ingest.judging import ORDER, POS, to_judged, uses_of, without_erased
from retail_spark.ingest.ledger import INGESTED_FILES, content_of, delivered_again, ledger_of, taken_digests
from retail_spark.ingest.mapping import CANONICAL, InputSpec, SourceMapping, TableSpec, mapping_of
from retail_spark.ingest.reading import Raw, grouped, read_raw
from retail_spark.ingest.report import Counts, check_share, counts_of, to_quarantine
from retail_spark.ingest.settings import JobSettings
from retail_spark.ingest.settling import ID, Table, known_losers, settled
from retail_spark.ingest.stream import MicroBatch, take_once
from retail_spark.lake.contract import Contract
from retail_spark.lake.lake import Lake
from retail_spark.lake.table_name import TableName
from retail_spark.lake.tombstones import TOMBSTONES, with_erased
from retail_spark.lake.write import Write, append_once, replace_slice, upsert
from retail_spark.tables.silver import SILVER, quarantine_of


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
    try:
        for name, spec in mapping.tables.items():
            with run.progress.step(f"ingest {name}", f"ingesting {name}"):
                made, counts = _table(run, settings, inputs, CANONICAL[name], spec)
            writes += made
            metrics |= counts.metrics
    finally:
        if inputs.scratch is not None:
            rmtree(inputs.scratch, ignore_errors=True)
    if inputs.remembers:
        writes.append(inputs.ledger())
    return Outcome(tables=tuple(writes), metrics=metrics)


def check(settings: Settings) -> None:
    """What can be told of a mapping and its files on this machine before Spark is started."""
    mapping = mapping_of(settings)
    is_batch = section(settings, "ingest", JobSettings).mode == "batch"
    for name in _used(mapping):
        spec = mapping.inputs[name]
        if is_batch and spec.is_files and "://" not in full_path(spec, settings.data_root):
            for file in find_files(None, spec, name=name, data_root=settings.data_root):
                check_kind(file, spec)


def drive(lake: Lake, settings: Settings, attempt: Attempt) -> Result | None:
    """Batch mode: one attempt over all files. Incremental: one over the files that came since the last."""
    own = section(settings, "ingest", JobSettings)
    if own.mode == "batch":
        return attempt(sources=pin_sources(lake, settings), batch=None)
    return take_once(lake, settings, attempt)


def _pins(lake: Lake, name: str, spec: InputSpec, data_root: str) -> tuple[SourcePin, ...]:
    """A table of the lake by its last version that changed data: OPTIMIZE makes no new input of it."""
    table = _lake_table(lake, spec)
    if table is None:
        return pins_of(lake, name, spec, data_root=data_root)
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
    hashed: dict[str, dict[str, str]] = field(default_factory=dict)

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
            scratch = self.scratch / name if self.scratch is not None else None
            files = self.files_of(name) if spec.is_files else None
            root = self.run.settings.data_root
            raw = read_raw(self.run.spark, name, spec, data_root=root, files=files, scratch=scratch)
        is_stable = spec.is_files or spec.format == "delta"
        return raw if self._uses(name) < 2 and is_stable else raw.through(self.run.stage(f"raw_{name}", raw.frame))

    @property
    def scratch(self) -> Path | None:
        """Where copies of files go that Spark cannot read as they stand; None when the lake is no folder."""
        lake = self.run.lake
        return Path(lake.root) / "_staging" / self.run.id / "_copies" if lake.is_local else None

    def files_of(self, name: str) -> tuple[SourceFile, ...]:
        """The files of an input: all, or those of the micro-batch."""
        batch, root = self.run.batch, self.run.settings.data_root
        if isinstance(batch, MicroBatch) and batch.input == name:
            return batch.files
        return find_files(lambda: self.run.spark, self.mapping.inputs[name], name=name, data_root=root)

    @property
    def remembers(self) -> bool:
        """True when it matters which files were taken before."""
        keeps = any(table.duplicates == "keep" for table in self.mapping.tables.values())
        return bool(self._driving) and (keeps or isinstance(self.run.batch, MicroBatch))

    @property
    def _driving(self) -> list[str]:
        """The file inputs whose rows become rows of a table."""
        names = {table.from_ for table in self.mapping.tables.values()}
        return [name for name in sorted(names) if self.mapping.inputs[name].is_files]

    def digests(self, name: str) -> dict[str, str]:
        """Name of each file of the input -> hash of its content."""
        if name not in self.hashed:
            self.hashed[name] = content_of(self.run.spark, self.files_of(name))
        return self.hashed[name]

    def delivered_again(self, name: str) -> frozenset[str]:
        """Names of files of the input that were taken before, in this run or ever.

        None where a file's name says something of its rows: then equal files are different rows.
        """
        if name not in self._driving or self.mapping.inputs[name].file_pattern is not None:
            return frozenset()
        is_batch = not isinstance(self.run.batch, MicroBatch)
        return delivered_again(self.digests(name), [] if is_batch else taken_digests(self.run, self.mapping.source))

    def ledger(self) -> Write:
        """What remembers the files that this run takes."""
        is_batch = not isinstance(self.run.batch, MicroBatch)
        taken = {
            (file.name, self.digests(name)[file.name]): file for name in self._driving for file in self.files_of(name)
        }
        return ledger_of(self.run, self.mapping.source, taken, is_batch=is_batch)

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
        hides = bool(subjects) and run.lake.exists(TOMBSTONES.table)
        numbered = (
            judged.transform(without_erased, hides_lines=hides)
            .drop(*unused)
            .withColumn(ID, F.monotonically_increasing_id())
        )
        stage = run.stage(contract.table.parts[-1] + "_judged", numbered)
    again = inputs.delivered_again(spec.from_) if spec.duplicates == "keep" else frozenset()
    table = _settle(run, Table(contract, spec, inputs.mapping.source, stage), again)
    where = quarantine_of(contract)
    with tolerant(run.spark):  # the raw rows of losers are looked up again
        uses = uses_of(spec, raw, joined)
        hidden = hidden_columns(uses.by_column, settings)
        bad = to_quarantine(table, raw=raw, uses=uses, contract=where, run_id=run.id, hidden=hidden)
        quarantine = run.stage(where.table.parts[-1], bad)
    counts = counts_of(run.lake, table, quarantine)
    batch = run.batch.id if isinstance(run.batch, MicroBatch) else None
    if batch is None or batch != settings.accept_batch:
        check_share(counts, quarantine, limit=settings.max_quarantined_share, batch=batch)
    if batch is None and not counts.kept and not settings.allow_empty:
        _check_not_emptied(run, table)
    return _writes(table, where, quarantine, is_batch=batch is None), counts


def _check_not_emptied(run: Run, table: Table) -> None:
    """Raises InputError when the source held rows in the table: an export that failed looks like one without rows."""
    held = run.previous(table.contract).where(F.col("source") == table.source)
    if not held.isEmpty():
        raise InputError(
            f"{table.name}: the source {table.source} brings no row to keep, but the table holds rows of it. "
            "Nothing was written.",
            fix="check how the files were delivered, or allow it with --set ingest.allow_empty=true",
        )


def _settle(run: Run, table: Table, again: frozenset[str]) -> Table:
    if not isinstance(run.batch, MicroBatch):
        return settled(run, table, stored=None, previous=run.previous(table.contract), again=again)
    previous = run.previous(table.contract)
    stored = previous.where(F.col("source") == table.source)
    table = settled(run, table, stored=stored, previous=previous, again=again)
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
    writes=(*_TABLES.values(), INGESTED_FILES),
    sources=pin_sources,
    check=check,
    lease_scope=_scope,
    drive=drive,
)(ingest)
