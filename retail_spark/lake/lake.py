"""The lake: one root of path tables, or one catalog. The same code reads and creates both."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pyarrow.parquet import read_metadata
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import LakeSettings
from retail_spark.errors import ContractError, InputError
from retail_spark.lake.contract import Contract
from retail_spark.lake.delta_log import (
    CommitInfo,
    has_log,
    local_commits,
    local_last_date,
    local_schema,
    local_table_id,
)
from retail_spark.lake.table_name import TableName


@dataclass(frozen=True)
class Pin:
    """A table as a run sees it. `version` is the last one that changed data, `read_version` the newest of all."""

    table: str
    table_id: str | None
    version: int | None
    """None when the table does not exist."""
    read_version: int | None = None


@dataclass(frozen=True)
class Lake:
    """Where tables live. `root` also holds stages, leases, logs and checkpoints of a path lake."""

    session: SparkSession | Callable[[], SparkSession]
    """The session, or what starts it: what a local log tells is told without one."""
    root: str
    catalog: str | None
    keep_as_of: int = 30

    @classmethod
    def open(cls, spark: SparkSession | Callable[[], SparkSession], settings: LakeSettings) -> Lake:
        """The lake of the settings; nothing is created, and a session that is not there is not started yet."""
        root = settings.root
        if "://" not in root:
            root = str(Path(root.removeprefix("file:")).resolve())
        return cls(spark, root.rstrip("/"), settings.catalog, settings.keep_as_of)

    @cached_property
    def spark(self) -> SparkSession:
        """The session of all queries; started here where it was not there yet."""
        return self.session() if callable(self.session) else self.session

    @property
    def where(self) -> str:
        """The lake in words, for messages."""
        return f"catalog {self.catalog}" if self.catalog else f"lake {self.root}"

    @cached_property
    def is_local(self) -> bool:
        """True when the root is a folder of this machine's file system."""
        return "://" not in self.root

    @property
    def has_local_logs(self) -> bool:
        """True when the tables' logs can be read as the files they are."""
        return self.catalog is None and self.is_local

    def path(self, table: TableName) -> str:
        """Folder of a path table."""
        schema, name = table.folders
        return f"{self.root}/{schema}/{name}"

    def ref(self, table: TableName) -> str:
        """The table in SQL, quoted: delta.`<path>` or `catalog`.`schema`.`table`."""
        if self.catalog:
            return TableName.of(self.catalog, *table.parts).quoted
        return "delta.`" + self.path(table).replace("`", "``") + "`"

    def exists(self, table: TableName) -> bool:
        """True when the table is there."""
        if self.has_local_logs:
            return has_log(self.path(table))
        try:
            _ = self.spark.read.table(self.ref(table)).schema
        except AnalysisException:
            return False
        return True

    def read(self, table: TableName, *, version: int | None = None) -> DataFrame:
        """The table, at a version or as it is. Raises InputError when it is not there."""
        if not self.exists(table):
            raise InputError(f"{table} does not exist in {self.where}.", fix="run the job that writes it first")
        if version is None:
            return self.spark.read.table(self.ref(table))
        return self.spark.read.option("versionAsOf", version).table(self.ref(table))

    def change_feed(self, contract: Contract, *, after: int, until: int) -> DataFrame:
        """Rows that came or went after one version, up to another: `_change_type` says which, as Delta does.

        Raises ContractError for a table without a change feed.
        """
        if not contract.change_feed:
            raise ContractError(f"{contract.name} keeps no change feed.", fix="set change_feed in its contract")
        if after >= until:
            none = self.read(contract.table, version=until).limit(0)
            return none.select(*contract.names, F.lit("insert").alias("_change_type"))
        feed = self.spark.read.option("readChangeFeed", "true").option("startingVersion", after + 1)
        rows = feed.option("endingVersion", until).table(self.ref(contract.table))
        return rows.select(*contract.names, "_change_type")

    def pin(self, table: TableName) -> Pin:
        """The table's identity and versions now."""
        if not self.exists(table):
            return Pin(str(table), None, None)
        newest: int | None = None
        for commit in self.commits(table):
            newest = commit.version if newest is None else newest
            if commit.changes_data:
                return Pin(str(table), self._table_id(table), commit.version, newest)
        return Pin(str(table), self._table_id(table), 0, newest or 0)

    def last_date_in_log(self, contract: Contract, *, version: int | None) -> date | None:
        """The latest date that dates a version of the table, where its log tells it without Spark; else None."""
        if version is None or not contract.date_columns or not self.has_local_logs:
            return None
        return local_last_date(self.path(contract.table), contract.date_columns, version=version)

    def commits(self, table: TableName) -> Iterator[CommitInfo]:
        """The table's commits, newest first."""
        if self.has_local_logs:
            yield from local_commits(self.path(table))
            return
        for row in self.history(table).select("version", "operation", "userMetadata").toLocalIterator():
            yield CommitInfo(row["version"], row["operation"], row["userMetadata"])

    def history(self, table: TableName) -> DataFrame:
        """One row per commit, newest first: version, operation, userMetadata, timestamp and more."""
        return self.spark.sql(f"DESCRIBE HISTORY {self.ref(table)}").orderBy(F.desc("version"))

    def _table_id(self, table: TableName) -> str:
        known = local_table_id(self.path(table)) if self.has_local_logs else None
        if known is not None:
            return known
        return str(self.spark.sql(f"DESCRIBE DETAIL {self.ref(table)}").select("id").collect()[0]["id"])

    def ensure(self, contract: Contract) -> None:
        """Creates the table with comments, NOT NULL and CHECK constraints, or adds columns that the contract gained.

        Raises ContractError when a column has another type than the contract says.
        """
        if self.exists(contract.table):
            self._evolve(contract)
            return
        if self.catalog:
            self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {TableName.of(self.catalog, contract.table.parts[0]).quoted}")
        columns = ", ".join(
            f"{TableName.of(c.name).quoted} {c.type.simpleString()}{'' if c.nullable else ' NOT NULL'} "
            f"COMMENT {text_literal(c.comment)}"
            for c in contract.columns
        )
        cluster = ", ".join(TableName.of(c).quoted for c in contract.cluster_by)
        properties = {f"delta.constraints.{name}": rule for name, rule in contract.constraints.items()}
        properties["delta.dataSkippingStatsColumns"] = ",".join(contract.skipping_columns)
        if contract.change_feed:
            properties["delta.enableChangeDataFeed"] = "true"
        self.spark.sql(
            f"CREATE TABLE {self.ref(contract.table)} ({columns}) USING delta "
            + (f"CLUSTER BY ({cluster}) " if cluster else "")
            + f"COMMENT {text_literal(contract.grain)} "
            + (f"TBLPROPERTIES ({_properties(properties)})" if properties else "")
        )

    def _evolve(self, contract: Contract) -> None:
        schema = local_schema(self.path(contract.table)) if self.has_local_logs else None
        there = {field.name: field for field in schema or self.spark.read.table(self.ref(contract.table)).schema}
        for column in contract.columns:
            field = there.get(column.name)
            if field is not None and field.dataType.simpleString() != column.type.simpleString():
                raise ContractError(
                    f"{contract.name}.{column.name} is {field.dataType.simpleString()}, "
                    f"its contract says {column.type.simpleString()}.",
                    fix="use another lake.root, or rebuild the table",
                )
        relaxed = [c for c in contract.columns if c.nullable and c.name in there and not there[c.name].nullable]
        if relaxed:
            self._relax(contract, {column.name for column in relaxed})
        new = [column for column in contract.columns if column.name not in there]
        if any(not column.nullable for column in new):
            raise ContractError(
                f"{contract.name} lacks {', '.join(c.name for c in new if not c.nullable)}, which may not be NULL.",
                fix="rebuild the table: a column added later must be nullable",
            )
        if new:
            added = ", ".join(
                f"{TableName.of(c.name).quoted} {c.type.simpleString()} COMMENT {text_literal(c.comment)}" for c in new
            )
            self.spark.sql(f"ALTER TABLE {self.ref(contract.table)} ADD COLUMNS ({added})")

    def _relax(self, contract: Contract, names: set[str]) -> None:
        """Lets columns be NULL that an older contract had as NOT NULL; their CHECK rules change with them."""
        ref = self.ref(contract.table)
        for column in (column for column in contract.columns if column.name in names):
            self.spark.sql(f"ALTER TABLE {ref} ALTER COLUMN {TableName.of(column.name).quoted} DROP NOT NULL")
            for rule, condition in column.conditions.items():
                name = TableName.of(rule).quoted
                self.spark.sql(f"ALTER TABLE {ref} DROP CONSTRAINT IF EXISTS {name}")
                self.spark.sql(f"ALTER TABLE {ref} ADD CONSTRAINT {name} CHECK ({condition})")

    def stage(self, run_id: str, name: str, frame: DataFrame) -> DataFrame:
        """Computes the frame once, stores it, and returns the stored one. Replaces an earlier stage of the name."""
        if self.catalog:
            self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {TableName.of(self.catalog, 'staging').quoted}")
            stored = TableName.of(self.catalog, "staging", f"{run_id}_{name}").quoted
            frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").saveAsTable(stored)
            return self.spark.read.table(stored)
        path = f"{self.root}/_staging/{run_id}/{name}"
        frame.write.mode("overwrite").option("compression", "lz4").parquet(path)
        return self.spark.read.schema(frame.schema).parquet(path)

    def staged_rows(self, stage: DataFrame) -> int:
        """Rows of a frame as `stage` returned it, from the footers of its files where they are on this machine."""
        if not self.has_local_logs:
            return stage.count()
        return sum(read_metadata(local_path(file)).num_rows for file in stage.inputFiles())

    def drop_stages(self, run_id: str) -> None:
        """Removes what `stage` stored for a run."""
        if self.catalog:
            schema = TableName.of(self.catalog, "staging").quoted
            if not self.spark.catalog.databaseExists(schema):
                return
            for row in self.spark.sql(f"SHOW TABLES IN {schema}").collect():
                if row["tableName"].startswith(f"{run_id}_".lower()):
                    stored = TableName.of(self.catalog, "staging", row["tableName"]).quoted
                    self.spark.sql(f"DROP TABLE IF EXISTS {stored}")
        elif self.is_local:
            shutil.rmtree(f"{self.root}/_staging/{run_id}", ignore_errors=True)

    def with_session(self, spark: SparkSession) -> Lake:
        """The same lake through another session."""
        return replace(self, session=spark)


def local_path(address: str) -> str:
    """The path of a local file that Spark names by its address."""
    return url2pathname(urlsplit(address).path)


def text_literal(text: str) -> str:
    """A string literal of Spark SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def _properties(properties: dict[str, str]) -> str:
    return ", ".join(f"{text_literal(key)} = {text_literal(value)}" for key, value in properties.items())
