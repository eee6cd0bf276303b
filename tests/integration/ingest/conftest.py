"""A small source to ingest: files, mapping, and what became of the rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from retail_spark.config.section import Settings, section
from retail_spark.engine.job import Run
from retail_spark.engine.progress import Progress
from retail_spark.engine.settings_layers import resolve
from retail_spark.ingest.job import JOB, pin_sources
from retail_spark.lake.lake import Lake

SALES: dict[str, str] = {
    "order_id": "order",
    "sold_at": "to_timestamp(day)",
    "store_id": "store",
    "product_id": "sku",
    "quantity": "cast(n as double)",
    "unit_price": "cast(price as double)",
}
HEADER = "order,day,store,sku,n,price"


@dataclass
class Done:
    """What an ingest returned: the rows of each table, and the metrics."""

    frames: Mapping[str, DataFrame]
    metrics: Mapping[str, float]

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        return sorted(tuple(row) for row in self.frames[table].select(*columns).collect())

    def rules(self, table: str = "sales") -> dict[str, int]:
        start = f"{table}.quarantined."
        return {k.removeprefix(start): int(v) for k, v in self.metrics.items() if k.startswith(start)}

    def count(self, name: str, table: str = "sales") -> int:
        return int(self.metrics[f"{table}.{name}"])


@dataclass
class Shop:
    """A folder of files and a mapping over them."""

    spark: SparkSession
    lake: Lake
    folder: Path
    inputs: dict[str, Any] = field(default_factory=dict)

    def put(self, name: str, data: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def settings(
        self, tables: Mapping[str, Any], *, inputs: Mapping[str, Any] | None = None, source: str = "shop", **own: Any
    ) -> Settings:
        given = {
            "data_root": str(self.folder),
            "lake": {"root": self.lake.root},
            "quality": {"data_docs": False},
            "source": source,
            "inputs": dict(inputs or {"lines": {"path": str(self.folder / "*.csv")}}),
            "tables": dict(tables),
            "ingest": {"max_quarantined_share": 1.0} | own,
        }
        path = self.folder / f".{source}.yml"
        path.write_text(json.dumps(given, default=str))
        return resolve(files=[path])

    def ingest(self, tables: Mapping[str, Any], **given: Any) -> Done:
        return ingested(self.spark, self.lake, self.settings(tables, **given))

    def sales(
        self, *, columns: Mapping[str, str] | None = None, spec: Mapping[str, Any] | None = None, **given: Any
    ) -> Done:
        tables = {"sales": {"from": "lines", "columns": SALES | dict(columns or {})} | dict(spec or {})}
        return self.ingest(tables, **given)


def ingested(spark: SparkSession, lake: Lake, settings: Settings) -> Done:
    """Runs the job's function alone: nothing is written but its stages."""
    run = Run(
        id="test",
        job="ingest",
        known_until=None,
        seed=42,
        spark=spark,
        lake=lake,
        settings=settings,
        pins={contract.name: lake.pin(contract.table) for contract in JOB.writes},
        last_pins={},
        progress=Progress("test", quiet=True),
        sources=pin_sources(lake, settings),
    )
    outcome = JOB(run, section(settings, "ingest", JOB.settings))
    assert isinstance(outcome.tables, tuple)
    return Done({w.contract.table.parts[-1]: w.frame for w in outcome.tables}, outcome.metrics)


@pytest.fixture
def shop(spark: SparkSession, lake: Lake, tmp_path: Path) -> Shop:
    return Shop(spark, lake, tmp_path / "files")


Ingested = Callable[..., Done]
