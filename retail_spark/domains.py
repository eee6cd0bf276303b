"""The list of jobs: one line each. A new domain is one more folder and one more line."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from pydantic import create_model

from retail_spark.errors import UsageError
from retail_spark.settings import Section, Settings, setting

if TYPE_CHECKING:
    from retail_spark.run import Job


@dataclass(frozen=True)
class Entry:
    """A job: where it lives, what it does, and the metrics that tell how it went."""

    package: str
    does: str
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


JOBS: dict[str, Entry] = {
    "synthetic": Entry("retail_spark.synthetic", "a made-up retailer with known truth", ("sale_lines", "bad_rows")),
    "ingest": Entry(
        "retail_spark.ingest", "source files, tables or streams to silver tables", ("sales.kept", "sales.quarantined")
    ),
    "recommend": Entry(
        "retail_spark.recommend", "product lists for every customer", ("ndcg_at_10", "ndcg_at_10_discover")
    ),
    "forecast": Entry(
        "retail_spark.forecast", "what every store will sell of every product", ("wape", "fva", "coverage_80")
    ),
    "elasticity": Entry(
        "retail_spark.elasticity",
        "what prices do to units, and the prices that follow",
        ("pooled_elasticity", "pooled_std_error_two_way", "rmse", "rmse_no_price"),
    ),
    "supplier_risk": Entry(
        "retail_spark.suppliers", "who will be late, how sure that is, and why", ("auc", "brier", "average_precision")
    ),
    "sessionize": Entry(
        "retail_spark.sessions", "a visitor's events to sessions, funnels and identities", ("sessions", "bounce_share")
    ),
    "erase": Entry("retail_spark.erase", "a visitor or customer leaves every table", ("rows",), on_demand=True),
    "maintain": Entry(
        "retail_spark.maintain", "compact, vacuum and analyse the lake's tables", ("tables", "files_removed")
    ),
}


def entry(name: str) -> Entry:
    """The entry of a job. Raises UsageError that names the jobs there are."""
    if name not in JOBS:
        raise UsageError(f"there is no job {name!r}.", fix=f"use one of: {', '.join(JOBS)}")
    return JOBS[name]


@cache
def settings_class() -> type[Settings]:
    """Settings with the section of every job, and the source mapping (source, inputs, tables) of ingest."""
    from retail_spark.ingest.mapping import SourceMapping

    fields: dict[str, Any] = {name: (e.settings, setting(e.settings, e.does)) for name, e in JOBS.items()}
    fields |= {name: (info.annotation, info) for name, info in SourceMapping.model_fields.items()}
    return create_model("AllSettings", __base__=Settings, **fields)
