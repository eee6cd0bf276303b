"""A lake that sessionize runs on, as a function: real Delta tables, without the rest of a run's life."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.config.section import Settings
from retail_spark.domains.sessionize.job import JOB
from retail_spark.domains.sessionize.settings import JobSettings
from retail_spark.engine.job import Outcome, Run
from retail_spark.engine.progress import Progress
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.commit import carry_out
from retail_spark.lake.content_hash import content_hash
from retail_spark.lake.contract import LINEAGE, Contract
from retail_spark.lake.lake import Lake, Pin
from retail_spark.lake.write import Write, upsert
from retail_spark.tables.silver import EVENTS
from tests.unit.sessionize.events import frame

EVER = date(2024, 12, 31)


@dataclass
class Clicks:
    """Events come in, sessions come out."""

    lake: Lake
    settings: JobSettings = field(default_factory=JobSettings)
    runs: int = 0
    pins: Mapping[str, Pin] = field(default_factory=dict)
    as_of: date | None = None

    def come(self, events: Sequence[dict[str, Any]], *, gone: Sequence[str] = ()) -> None:
        """Puts events into silver.events, by id, and takes others away."""
        spark = self.lake.spark
        delete = frame_of_rows(spark, [(i,) for i in gone], "event_id string") if gone else None
        rows = {one["event_id"]: one for one in events}
        carry_out(self.lake, upsert(EVENTS, frame(spark, rows.values()), delete=delete), run_id="input")

    def run(self, *, as_of: date = EVER) -> Outcome:
        """Cuts what changed since the last run, and writes."""
        self.runs += 1
        outcome = self.outcome(f"run{self.runs}", last_pins=self.pins, as_of=as_of)
        assert isinstance(outcome.tables, tuple)
        run_id = f"run{self.runs}"

        def put(numbered: tuple[int, Write]) -> None:
            number, write = numbered
            filled = write.frame.withColumns({LINEAGE[0].name: F.lit(run_id), LINEAGE[1].name: F.lit(None)})
            whole = self.lake.stage(run_id, f"out{number}", write.contract.select(filled))
            delete = None
            if write.delete is not None:
                delete = self.lake.stage(run_id, f"del{number}", write.delete)
            made = type(write)(write.contract, whole, write.mode, write.slice, delete)
            carry_out(self.lake, made, run_id=run_id)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(put, enumerate(outcome.tables)))
        self.pins, self.as_of = {EVENTS.name: self.lake.pin(EVENTS.table)}, as_of
        return outcome

    def outcome(self, run_id: str, *, last_pins: Mapping[str, Pin], as_of: date = EVER) -> Outcome:
        """What the job returns; nothing is written but its stages."""
        contracts = (*JOB.reads, *JOB.writes)
        run = Run(
            id=run_id,
            job="sessionize",
            known_until=as_of,
            seed=42,
            spark=self.lake.spark,
            lake=self.lake,
            settings=Settings(),
            pins={contract.name: self.lake.pin(contract.table) for contract in contracts},
            last_pins=last_pins,
            last_as_of=self.as_of if last_pins else None,
            progress=Progress("test", quiet=True),
        )
        return JOB(run, self.settings)

    def rebuilt(self, *, as_of: date = EVER) -> dict[str, str]:
        """Content of every table but the redirects, as one full rebuild would have it."""
        outcome = self.outcome("rebuild", last_pins={}, as_of=as_of)
        assert isinstance(outcome.tables, tuple)
        writes = [w for w in outcome.tables if w.mode == "replace_slice"]
        return {w.contract.name: content_hash(w.frame) for w in writes}

    def stored(self, names: Sequence[str]) -> dict[str, str]:
        """Content of the tables as they lie there."""
        contracts = {c.name: c for c in JOB.writes}
        return {name: content_hash(self.table(contracts[name])) for name in names}

    def table(self, contract: Contract) -> DataFrame:
        return self.lake.read(contract.table)


@pytest.fixture
def clicks(lake: Lake) -> Clicks:
    return Clicks(lake)
