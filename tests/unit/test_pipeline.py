"""The pipeline's own rules, with jobs that only say how they ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from retail_spark.cli import pipeline
from retail_spark.cli.pipeline import Step, dates_between, order_of_jobs, run_pipeline, summary, worst_exit_code
from retail_spark.config.section import Settings
from retail_spark.engine.job import Job, Result
from retail_spark.engine.settings_layers import resolve
from retail_spark.errors import ContractError, InputError, UsageError
from retail_spark.lake.contract import Contract
from retail_spark.tables.silver import DELIVERIES, EVENTS, SALES

Ends = dict[str, str | Exception]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return resolve(sets=[f"lake.root={tmp_path}"])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Callable[[Ends], list[tuple[str, date | None]]]:
    """Lets every job end as it is told (done, where nothing is told) and lists the calls."""

    def told(ends: Ends) -> list[tuple[str, date | None]]:
        made: list[tuple[str, date | None]] = []

        def run_job(job: Job, settings: Settings, *, as_of: date | None, **_: Any) -> Result:
            made.append((job.name, as_of))
            end = ends.get(job.name, "done")
            if isinstance(end, Exception):
                raise end
            return Result("id", job.name, end, str(as_of), {}, {})

        monkeypatch.setattr(pipeline, "run_job", run_job)
        return made

    return told


def there(settings: Settings, *contracts: Contract) -> None:
    for contract in contracts:
        log = Path(settings.lake.root) / "/".join(contract.table.folders) / "_delta_log"
        log.mkdir(parents=True)
        (log / f"{0:020d}.json").touch()


def no_session() -> Any:
    raise AssertionError("no job of this test needs a session")


def run(settings: Settings, *dates: date | None) -> list[Step]:
    return run_pipeline(settings, order_of_jobs(settings), spark=no_session, as_of_dates=dates or (None,))


def statuses(steps: list[Step]) -> dict[str, str]:
    return {step.job: step.status for step in steps}


def test_only_jobs_whose_inputs_are_there_run(settings: Settings, calls: Any) -> None:
    made = calls({})
    there(settings, EVENTS)
    steps = run(settings)
    assert [name for name, _ in made] == ["sessionize", "maintain"]
    assert statuses(steps)["supplier_risk"] == "skipped"
    assert "silver.deliveries" in summary(steps)
    assert worst_exit_code(steps) == 0


def test_after_a_failure_the_others_go_on_and_the_worst_code_is_told(settings: Settings, calls: Any) -> None:
    broken = ContractError("gold.forecasts breaks its contract.", fix="look at it")
    calls({"forecast": broken, "supplier_risk": InputError("no dates.", fix="look at it")})
    there(settings, SALES, DELIVERIES)
    steps = run(settings)
    assert statuses(steps) | {"sessionize": ""} == statuses(steps) | {
        "recommend": "done", "forecast": "failed", "elasticity": "done", "supplier_risk": "failed", "sessionize": "",
    }  # fmt: skip
    assert worst_exit_code(steps) == 4
    assert "gold.forecasts breaks its contract" in summary(steps)


def test_what_a_failed_ingest_would_have_filled_is_not_read(tmp_path: Path, calls: Any) -> None:
    made = calls({"ingest": InputError("a file is broken.", fix="mend it")})
    table = "{from: log, columns: {event_id: id, occurred_at: at, event_type: kind}}"
    mapping = tmp_path / "source.yml"
    mapping.write_text(f"source: shop\ninputs:\n  log: {{path: log.csv, format: csv}}\ntables:\n  events: {table}\n")
    settings = resolve(files=[str(mapping)], sets=[f"lake.root={tmp_path}/lake"])
    there(settings, EVENTS)
    steps = run(settings)
    assert made == [("ingest", None)]
    assert "not up to date" in next(step.told for step in steps if step.job == "sessionize")


def test_a_backfill_runs_dated_jobs_for_every_date_and_the_others_once(settings: Settings, calls: Any) -> None:
    made = calls({})
    there(settings, EVENTS)
    days = dates_between(date(2024, 1, 1), date(2024, 1, 15), every_days=7)
    run(settings, *days)
    assert made == [*(("sessionize", day) for day in days), ("maintain", None)]
    assert len(days) == 3


def test_nothing_is_maintained_where_nothing_changed(settings: Settings, calls: Any) -> None:
    made = calls({"sessionize": "unchanged"})
    there(settings, EVENTS)
    run(settings)
    assert made == [("sessionize", None)]


def test_a_job_to_skip_must_exist(settings: Settings) -> None:
    assert "forecast" not in order_of_jobs(settings, skip=["forecast"])
    chosen = resolve(sets=["pipeline.jobs=[forecast, ingest, maintain]"])
    assert order_of_jobs(chosen) == ["forecast", "maintain"], "ingest has no source to map"
    with pytest.raises(UsageError, match="forcast"):
        order_of_jobs(settings, skip=["forcast"])


def test_a_backfill_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(UsageError, match="2024-01-02"):
        dates_between(date(2024, 1, 2), date(2024, 1, 1), every_days=7)
