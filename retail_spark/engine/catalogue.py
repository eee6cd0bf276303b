"""The catalogue of jobs: what every run shares, and a job for each folder in retail_spark/domains."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from pydantic import create_model

from retail_spark.config.section import Section, Settings, setting
from retail_spark.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from retail_spark.engine.job import Job

_DOMAINS = "retail_spark.domains"


@dataclass(frozen=True)
class Entry:
    """A job: what it does, the metrics that tell how it went, and where it lives.

    A domain states its own as ENTRY in its `__init__`, without the package: that is told by its folder.
    """

    does: str
    package: str = ""
    headline: tuple[str, ...] = ()
    on_demand: bool = False
    """Done only when asked for by name: no part of the demo."""

    @property
    def settings(self) -> type[Section]:
        """The class `JobSettings` of the package's settings module."""
        return cast(type[Section], import_module(f"{self.package}.settings").JobSettings)

    def job(self) -> Job:
        """The job itself: JOB of the package's job module."""
        return cast("Job", import_module(f"{self.package}.job").JOB)


def _domains() -> Iterator[tuple[str, Entry]]:
    """Every package in retail_spark/domains under its name, in the order of the alphabet."""
    found = import_module(_DOMAINS).__path__  # also in a zip, as Spark imports a shipped wheel
    for name in sorted(module.name for module in pkgutil.iter_modules(found) if module.ispkg):
        package = f"{_DOMAINS}.{name}"
        yield name, replace(import_module(package).ENTRY, package=package)


@cache
def all_jobs() -> Mapping[str, Entry]:
    """All jobs by name: the made-up retailer, ingest, the domains, and what keeps house."""
    return {
        "synthetic": Entry(
            "a made-up retailer with known truth", "retail_spark.synthetic", headline=("sale_lines", "bad_rows")
        ),
        "ingest": Entry(
            "source files, tables or streams to silver tables",
            "retail_spark.ingest",
            headline=("sales.kept", "sales.quarantined"),
        ),
        **dict(_domains()),
        "erase": Entry(
            "a visitor or customer leaves every table", "retail_spark.erase", headline=("rows",), on_demand=True
        ),
        "maintain": Entry(
            "compact, vacuum and analyse the lake's tables",
            "retail_spark.maintain",
            headline=("tables", "files_removed"),
        ),
    }


def entry(name: str) -> Entry:
    """The entry of a job. Raises UsageError that names the jobs there are."""
    if name not in all_jobs():
        raise UsageError(f"there is no job {name!r}.", fix=f"use one of: {', '.join(all_jobs())}")
    return all_jobs()[name]


def _job_of(name: str) -> Job:
    return all_jobs()[name].job()


def in_order(names: Iterable[str]) -> list[str]:
    """The names so that each job follows those whose tables it reads; otherwise in the order of the catalogue.

    Raises ValueError where jobs read each other's tables in a circle.
    """
    asked = set(names)
    waiting = [name for name in all_jobs() if name in asked]
    jobs = {name: _job_of(name) for name in waiting}
    written = {name: {contract.name for contract in job.writes} for name, job in jobs.items()}
    read = {name: {c.name for c in (*job.reads, *job.optional)} - written[name] for name, job in jobs.items()}
    ordered: list[str] = []
    while waiting:
        ready = [name for name in waiting if not any(read[name] & written[other] for other in waiting if other != name)]
        if not ready:
            raise ValueError(f"these jobs read each other's tables: {', '.join(waiting)}")
        ordered.append(ready[0])
        waiting.remove(ready[0])
    return ordered


@cache
def settings_class() -> type[Settings]:
    """Settings with the section of every job, and the source mapping (source, inputs, tables) of ingest."""
    mapping: type[BaseModel] = import_module("retail_spark.ingest.mapping").SourceMapping
    fields: dict[str, Any] = {name: (e.settings, setting(e.settings, e.does)) for name, e in all_jobs().items()}
    fields |= {name: (info.annotation, info) for name, info in mapping.model_fields.items()}
    return create_model("AllSettings", __base__=Settings, **fields)
