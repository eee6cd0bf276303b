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

import typer

from retail_spark.cli.escaped import visible
from retail_spark.config.secrets import masked
from retail_spark.config.section import Settings
from retail_spark.engine.catalogue import all_jobs, entry
from retail_spark.engine.progress import Progress
from retail_spark.errors import UsageError
from retail_spark.spark.failures import TRACE_PREFIX, TRACE_SUFFIX, explain
from retail_spark.spark.stopping import EXIT_CODE, stoppable

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

Files = Annotated[list[str] | None, typer.Option("-c", "--config", help="Settings file; later ones win.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="One setting: section.key=value; wins over files.")]
_JOB_HELP = "One of: " + ", ".join(f"{name} ({e.does})" for name, e in all_jobs().items())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit code (errors.py tells which is which; 130: stopped by a signal)."""
    with stoppable() as stopping:
        try:
            code = _answered(argv)
        except (KeyboardInterrupt, typer.Abort):
            code = EXIT_CODE
        except Exception as error:
            code = _failed(error) if stopping.by is None else EXIT_CODE
        if code == EXIT_CODE:
            stopping.tell()
            stopping.end_children()
        return code


def _answered(argv: Sequence[str] | None) -> int:
    try:
        code = app(args=list(argv) if argv is not None else None, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except typer.Exit as ended:
        return ended.exit_code
    except typer.TyperException as error:
        return _failed(_wrong_command(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


@app.command()
def run(
    job: Annotated[str, typer.Argument(help=_JOB_HELP)],
    config: Files = None,
    sets: Sets = None,
    as_of: Annotated[str | None, typer.Option(help="Last date the run may know of: YYYY-MM-DD.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Compute again although the run has finished.")] = False,
) -> None:
    """Runs one job. The last line of stdout is one JSON object."""
    from retail_spark.engine.launch import launch

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
    from retail_spark.cli.demo import run_demo

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
    from retail_spark.cli.pipeline import dates_between, order_of_jobs, run_pipeline, summary, worst_exit_code
    from retail_spark.engine.launch import starter

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
    engine: Annotated[
        str,
        typer.Option(help="auto: a session that stays for the next question; spark: one that ends at once."),
    ] = "auto",
    for_spreadsheets: Annotated[
        bool, typer.Option("--for-spreadsheets", help="csv: cells that begin with = + - @ are no formulas: '=1+1.")
    ] = False,
) -> None:
    """Answers a SQL query over the lake's tables. It only reads: nothing of the lake is changed."""
    from retail_spark.cli.standby.start import answered
    from retail_spark.cli.standby.talk import Question

    if format_ not in ("table", "csv", "json"):
        raise UsageError(f"--format {format_} is unknown.", fix="use table, csv or json")
    if engine not in ("auto", "spark"):
        raise UsageError(f"--engine {engine} is unknown.", fix="use auto or spark")
    question = Question(query, form=format_, limit=limit, for_spreadsheets=for_spreadsheets)
    text, cut = answered(_settings(config, sets), question, may_stay=engine == "auto")
    sys.stdout.write(text)
    sys.stdout.flush()
    if cut:
        print(f"only the first {limit} rows are shown: raise --limit for more", file=sys.stderr)
    _leave_at_once()


@app.command()
def tables(config: Files = None, sets: Sets = None) -> None:
    """Lists the lake's tables with rows, version and grain."""
    from retail_spark.cli.query_output import listed
    from retail_spark.engine.launch import open_lake_for_query

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
    from retail_spark.cli.report.page import write_report
    from retail_spark.engine.launch import open_lake_for_query

    settings = _settings(config, sets)
    print(write_report(open_lake_for_query(settings), settings, to=to))


@app.command("plan-experiment")
def plan_experiment(
    mean: Annotated[float, typer.Option(help="The metric in the control; without --deviation a share of units.")],
    lift: Annotated[float, typer.Option(help="Smallest effect worth finding, as a share of the mean: 0.05 is 5 %.")],
    deviation: Annotated[float | None, typer.Option(help="Standard deviation of the metric over units.")] = None,
    power: Annotated[float, typer.Option(help="Probability of finding it.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="Probability of finding one that is not there.")] = 0.05,
    ratio: Annotated[float, typer.Option(help="Units of the variant for each of the control.")] = 1.0,
    units_a_day: Annotated[int | None, typer.Option(help="Units that are assigned in a day.")] = None,
) -> None:
    """Says how many units and days an experiment needs, and what shorter ones could show."""
    from retail_spark.cli.plan_experiment import plan

    print(
        plan(mean=mean, deviation=deviation, lift=lift, power=power, alpha=alpha, ratio=ratio, units_a_day=units_a_day)
    )


@app.command()
def config(
    config: Files = None,
    sets: Sets = None,
    defaults: Annotated[bool, typer.Option("--defaults", help="Print conf/base.yml from the defaults.")] = False,
) -> None:
    """Prints the settings in force, secrets masked."""
    from retail_spark.engine.settings_layers import shown
    from retail_spark.engine.settings_reference import defaults_as_yaml

    sys.stdout.write(defaults_as_yaml() if defaults else shown(_settings(config, sets)))


def _settings(files: Sequence[str] | None, sets: Sequence[str] | None) -> Settings:
    from retail_spark.engine.settings_layers import resolve

    return resolve(files=files or (), environ=os.environ, sets=sets or ())


def _date(text: str | None, option: str = "--as-of") -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is not a date.", fix="write it as YYYY-MM-DD") from error


def _wrong_command(error: typer.TyperException) -> UsageError:
    """A command line that cannot be read, in the words of the house; without any word it is the help itself."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "retail-spark"
    said = error.format_message().strip()
    if "Usage:" in said:
        print(said, file=sys.stderr)
        said = "no command was given."
    return UsageError(said, fix=f"see {path} --help")


def _failed(error: Exception) -> int:
    """Says what happened and how to mend it; of what no one thought of the whole trace is kept in a file."""
    explained = explain(error)
    fix = explained.fix if explained.fix else _traced(error)
    what = visible(masked(explained.what))
    print(f"error: {what}\n  fix: {visible(masked(fix))}", file=sys.stderr)
    told: dict[str, Any] = {"status": "failed", "exit_code": explained.exit_code, "error": what}
    print(json.dumps(told), flush=True)
    return explained.exit_code


def _traced(error: Exception) -> str:
    """Writes the trace, and says where; a full or missing temporary folder must not hide the error."""
    again = "run the same command again to take over"
    try:
        with tempfile.NamedTemporaryFile("w", prefix=TRACE_PREFIX, suffix=TRACE_SUFFIX, delete=False) as trace:
            trace.write(masked("".join(traceback.format_exception(error))))
    except OSError as second:
        return f"{again} (its trace could not be kept: {second.strerror})"
    return f"read {trace.name}; {again}"


def _leave_at_once() -> None:
    """Ends a read-only command without waiting for the JVM to wind down; nothing is open for writing."""
    sys.stderr.flush()
    os._exit(0)
