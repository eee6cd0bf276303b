"""The demo: a retailer made up or a grocer's year, every job on it, and a short summary of what is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from retail_spark.cli.pipeline import Step, order_of_jobs, run_pipeline, worst_exit_code
from retail_spark.cli.query_output import listed
from retail_spark.cli.report.page import write_report
from retail_spark.config.section import Settings
from retail_spark.engine.launch import Session, starter
from retail_spark.engine.progress import Progress
from retail_spark.errors import UsageError
from retail_spark.lake.lake import Lake
from retail_spark.quality.docs import FOLDER as DATA_DOCS
from retail_spark.registry.registry import Registry

SettingsOf = Callable[[Sequence[str], Sequence[str]], Settings]


def run_demo(settings_of: SettingsOf, files: Sequence[str], sets: Sequence[str], *, grocery: bool) -> tuple[str, int]:
    """Runs every job there is, in one session; the summary and the exit code. A second time nothing is computed."""
    began = time.monotonic()
    name = "complete_journey" if grocery else "synthetic"
    settings = settings_of([str(conf_folder() / "sources" / f"{name}.yml"), *files], sets)
    spark = starter(settings, learns=True, progress=Progress("demo"))
    steps = run_pipeline(settings, order_of_jobs(settings, made_up=not grocery), spark=spark)
    return _summary(settings, spark, steps, seconds=time.monotonic() - began), worst_exit_code(steps)


def conf_folder() -> Path:
    """The folder conf/: of the checkout, or as packed into the wheel. Raises UsageError when there is neither."""
    package = Path(__file__).parents[1]
    for folder in (package.parent / "conf", package / "conf"):
        if (folder / "sources").is_dir():
            return folder
    raise UsageError("the ready mappings (conf/sources) are not here.", fix="install the wheel, or use a clone")


def _summary(settings: Settings, spark: Session, steps: Sequence[Step], *, seconds: float) -> str:
    lake = Lake.open(spark, settings.lake)
    lines = ["", f"Tables of {lake.where}", listed(lake), "", "Jobs"]
    width = max(len(step.job) for step in steps)
    lines += [f"  {step.job:<{width}} {step.status}: {step.told}" for step in steps]
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
        f"  Report     {write_report(lake, settings) if lake.is_local else 'retail-spark report --to FILE'}",
    ]
    return "\n".join(lines)
