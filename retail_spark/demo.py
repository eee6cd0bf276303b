"""The demo: a retailer made up or a grocer's year, every job on it, and a short summary of what is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pyspark.sql import SparkSession

from retail_spark.answers import listed
from retail_spark.domains import JOBS
from retail_spark.errors import InputError, UsageError
from retail_spark.lake.store import Lake
from retail_spark.launch import start
from retail_spark.lifecycle import run_job
from retail_spark.progress import Progress
from retail_spark.quality.docs import FOLDER as DATA_DOCS
from retail_spark.registry.tracking import Registry
from retail_spark.run import Result
from retail_spark.settings import Settings

SettingsOf = Callable[[Sequence[str], Sequence[str]], Settings]
_FIRST = ("synthetic", "ingest")
_LAST = ("maintain",)


def run_demo(settings_of: SettingsOf, files: Sequence[str], sets: Sequence[str], *, grocery: bool) -> str:
    """Runs every job there is, in one session, and returns the summary. A second time nothing is computed."""
    began = time.monotonic()
    name = "complete_journey" if grocery else "synthetic"
    settings = settings_of([str(conf_folder() / "sources" / f"{name}.yml"), *files], sets)
    spark = start(JOBS["recommend"].job(), settings, progress=Progress("demo"))
    results = _run_all(settings, spark, made_up=not grocery)
    took = time.monotonic() - began
    return _summary(settings, spark, results, seconds=took)


def conf_folder() -> Path:
    """The folder conf/: of the checkout, or as packed into the wheel. Raises UsageError when there is neither."""
    package = Path(__file__).parent
    for folder in (package.parent / "conf", package / "conf"):
        if (folder / "sources").is_dir():
            return folder
    raise UsageError("the ready mappings (conf/sources) are not here.", fix="install the wheel, or use a clone")


def _run_all(settings: Settings, spark: SparkSession, *, made_up: bool) -> dict[str, Result | InputError]:
    """Every job in order. A job whose input this source does not have is told, not run."""
    order = [*_FIRST, *(n for n, e in JOBS.items() if n not in (*_FIRST, *_LAST) and not e.on_demand), *_LAST]
    results: dict[str, Result | InputError] = {}
    for name in order:
        if name == "synthetic" and not made_up:
            continue
        if name in _LAST and not any(isinstance(r, Result) and r.status != "unchanged" for r in results.values()):
            continue
        progress = Progress(name)
        try:
            results[name] = run_job(JOBS[name].job(), settings, spark=spark, progress=progress)
        except InputError as error:
            if name in _FIRST:
                raise
            results[name] = error
            progress.note(error.what)
    return results


def _summary(
    settings: Settings, spark: SparkSession, results: dict[str, Result | InputError], *, seconds: float
) -> str:
    lake = Lake.open(spark, settings.lake)
    lines = ["", f"Tables of {lake.where}", listed(lake), "", "Jobs"]
    width = max(map(len, results))
    for name, result in results.items():
        lines.append(f"  {name:<{width}} {_figure(name, result)}")
    registry = Registry.open(settings)
    root = settings.lake.root
    query = "SELECT * FROM gold.latest_recommendations WHERE customer_id = '*' AND list = 'all' ORDER BY rank LIMIT 5"
    docs = str(Path(lake.root) / DATA_DOCS / "index.html") if lake.is_local else "only for a lake on a local folder"
    lines += [
        "",
        f"Look further ({seconds:.0f} s so far)",
        f'  SQL        .venv/bin/retail-spark sql --set lake.root={root} "{query}"',
        f"  MLflow UI  .venv/bin/mlflow ui --backend-store-uri {registry.connection.shown}",
        f"  Data Docs  {docs}",
    ]
    return "\n".join(lines)


def _figure(name: str, result: Result | InputError) -> str:
    if isinstance(result, InputError):
        return f"not run: {result.what}"
    figures = ", ".join(f"{m} {result.metrics[m]:,.4g}" for m in JOBS[name].headline if m in result.metrics)
    rows = sum(table["rows"] for table in result.tables.values())
    model = f", model {result.model}" if result.model else ""
    return f"{result.status}: {figures or f'{rows:,} rows'}{model}"
