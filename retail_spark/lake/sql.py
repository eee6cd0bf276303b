"""SQL over the lake: path tables get a name in the session's catalog, only those that a query names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from pyspark.sql import DataFrame

from retail_spark.lake.delta_log import TableFacts, has_log, local_facts
from retail_spark.lake.lake import Lake, text_literal
from retail_spark.lake.reading_only import check_reads_only
from retail_spark.lake.table_name import TableName

_WORDS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LATEST = "latest_"


def run_sql(lake: Lake, query: str) -> DataFrame:
    """The result of a query, in which `schema.table` names a table of the lake.

    `gold.latest_<table>` is the newest snapshot of a gold table. Raises UsageError for a statement that does more
    than read.
    """
    check_reads_only(lake.spark, query)
    if lake.catalog:
        lake.spark.sql(f"USE CATALOG {TableName.of(lake.catalog).quoted}")
        return lake.spark.sql(query)
    words = {word.lower() for word in _WORDS.findall(query)}
    wants_all = "show" in words
    for table in tables(lake):
        schema, name = table.parts
        if wants_all or (schema in words and not words.isdisjoint({name, LATEST + name})):
            register(lake, table)
    return lake.spark.sql(query)


def tables(lake: Lake) -> list[TableName]:
    """The tables of the lake, by schema and name."""
    if lake.catalog:
        schemas = [row[0] for row in lake.spark.sql(f"SHOW SCHEMAS IN {TableName.of(lake.catalog).quoted}").collect()]
        found = []
        for schema in schemas:
            shown = lake.spark.sql(f"SHOW TABLES IN {TableName.of(lake.catalog, schema).quoted}").collect()
            found += [TableName.of(schema, row["tableName"]) for row in shown if not row["isTemporary"]]
        return sorted(found, key=str)
    if not lake.is_local:
        return _remote_tables(lake)
    logs = Path(lake.root).glob("[a-z]*/[a-z]*/_delta_log")
    return sorted((TableName.of(*log.parent.parts[-2:]) for log in logs if has_log(str(log.parent))), key=str)


def facts(lake: Lake, table: TableName) -> TableFacts:
    """Version, rows and grain of a table. Only what the log of a local table does not tell is asked of Spark."""
    known = local_facts(lake.path(table)) if lake.has_local_logs else None
    if known is not None and known.rows is not None:
        return known
    rows = lake.read(table).count()
    if known is not None:
        return replace(known, rows=rows)
    grain = lake.spark.sql(f"DESCRIBE DETAIL {lake.ref(table)}").select("description").collect()[0][0]
    return TableFacts(lake.pin(table).read_version or 0, rows, grain or "")


def register(lake: Lake, table: TableName) -> None:
    """Gives a path table its name in the session's in-memory catalog, and a snapshot table its latest_ view."""
    spark, schema = lake.spark, table.parts[0]
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS {TableName.of(schema).quoted}")
    spark.sql(f"CREATE TABLE IF NOT EXISTS {table.quoted} USING delta LOCATION {text_literal(lake.path(table))}")
    if schema == "gold":
        with_latest(lake, table)


def with_latest(lake: Lake, table: TableName) -> None:
    """Creates the view <schema>.latest_<table> over the newest as_of, for tables that have one."""
    prefix = (lake.catalog,) if lake.catalog else ()
    full = TableName.of(*prefix, *table.parts).quoted
    view = TableName.of(*prefix, table.parts[0], LATEST + table.parts[1]).quoted
    if "as_of" in lake.spark.read.table(full).columns:
        lake.spark.sql(
            f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM {full} WHERE as_of = (SELECT max(as_of) FROM {full})"
        )


def _remote_tables(lake: Lake) -> list[TableName]:
    """Tables of a root in object storage, from the commits that every Delta table has."""
    logs = lake.spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    files = logs.option("pathGlobFilter", "00000000000000000000.json").load(lake.root).select("path")
    found = set()
    for row in files.distinct().collect():
        parts = row["path"].split("/_delta_log/")[0].split("/")
        found.add(TableName.of(*parts[-2:]))
    return sorted(found, key=str)
