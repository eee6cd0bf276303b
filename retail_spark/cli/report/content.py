"""Collects what the page says: the newest finished run of every job, its rows, checks and figures."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from retail_spark.cli.report.excerpts import EXCERPTS, Excerpt
from retail_spark.config.section import Settings
from retail_spark.engine.catalogue import all_jobs
from retail_spark.engine.history import FINISHED, JOB_RUNS
from retail_spark.errors import InputError, ServiceMissingError
from retail_spark.lake.delta_log import opened
from retail_spark.lake.journal import read_rows
from retail_spark.lake.lake import Lake
from retail_spark.lake.sql import facts, tables
from retail_spark.lake.table_name import TableName
from retail_spark.lake.without_spark import queried
from retail_spark.quality.report import EXPECTATIONS
from retail_spark.registry.registry import Registry

Rows = Sequence[dict[str, Any]]
_BRACED = re.compile(r"\{([a-z_.]+)\}")
_QUARANTINE = "_quarantine"


@dataclass(frozen=True)
class Shown:
    """Rows under a title."""

    title: str
    rows: Rows


@dataclass(frozen=True)
class JobPart:
    """What the page says of one job."""

    job: str
    does: str
    status: str
    as_of: str | None
    finished_at: datetime
    seconds: float
    headline: dict[str, float]
    model: str | None
    checks: int
    failed_checks: int
    excerpts: Sequence[Shown] = ()
    figures: dict[str, bytes] = field(default_factory=dict)
    """File name -> PNG, as the run drew it."""


@dataclass(frozen=True)
class Content:
    """All that the page says."""

    where: str
    root: str
    jobs: Sequence[JobPart]
    quarantined: Rows
    tables: Rows


def content_of(lake: Lake, settings: Settings) -> Content:
    """Everything the page says of the lake. Raises InputError for a lake on which no job has finished."""
    there = {str(table) for table in tables(lake)}
    newest: dict[str, dict[str, Any]] = {}
    for row in read_rows(lake, JOB_RUNS, where={}, newest_by="finished_at"):
        if row["status"] in FINISHED:
            newest.setdefault(row["job"], row)
    if not newest:
        raise InputError(f"no job has finished in {lake.where}.", fix="run one first, or `retail-spark demo`")
    registry = Registry.open(settings)
    parts = [_part(lake, registry, newest[name], there) for name in all_jobs() if name in newest]
    found = [(name, facts(lake, TableName.parse(name))) for name in sorted(there)]
    about = [{"table": name, "rows": f.rows, "version": f.version, "grain": f.grain} for name, f in found]
    return Content(lake.where, settings.lake.root, parts, _quarantined(lake, there), about)


def newest_rows(lake: Lake, excerpt: Excerpt) -> Rows:
    """The rows of an excerpt. Of a local lake without Spark, where the library can read its tables."""
    first = excerpt.tables[0]
    sql = excerpt.sql.replace("{newest}", f"(SELECT max(as_of) FROM {{{first}}})")
    local = excerpt.tables if lake.has_local_logs else ()
    found = {name: opened(lake.path(TableName.parse(name))) for name in local}
    readable = {n: table for n, table in found.items() if table is not None and not table.protocol().reader_features}
    if len(readable) < len(excerpt.tables):
        query = _BRACED.sub(lambda name: lake.ref(TableName.parse(name.group(1))), sql)
        return [row.asDict(recursive=True) for row in lake.spark.sql(query).collect()]
    query = _BRACED.sub(lambda name: name.group(1).replace(".", "_"), sql)
    return queried(query, {name.replace(".", "_"): table for name, table in readable.items()})


def _part(lake: Lake, registry: Registry, row: dict[str, Any], there: set[str]) -> JobPart:
    job, run_id = row["job"], row["run_id"]
    checks = read_rows(lake, EXPECTATIONS, where={"run_id": run_id}, newest_by="checked_at")
    result = json.loads(row["result"])
    shown = [e for e in EXCERPTS.get(job, ()) if set(e.tables) <= there]
    figures: dict[str, bytes] = {}
    if all_jobs()[job].job().learns:
        try:
            figures = registry.figures(job, run_id)
        except ServiceMissingError:  # the page can do without pictures
            figures = {}
    return JobPart(
        job=job,
        does=all_jobs()[job].does,
        status=row["status"],
        as_of=result["as_of"],
        finished_at=row["finished_at"],
        seconds=(row["finished_at"] - row["started_at"]).total_seconds(),
        headline={name: result["metrics"][name] for name in all_jobs()[job].headline if name in result["metrics"]},
        model=result["model"],
        checks=len(checks),
        failed_checks=sum(not check["success"] for check in checks),
        excerpts=[Shown(e.title, _named(lake, newest_rows(lake, e), there)) for e in shown],
        figures=figures,
    )


def _named(lake: Lake, rows: Rows, there: set[str]) -> Rows:
    """The rows with the name of a product beside its id, where the lake knows any."""
    ids = sorted({str(row["product_id"]) for row in rows if row.get("product_id") is not None})
    if not ids or "silver.products" not in there:
        return rows
    wanted = ", ".join("'" + name.replace("'", "''") + "'" for name in ids)
    sql = f"SELECT product_id, product_name FROM {{silver.products}} WHERE product_id IN ({wanted})"
    products = newest_rows(lake, Excerpt("", ("silver.products",), sql))
    names = {row["product_id"]: row["product_name"] for row in products}
    return [{key: value for name in row for key, value in _with_name(name, row[name], names)} for row in rows]


def _with_name(name: str, value: Any, names: dict[str, str | None]) -> list[tuple[str, Any]]:
    return [(name, value), ("product_name", names.get(value))] if name == "product_id" else [(name, value)]


def _quarantined(lake: Lake, there: set[str]) -> Rows:
    found: list[dict[str, Any]] = []
    for table in sorted(name for name in there if name.endswith(_QUARANTINE)):
        sql = f"SELECT rule, count(*) AS rows FROM {{{table}}} GROUP BY rule ORDER BY rows DESC, rule"
        rows = newest_rows(lake, Excerpt("", (table,), sql))
        found += [{"table": table.removesuffix(_QUARANTINE), **row} for row in rows]
    return found
