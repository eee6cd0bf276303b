"""What lies outside, and what it becomes: the source mapping of conf/sources/*.yml, checked before anything is read."""

from __future__ import annotations

import codecs
import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from retail_spark.config.secrets import SecretRef
from retail_spark.config.section import Section, Settings, setting
from retail_spark.errors import UsageError
from retail_spark.ingest.expressions import check_expression
from retail_spark.lake.contract import Contract
from retail_spark.tables.silver import SILVER

CANONICAL: dict[str, Contract] = {contract.table.parts[-1]: contract for contract in SILVER}
HASHED_KEYS = frozenset({"sale_id", "event_id", "delivery_id", "exposure_id", "spend_id"})
"""Keys that may be left out: then each is a hash of the raw row and the source's name."""
FILLED = frozenset({"source", "source_file", "row_hash"})
"""Columns that ingest fills itself."""
_SOURCE_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ONE_ROW = re.compile(r"(latest|first)\s+(.+)", re.DOTALL)


class JdbcSpec(Section):
    """A query of a database."""

    url: str = setting("", "address of the database, without user and password")
    query: str = setting("", "the query whose rows are the input")
    user: str | None = setting(None, "user")
    password: SecretRef | None = setting(None, "password: env:NAME, file:PATH or databricks:SCOPE/KEY")
    driver: str | None = setting(None, "class of the JDBC driver, when Spark does not find it by the address")
    fetch_size: int = setting(10_000, "rows fetched at once", unit="rows", ge=1)

    def options(self) -> dict[str, str]:
        """The options of Spark's reader, the password revealed."""
        options = {"url": self.url, "query": self.query, "fetchsize": str(self.fetch_size)}
        options |= {"user": self.user} if self.user else {}
        options |= {"driver": self.driver} if self.driver else {}
        return options | ({"password": self.password.reveal()} if self.password is not None else {})


class InputSpec(Section):
    """One of: `path`, `table`, `jdbc`, or `from` with `group_by` (an input summed up, to be joined to a table)."""

    model_config = ConfigDict(populate_by_name=True)

    path: str | None = setting(None, "file, folder or glob; {data_root} stands for the setting data_root")
    table: str | None = setting(None, "a table the session knows, as catalog.schema.table")
    jdbc: JdbcSpec | None = setting(None, "a query of a database")
    from_: str | None = Field(None, alias="from", description="another input, summed up by group_by")
    group_by: tuple[str, ...] = setting((), "raw columns; one row for each of their values")
    columns: dict[str, str] = setting(dict, "with group_by: column -> SQL aggregate over raw columns")
    format: Literal["csv", "json", "parquet", "delta", "avro", "text"] = setting("csv", "format of the files")
    nulls: tuple[str, ...] = setting(("",), "texts that mean: no value")
    pattern: str | None = setting(None, "for text: regular expression that a whole line matches; (?<name>...) a column")
    file_pattern: str | None = setting(
        None, "regular expression found in a file's name; each (?<name>...) becomes a raw column of the file's rows"
    )
    header: bool = setting(True, "csv: the first line names the columns; without it they are _c0, _c1, ...")
    skip_rows: int = setting(0, "csv and text: lines before the header (or the first row) that are left out", ge=0)
    separator: str = setting(",", "csv: separator of values; a file's own first line `sep=;` wins")
    quote: str = setting('"', "csv: quote around values")
    escape: str = setting('"', "csv: what escapes a quote inside quotes")
    encoding: str = setting("UTF-8", "csv, text and json: encoding of the files")
    multiline: bool | None = setting(
        None, "csv: quoted values may hold line breaks; empty: looked up in each file; json: a file is one document"
    )

    @model_validator(mode="after")
    def _one_place(self) -> InputSpec:
        given = [x for x in ("path", "table", "jdbc", "from_") if getattr(self, x) is not None]
        if len(given) != 1:
            raise ValueError("give one of path, table, jdbc, from")
        if (self.from_ is not None) != bool(self.group_by):
            raise ValueError("from and group_by go together")
        if (self.format == "text") != (self.pattern is not None) and self.path is not None:
            raise ValueError("format text and pattern go together")
        if self.file_pattern is not None and not self.is_files:
            raise ValueError("file_pattern needs files")
        return self

    @field_validator("separator")
    @classmethod
    def _is_one_sign(cls, separator: str) -> str:
        separator = "\t" if separator == "\\t" else separator
        if len(separator) != 1:
            raise ValueError("a separator is one character")
        return separator

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            codecs.lookup(name)
        except LookupError as error:
            raise ValueError(f"there is no encoding {name!r}") from error
        return name

    @property
    def is_files(self) -> bool:
        """True for files whose rows are read as they are (csv, json, text, parquet, avro)."""
        return self.path is not None and self.format != "delta"


class TableSpec(Section):
    """What one canonical table is made of. Expressions are Spark SQL over raw columns, which are STRING."""

    model_config = ConfigDict(populate_by_name=True)

    from_: str = Field(alias="from", description="the input whose rows are conserved")
    join: dict[str, tuple[str, ...] | dict[str, str]] = setting(
        dict,
        "input -> its key columns, or {its column: expression}; left, many-to-one; its columns are input.column",
    )
    where: str | None = setting(None, "condition of rows that are kept; the others are counted as filtered")
    explode: dict[str, str] = setting(
        dict, "one name -> array expression: one row an element, in columns <name> and <name>_pos (1 for the first)"
    )
    one_row: str | None = setting(
        None, "'latest EXPRESSION' or 'first EXPRESSION': one row a key, the others are counted as collapsed"
    )
    duplicates: Literal["drop", "keep"] = setting(
        "drop", "identical raw rows: dropped and counted, or kept; a whole file that comes twice counts once"
    )
    columns: dict[str, str] = setting(dict, "canonical column -> SQL expression over raw columns")
    nullable: tuple[str, ...] = setting(
        (), "canonical columns whose expression may make NULL of a text on purpose, such as nullif(customer, '0')"
    )

    @property
    def order(self) -> tuple[str, str] | None:
        """(latest or first, expression) of one_row."""
        found = _ONE_ROW.fullmatch(self.one_row) if self.one_row else None
        return (found.group(1), found.group(2)) if found else None

    @model_validator(mode="after")
    def _sound(self) -> TableSpec:
        if self.one_row is not None and self.order is None:
            raise ValueError("one_row is written 'latest EXPRESSION' or 'first EXPRESSION'")
        if len(self.explode) > 1:
            raise ValueError("explode takes one name")
        return self


class SourceMapping(Section):
    """A source: its inputs, and the canonical tables made of them. Its fields are top-level keys of the settings."""

    source: str = setting("", "name of the source; every row carries it")
    inputs: dict[str, InputSpec] = setting(dict, "what lies outside: files, folders, globs, tables, queries")
    tables: dict[str, TableSpec] = setting(dict, "what it becomes: canonical tables")


def mapping_of(settings: Settings) -> SourceMapping:
    """The mapping of the settings, checked. Raises UsageError that names the key at fault and the nearest right one."""
    given: dict[str, Any] = {name: getattr(settings, name, None) for name in SourceMapping.model_fields}
    if not given["source"] or not given["tables"]:
        raise UsageError(
            "there is no source to ingest: `source` and `tables` are empty.",
            fix="give a mapping, such as -c conf/sources/online_retail.yml",
        )
    mapping = SourceMapping.model_construct(**given)
    check_mapping(mapping)
    return mapping


def check_mapping(mapping: SourceMapping) -> None:
    """Raises UsageError for names that do not exist, columns that are missing, and keys that cannot be filled."""
    if not _SOURCE_NAME.fullmatch(mapping.source):
        raise UsageError(
            f"source {mapping.source!r} is not a plain name.", fix="use lower-case letters, digits and underscores"
        )
    for name, spec in mapping.inputs.items():
        for column, sql in spec.columns.items():
            check_expression(sql, where=f"inputs.{name}.columns.{column}", aggregates=True)
        if spec.from_ is not None:
            _known(spec.from_, mapping.inputs, f"inputs.{name}.from", "input")
            if mapping.inputs[spec.from_].from_ is not None:
                raise UsageError(f"inputs.{name}.from is itself summed up.", fix="sum up the files' own input")
    for name, table in mapping.tables.items():
        _known(name, CANONICAL, f"tables.{name}", "canonical table")
        _check_table(name, table, mapping)


def has_hashed_key(contract: Contract, spec: TableSpec) -> bool:
    """True when the key is left out and so becomes a hash of the raw row."""
    return contract.key[0] in HASHED_KEYS and contract.key[0] not in spec.columns


def _check_table(name: str, spec: TableSpec, mapping: SourceMapping) -> None:
    contract = CANONICAL[name]
    _known(spec.from_, mapping.inputs, f"tables.{name}.from", "input")
    for joined in spec.join:
        _known(joined, mapping.inputs, f"tables.{name}.join", "input")
    mappable = [column for column in contract.names if column not in FILLED]
    for column in spec.columns:
        _known(column, mappable, f"tables.{name}.columns.{column}", f"column of {name}")
    for column in spec.nullable:
        _known(column, spec.columns, f"tables.{name}.nullable", "mapped column")
    for place, sql in _expressions(spec):
        check_expression(sql, where=f"tables.{name}.{place}")
    lacking = [
        c.name
        for c in contract.columns
        if not c.nullable and c.name not in spec.columns and c.name not in FILLED | HASHED_KEYS
    ]
    if lacking:
        kind = "key" if set(lacking) & set(contract.key) else "required column"
        raise UsageError(
            f"tables.{name}.columns lacks the {kind} {', '.join(lacking)}.",
            fix=f"add {lacking[0]}: <SQL expression over raw columns>",
        )
    hashed = has_hashed_key(contract, spec)
    if spec.duplicates == "keep" and not hashed:
        raise UsageError(
            f"tables.{name}.duplicates keep needs a hashed key, but {contract.key[0]} is mapped.",
            fix=f"leave {contract.key[0]} out, or use duplicates: drop",
        )
    if spec.one_row is not None and hashed:
        raise UsageError(f"tables.{name}.one_row needs a key.", fix=f"map {contract.key[0]}")


def _expressions(spec: TableSpec) -> Iterator[tuple[str, str]]:
    """Every SQL expression of a table, with its place in the mapping."""
    yield from ((f"columns.{column}", sql) for column, sql in spec.columns.items())
    yield from ((f"explode.{name}", sql) for name, sql in spec.explode.items())
    for joined, keys in spec.join.items():
        if isinstance(keys, dict):
            yield from ((f"join.{joined}.{key}", sql) for key, sql in keys.items())
    if spec.where is not None:
        yield "where", spec.where
    if spec.order is not None:
        yield "one_row", spec.order[1]


def _known(name: str, names: Iterable[str], where: str, what: str) -> None:
    there = list(names)
    if name in there:
        return
    near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"{where}: there is no {what} {name!r}.", fix=f"{hint}there are: {', '.join(there) or 'none'}")
