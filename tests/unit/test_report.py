"""The page about a lake, from content that is given."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from retail_spark.cli.report.content import Content, JobPart, Shown
from retail_spark.cli.report.excerpts import EXCERPTS
from retail_spark.cli.report.page import page_of
from retail_spark.engine.catalogue import all_jobs

PART = JobPart(
    job="forecast",
    does="what every store will sell",
    status="gate_refused",
    as_of="2024-01-31",
    finished_at=datetime(2024, 2, 1, 8, 30, tzinfo=UTC),
    seconds=12.4,
    headline={"wape": 0.51234, "series": 1234.0},
    model=None,
    checks=5,
    failed_checks=1,
    excerpts=[Shown("Next", [{"store_id": "<b>7</b>", "date": date(2024, 2, 5), "mean": 12_345.6, "is_new": True}])],
    figures={"backtest_errors.png": b"PNG"},
)


def page() -> str:
    bad = [{"table": "silver.sales", "rule": "null_key", "rows": 3}]
    about = [{"table": "gold.forecasts", "rows": 10, "version": 2, "grain": "One row per step."}]
    return page_of(Content("lake ./lake", "./lake", [PART], bad, about))


def test_the_page_says_what_the_job_found_and_how_it_ended() -> None:
    text = page()
    for told in ("0.5123", "1,234", "the gate refused the model", "4 of 5 passed", "2024-02-05", "12,346", "null_key"):
        assert told in text, told


def test_data_cannot_bring_markup_into_the_page() -> None:
    assert "<b>7</b>" not in page()
    assert "&lt;b&gt;7&lt;/b&gt;" in page()


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert not re.findall(r"https?://|<script|@import|url\(", page())
    assert "data:image/png;base64," in page()


def test_excerpts_speak_of_jobs_and_tables_that_exist() -> None:
    assert set(EXCERPTS) <= set(all_jobs())
    for name, excerpts in EXCERPTS.items():
        job = all_jobs()[name].job()
        known = {contract.name: set(contract.names) for contract in job.writes}
        for excerpt in excerpts:
            assert set(excerpt.tables) <= set(known), name
