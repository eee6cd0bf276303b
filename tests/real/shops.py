"""Real sources through the pipeline by its command, with the shipped mapping alone, and what its tables say then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from retail_spark.lake.without_spark import queried

REPO = Path(__file__).parents[2]


@dataclass(frozen=True)
class Shop:
    """A source, the data root that it was read from, and the lake that its jobs filled."""

    source: str
    data_root: Path
    lake: Path

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs retail-spark with the source's shipped mapping, and nothing else but where data and lake lie."""
        mapping = REPO / "conf" / "sources" / f"{self.source}.yml"
        line = [sys.executable, "-m", "retail_spark.cli", *words, "-c", str(mapping), "--set", f"lake.root={self.lake}"]
        home = os.environ | {"RETAIL_SPARK__DATA_ROOT": str(self.data_root)}
        return subprocess.run(line, cwd=REPO, capture_output=True, text=True, env=home)

    def pipeline(self, *words: str) -> dict[str, str]:
        """Job -> status of one pipeline; its exit code must be 0."""
        ended = self.command("pipeline", "--skip", "maintain", *words)
        assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
        lines = ended.stdout.splitlines()[2:]
        return {line.split()[0]: line.split()[1] for line in lines}

    def rows(self, query: str, **tables: str) -> list[dict[str, Any]]:
        """The rows of a query over tables of the lake, named as in `sales="silver.sales"`."""
        opened = {name: DeltaTable(str(self.lake / table.replace(".", "/"))) for name, table in tables.items()}
        return queried(query, opened)

    def value(self, query: str, **tables: str) -> Any:
        """The only value of a query."""
        (row,) = self.rows(query, **tables)
        (value,) = row.values()
        return value

    def count(self, table: str, where: str = "true") -> int:
        return int(self.value(f"SELECT count(*) AS n FROM t WHERE {where}", t=table))

    def statuses(self, table: str) -> dict[str, int]:
        """Status -> rows."""
        rows = self.rows("SELECT status, count(*) AS n FROM t GROUP BY status", t=table)
        return {row["status"]: row["n"] for row in rows}

    @cached_property
    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """Job -> the metrics of its newest finished run."""
        found = self.rows(
            "SELECT job, result FROM runs WHERE status IN ('done', 'gate_refused') ORDER BY finished_at",
            runs="ops.job_runs",
        )
        return {row["job"]: json.loads(row["result"])["metrics"] for row in found}

    @cached_property
    def tables(self) -> Sequence[str]:
        return sorted(".".join(log.parent.parts[-2:]) for log in self.lake.glob("[a-z]*/[a-z]*/_delta_log"))
