"""Data Docs: static pages of what was checked, under <lake.root>/_data_docs.

Great Expectations' own templates load styles and scripts from half a dozen public hosts; these pages hold the same
results and load one style sheet that ships in this package. A rerun of a run replaces its pages; the pages of the
oldest runs are dropped.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from retail_spark.errors import UsageError
from retail_spark.lake.contract import Contract
from retail_spark.lake.lake import Lake
from retail_spark.quality import pages
from retail_spark.quality.report import CheckReport

FOLDER = "_data_docs"
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}")


@dataclass(frozen=True)
class DataDocs:
    """The pages of one attempt at a run.

    `skipped` says why there are none: a lake on remote storage has no pages, as they are plain files for a browser.
    """

    root: Path | None
    run_id: str
    job: str
    attempt: int
    as_of: str | None
    checked_at: datetime
    skipped: str | None = None
    keep_runs: int = 200
    """Runs whose pages are kept."""
    _tables: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(
        cls, lake: Lake, *, run_id: str, job: str, attempt: int, as_of: str | None, checked_at: datetime
    ) -> DataDocs:
        """The pages of a run, under a local lake root. Nothing is written before the first report."""
        if not lake.is_local:
            reason = f"the lake root {lake.root} is not a local folder"
            return cls(None, run_id, job, attempt, as_of, checked_at, skipped=reason)
        return cls(Path(lake.root) / FOLDER, run_id, job, attempt, as_of, checked_at)

    @property
    def index(self) -> Path | None:
        """The page to open; None when pages are skipped."""
        return None if self.root is None else self.root / "index.html"

    def add_all(self, reports: Iterable[tuple[CheckReport, Contract]]) -> None:
        """Writes the pages of several tables."""
        for report, contract in reports:
            self.add(report, contract)

    def add(self, report: CheckReport, contract: Contract) -> Path | None:
        """Writes the page of a table, and the index. The first report of an attempt replaces the run's old pages.

        Returns the page, or None when pages are skipped. Raises UsageError for a run id that is no file name.
        """
        if self.root is None:
            return None
        if not _SAFE.fullmatch(self.run_id) or not _SAFE.fullmatch(report.table):
            raise UsageError(
                f"{self.run_id!r} and {report.table!r} cannot be file names.", fix="use letters, digits, _ . and -"
            )
        folder = self.root / "runs" / self.run_id
        if not self._tables:
            shutil.rmtree(folder, ignore_errors=True)
        self._tables[report.table] = {"rows": report.rows, "checks": len(report.results), "failed": len(report.failed)}
        page = folder / f"{report.table}.html"
        _write(page, pages.table_page(report, contract, self.facts))
        _write(folder / "run.json", json.dumps(self.facts | {"tables": self._tables}, indent=1))
        _write(self.root / "docs.css", (files("retail_spark.quality") / "docs.css").read_text(encoding="utf-8"))
        _write(self.root / "index.html", pages.index_page(self._runs()))
        return page

    @property
    def facts(self) -> dict[str, Any]:
        """What every page says about the run."""
        return {
            "run_id": self.run_id,
            "job": self.job,
            "attempt": self.attempt,
            "as_of": self.as_of,
            "checked_at": _utc(self.checked_at).strftime("%Y-%m-%d %H:%M:%S"),
        }

    def _runs(self) -> list[dict[str, Any]]:
        """All runs with pages, newest first; drops the pages of runs beyond `keep_runs`."""
        assert self.root is not None
        found = [json.loads(path.read_text(encoding="utf-8")) for path in self.root.glob("runs/*/run.json")]
        found.sort(key=lambda run: (run["checked_at"], run["run_id"]), reverse=True)
        for old in found[self.keep_runs :]:
            shutil.rmtree(self.root / "runs" / old["run_id"], ignore_errors=True)
        return found[: self.keep_runs]


def _utc(moment: datetime) -> datetime:
    """The moment in UTC; one without a zone is taken to be in UTC already."""
    return moment if moment.tzinfo is None else moment.astimezone(UTC)


def _write(path: Path, text: str) -> None:
    """Replaces the file at once: another run may be writing the index, and a browser reading it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
