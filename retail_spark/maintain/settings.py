"""Settings of the job maintain."""

from __future__ import annotations

from retail_spark.config.section import Section, setting


class JobSettings(Section):
    """What is done to every table, and how long old files are kept."""

    tables: list[str] = setting(list, "tables to maintain, such as silver.sales; empty: all of the lake")
    restore: list[str] = setting(
        list, "tables to take back first to their newest whole version, when data files are gone"
    )
    optimize: bool = setting(True, "compact small files, by the clustering columns where there are any")
    vacuum: bool = setting(True, "delete files that no kept version needs")
    retain_hours: int = setting(
        168, "age of files that vacuum may delete; readers may still need younger ones", unit="hours", ge=168
    )
    ops_days: int = setting(
        400,
        "age at which rows of ops tables go; those of runs that a table names, and the newest, stay; 0: all stay",
        unit="days",
        ge=0,
    )
    model_days: int = setting(
        90,
        "age at which model versions go that never became champion and that no table names; 0: all stay",
        unit="days",
        ge=0,
    )
    log_mib: int = setting(64, "size above which Spark's log is cut to its newest half; 0: never", unit="MiB", ge=0)
    trace_days: int = setting(
        14, "age at which traces of errors leave the temporary folder; 0: all stay", unit="days", ge=0
    )
    analyze: bool = setting(True, "compute statistics for the query planner (catalog lakes)")
