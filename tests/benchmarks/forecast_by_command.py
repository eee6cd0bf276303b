"""The job on a source with its shipped mapping, and what gold.forecasts holds after each run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pandas as pd
from deltalake import DeltaTable

from retail_spark.domains.forecast.job import JOB
from retail_spark.engine.launch import launch
from retail_spark.engine.settings_layers import resolve
from retail_spark.ingest.job import JOB as INGEST

HERE = Path(__file__).parents[2]
DATA_ROOT = Path(os.environ.get("RETAIL_SPARK__DATA_ROOT", HERE / ".." / "shared" / "data"))


@contextmanager
def lake_of(source: str, given: str | None) -> Iterator[str]:
    """The root of a lake that holds the source: the given one, else one that is filled and thrown away."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        launch(INGEST, resolve(files=[mapping(source)], sets=sets_of(folder)))
        yield folder


def mapping(source: str) -> Path:
    return HERE / "conf" / "sources" / f"{source}.yml"


def sets_of(root: str) -> list[str]:
    return [f"lake.root={root}", f"data_root={DATA_ROOT}", "quality.data_docs=false"]


def forecasts(source: str, root: str, *, as_of: date, sets: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of `retail-spark run forecast -c conf/sources/<source>.yml --as-of <as_of> --set ...`."""
    settings = resolve(files=[mapping(source)], sets=[*sets_of(root), *sets])
    result = launch(JOB, settings, as_of=as_of)
    print(f"  as of {as_of}: {result.status}, {result.model}", flush=True)
    rows = DeltaTable(f"{root}/gold/forecasts").to_pandas()
    return rows[rows["as_of"] == as_of]
