"""Settings of the job maintain."""

from __future__ import annotations

from retail_spark.settings import Section, setting


class JobSettings(Section):
    """What is done to every table, and how long old files are kept."""

    tables: list[str] = setting(list, "tables to maintain, such as silver.sales; empty: all of the lake")
    optimize: bool = setting(True, "compact small files, by the clustering columns where there are any")
    vacuum: bool = setting(True, "delete files that no kept version needs")
    retain_hours: int = setting(
        168, "age of files that vacuum may delete; readers may still need younger ones", unit="hours", ge=168
    )
    analyze: bool = setting(True, "compute statistics for the query planner (catalog lakes)")
