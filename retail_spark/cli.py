"""The command line: run, demo, sql, tables, config. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

import click
import typer

from retail_spark.domains import JOBS, entry
from retail_spark.errors import RetailSparkError, UsageError
from retail_spark.progress import Progress
from retail_spark.secrets import masked
from retail_spark.settings import Settings

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

Files = Annotated[list[str] | None, typer.Option("-c", "--config", help="Settings file; later ones win.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="One setting: section.key=value; wins over files.")]
_JOB_HELP = "One of: " + ", ".join(f"{name} ({e.does})" for name, e in JOBS.items())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit code (errors.py tells which is which)."""
    try:
        app(args=list(argv) if argv is not None else None, standalone_mode=False)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return UsageError.exit_code
    except RetailSparkError as error:
        return _failed(error)
    except (KeyboardInterrupt, click.Abort):
        print("stopped; run the same command again to take over", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except Exception as error:
        return _unforeseen(error)
    return 0


@app.command()
def run(
    job: Annotated[str, typer.Argument(help=_JOB_HELP)],
    config: Files = None,
    sets: Sets = None,
    as_of: Annotated[str | None, typer.Option(help="Last date the run may know of: YYYY-MM-DD.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Compute again although the run has finished.")] = False,
) -> None:
    """Runs one job. The last line of stdout is one JSON object."""
    from retail_spark.launch import launch

    settings = _settings(config, sets)
    chosen = entry(job).job()
    result = launch(chosen, settings, as_of=_date(as_of), force=force)
    print(json.dumps(asdict(result)), flush=True)


@app.command()
def demo(
    config: Files = None,
    sets: Sets = None,
    grocery: Annotated[
        bool, typer.Option("--grocery", help="The grocer's year instead of a made-up retailer.")
    ] = False,
) -> None:
    """Makes a small retailer, ingests it, runs every job, and sums up."""
    from retail_spark.demo import run_demo

    text, code = run_demo(_settings, config or [], sets or [], grocery=grocery)
    print(text)
    raise typer.Exit(code)


@app.command()
def pipeline(
    config: Files = None,
    sets: Sets = None,
    as_of: Annotated[str | None, typer.Option(help="Last date the runs may know of: YYYY-MM-DD.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First as-of date of a backfill.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last as-of date of a backfill.")] = None,
    every_days: Annotated[int, typer.Option(help="Days between the as-of dates of a backfill.", min=1)] = 7,
    skip: Annotated[list[str] | None, typer.Option(help="A job to leave out; may be given again.")] = None,
) -> None:
    """Runs every job whose inputs are there, in one session, and says what became of each."""
    from retail_spark.launch import starter
    from retail_spark.pipeline import dates_between, order_of_jobs, run_pipeline, summary, worst_exit_code

    begin, end = _date(first, "--from"), _date(last, "--to")
    dates: Sequence[date | None] = [_date(as_of)]
    if begin is not None and end is not None and as_of is None:
        dates = dates_between(begin, end, every_days=every_days)
    elif begin is not None or end is not None:
        raise UsageError("a backfill needs --from and --to, and no --as-of.", fix="give both, or --as-of alone")
    settings = _settings(config, sets)
    jobs = order_of_jobs(settings, skip=skip or ())
    spark = starter(settings, learns=True, progress=Progress("pipeline"))
    steps = run_pipeline(settings, jobs, spark=spark, as_of_dates=dates)
    print(summary(steps))
    raise typer.Exit(worst_exit_code(steps))


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help='For example "SELECT * FROM gold.latest_recommendations LIMIT 5".')],
    config: Files = None,
    sets: Sets = None,
    format_: Annotated[str, typer.Option("--format", help="table, csv or json (one object a line).")] = "table",
    limit: Annotated[int, typer.Option(help="Rows shown at most.", min=1)] = 10_000,
) -> None:
    """Answers a SQL query over the lake's tables."""
    from retail_spark.answers import rendered
    from retail_spark.launch import open_lake_for_query

    if format_ not in ("table", "csv", "json"):
        raise UsageError(f"--format {format_} is unknown.", fix="use table, csv or json")
    lake = open_lake_for_query(_settings(config, sets))
    text, cut = rendered(lake, query, form=format_, limit=limit)
    sys.stdout.write(text)
    sys.stdout.flush()
    if cut:
        print(f"only the first {limit} rows are shown: raise --limit for more", file=sys.stderr)
    _leave_at_once()


@app.command()
def tables(config: Files = None, sets: Sets = None) -> None:
    """Lists the lake's tables with rows, version and grain."""
    from retail_spark.answers import listed
    from retail_spark.launch import open_lake_for_query

    print(listed(open_lake_for_query(_settings(config, sets))))
    sys.stdout.flush()
    _leave_at_once()


@app.command()
def report(
    config: Files = None,
    sets: Sets = None,
    to: Annotated[str | None, typer.Option(help="File to write; left out: _report/index.html of the lake.")] = None,
) -> None:
    """Writes one page about the lake: what its jobs found, how sound the data are, how to ask further."""
    from retail_spark.launch import open_lake_for_query
    from retail_spark.report.page import write_report

    settings = _settings(config, sets)
    print(write_report(open_lake_for_query(settings), settings, to=to))


@app.command()
def config(
    config: Files = None,
    sets: Sets = None,
    defaults: Annotated[bool, typer.Option("--defaults", help="Print conf/base.yml from the defaults.")] = False,
) -> None:
    """Prints the settings in force, secrets masked."""
    from retail_spark.layers import shown
    from retail_spark.printed import defaults_as_yaml

    sys.stdout.write(defaults_as_yaml() if defaults else shown(_settings(config, sets)))


def _settings(files: Sequence[str] | None, sets: Sequence[str] | None) -> Settings:
    from retail_spark.layers import resolve

    return resolve(files=files or (), environ=os.environ, sets=sets or ())


def _date(text: str | None, option: str = "--as-of") -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is not a date.", fix="write it as YYYY-MM-DD") from error


def _failed(error: RetailSparkError) -> int:
    print(f"error: {masked(str(error))}", file=sys.stderr)
    told: dict[str, Any] = {"status": "failed", "exit_code": error.exit_code, "error": masked(error.what)}
    print(json.dumps(told), flush=True)
    return error.exit_code


def _unforeseen(error: Exception) -> int:
    """What no one thought of: one line for the terminal, the whole trace in a file."""
    with tempfile.NamedTemporaryFile("w", prefix="retail-spark-", suffix=".trace", delete=False) as trace:
        trace.write(masked("".join(traceback.format_exception(error))))
    first = next((line for line in str(error).splitlines() if line.strip()), "no message")
    what = f"{type(error).__name__}: {first}"
    return _failed(RetailSparkError(what, fix=f"read {trace.name}; run the same command again to take over"))


def _leave_at_once() -> None:
    """Ends a read-only command without waiting for the JVM to wind down; nothing is open for writing."""
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
