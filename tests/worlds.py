"""Small worlds for tests: rows as literals into tables, and one way to run a job on them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deltalake import DeltaTable

from retail_spark.engine.catalogue import entry
from retail_spark.engine.job import Result
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.engine.settings_layers import resolve
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.commit import carry_out
from retail_spark.lake.contract import Contract
from retail_spark.lake.lake import Lake
from retail_spark.lake.write import replace_slice


def put(lake: Lake, contract: Contract, *rows: Mapping[str, Any]) -> None:
    """The rows become the table. What a row leaves out is NULL; its origin is filled in."""
    origin = {"source": "made_up", "source_file": None, "received_at": None}
    whole = [
        tuple(({**origin, "row_hash": f"row{n}", "run_id": "input", **row}).get(name) for name in contract.names)
        for n, row in enumerate(rows)
    ]
    frame = frame_of_rows(lake.spark, whole, contract.schema)
    carry_out(lake, replace_slice(contract, frame, source="made_up"), run_id=f"input{len(rows)}")


def run(lake: Lake, job: str, *, as_of: Any = None, force: bool = False, **settings: Any) -> Result:
    """One run of a job with these settings of its section."""
    sets = [f"{job}.{name}={json.dumps(value)}" for name, value in settings.items()]
    whole = resolve(sets=[f"lake.root={lake.root}", "quality.data_docs=false", *sets])
    quiet = Progress(job, quiet=True)
    return run_job(entry(job).job(), whole, spark=lake.spark, as_of=as_of, force=force, progress=quiet)


def rows_of(lake: Lake, contract: Contract, *by: str, **where: Any) -> list[dict[str, Any]]:
    """The rows of a table, ordered by some columns, in which the given columns hold the given values."""
    table = DeltaTable(f"{lake.root}/{contract.name.replace('.', '/')}").to_pyarrow_table().to_pylist()
    chosen = [row for row in table if all(row[name] == value for name, value in where.items())]
    return sorted(chosen, key=lambda row: tuple(row[name] for name in by))
