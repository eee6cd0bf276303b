"""The table that the job `erase` writes."""

from __future__ import annotations

from retail_spark.lake.contract import LONG, STRING, Column, Contract

ERASURES = Contract(
    "ops.erasures",
    grain="One row per erasure and table; who left is not told.",
    key=("run_id", "table_name"),
    columns=(
        Column("run_id", STRING, "Run; when it was stands in ops.job_runs."),
        Column("table_name", STRING, "Table that was searched."),
        Column("rows", LONG, "Rows deleted.", check="rows >= 0"),
        Column("advice", STRING, "What remains to be done."),
    ),
)
