"""The job maintain: the one job that writes no rows. What it does to a table leaves every row as it was."""

from __future__ import annotations

from collections.abc import Sequence

from retail_spark.engine.job import Outcome, Run, job
from retail_spark.errors import InputError
from retail_spark.lake.maintenance import analyze, drop_old_stages, optimize, restore, vacuum
from retail_spark.lake.sql import tables
from retail_spark.lake.table_name import TableName
from retail_spark.lake.whole import check_files, missing_files
from retail_spark.maintain.pruning import prune
from retail_spark.maintain.settings import JobSettings


def maintain(run: Run, settings: JobSettings) -> Outcome:
    """Compacts, analyses and vacuums the chosen tables.

    Raises InputError for a table that is not there, and, when all others are done, for one that lacks data files.
    """
    chosen = _chosen(run, settings.tables)
    removed = added = analyzed = 0
    for table in _chosen(run, settings.restore) if settings.restore else ():
        run.progress.note(f"{table} is taken back to version {restore(run.lake, table)}: run its job again")
    broken = [table for table in chosen if missing_files(run.lake, table)]
    for table in (table for table in chosen if table not in broken):
        with run.progress.step("compute", f"maintaining {table}"):
            if settings.optimize:
                files = optimize(run.lake, table, file_mib=run.settings.lake.target_file_mib)
                removed, added = removed + files.files_removed, added + files.files_added
            if settings.analyze:
                analyzed += analyze(run.lake, table)
            if settings.vacuum:
                vacuum(run.lake, table, retain_hours=settings.retain_hours)
    stages = drop_old_stages(run.lake, older_than_hours=settings.retain_hours)
    with run.progress.step("prune", "removing what is old"):
        pruned = {} if broken else prune(run, settings)
    check_files(run.lake, broken)
    return Outcome(
        tables=(),
        metrics={
            "tables": len(chosen),
            "files_removed": removed,
            "files_added": added,
            "tables_analyzed": analyzed,
            "stages_dropped": stages,
            **pruned,
        },
    )


def _chosen(run: Run, names: Sequence[str]) -> list[TableName]:
    there = tables(run.lake)
    if not names:
        return there
    wanted = [TableName.parse(name) for name in names]
    missing = [str(table) for table in wanted if table not in there]
    if missing:
        raise InputError(
            f"{', '.join(missing)} is not in {run.lake.where}.", fix=f"tables: {', '.join(map(str, there)) or 'none'}"
        )
    return wanted


JOB = job("maintain", settings=JobSettings, always=True)(maintain)
