"""The catalogue finds domains by their folders, and puts jobs into an order that their tables ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from retail_spark.engine import catalogue
from retail_spark.engine.catalogue import Entry, all_jobs, entry, in_order
from retail_spark.errors import UsageError
from retail_spark.lake.contract import STRING, Column, snapshot

DOMAINS = Path(catalogue.__file__).parents[1] / "domains"
FIRST, SECOND, THIRD = (
    snapshot(f"gold.{name}", grain="One row.", key=("id",), columns=(Column("id", STRING, "Id."),))
    for name in ("first", "second", "third")
)


class Reading:
    """A job of which only its tables are told."""

    def __init__(self, *reads, writes, optional=()):
        self.reads, self.writes, self.optional = reads, (writes,), optional


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch):
    """The catalogue holds these jobs alone."""

    def put(**found: Reading) -> None:
        monkeypatch.setattr(catalogue, "all_jobs", lambda: {name: Entry("a job") for name in found})
        monkeypatch.setattr(catalogue, "_job_of", found.__getitem__)

    return put


def test_every_folder_of_a_domain_is_a_job_of_its_name() -> None:
    folders = {path.parent.name for path in DOMAINS.glob("*/job.py")}
    assert len(folders) >= 5
    assert folders <= set(all_jobs())
    for name in folders:
        assert all_jobs()[name].package == f"retail_spark.domains.{name}"
        assert all_jobs()[name].job().name == name


def test_a_job_follows_those_whose_tables_it_reads(jobs) -> None:
    jobs(
        last=Reading(SECOND, writes=THIRD),
        middle=Reading(writes=SECOND, optional=(FIRST,)),
        first=Reading(FIRST, writes=FIRST),  # its own earlier output is no input
    )
    assert in_order(["last", "middle", "first"]) == ["first", "middle", "last"]
    assert in_order(name for name in ("last", "first")) == ["last", "first"]


def test_a_circle_is_said(jobs) -> None:
    jobs(one=Reading(FIRST, writes=SECOND), other=Reading(SECOND, writes=FIRST))
    with pytest.raises(ValueError, match="one, other"):
        in_order(["one", "other"])


def test_the_jobs_that_are_there_have_an_order() -> None:
    ordered = in_order(all_jobs())
    assert sorted(ordered) == sorted(all_jobs())
    assert ordered.index("synthetic") < ordered.index("ingest") < ordered.index("forecast")


def test_an_unknown_job_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"use one of: .*forecast"):
        entry("forcast")
