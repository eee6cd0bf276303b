"""Inputs as raw rows: every column STRING, by name, with the file, a hash of the row, and what is wrong with its line.

A raw row carries, beside the source's own columns: `_rs_file` (name relative to the input's base), `_rs_h1`, `_rs_h2`
(128-bit hash of the row: its column names, in alphabetical order, and their values), `_rs_malformed` (the line as it
stood, when it does not fit) and `_rs_group` (which of the headers it was read under).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.errors import InputError, ServiceMissingError, UsageError
from retail_spark.ingest.contents import (
    Layout,
    charset_of,
    check_kind,
    distinct,
    layout_of,
    mixes_line_ends,
    needs_copy,
    to_copy,
)
from retail_spark.ingest.expressions import quoted_name
from retail_spark.ingest.files import SourceFile, find_files, full_path
from retail_spark.ingest.mapping import InputSpec
from retail_spark.ingest.objects import keys_of, may_hold_several, one_a_row
from retail_spark.lake.table_name import TableName

FILE, H1, H2, MALFORMED, GROUP = "_rs_file", "_rs_h1", "_rs_h2", "_rs_malformed", "_rs_group"
META = (FILE, H1, H2, MALFORMED, GROUP)
_ABSENT = "\u0000"
_MARK = "\u0001"
_UNESCAPED = re.compile(r"[A-Za-z0-9_./:@=,-]*")
_AVRO_FIX = "add org.apache.spark:spark-avro_2.13:4.1.4 to spark.conf.spark.jars.packages"
_NAMED_GROUP = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\((?!\?)|\(\?<(?P<name>[A-Za-z]\w*)>")


@dataclass(frozen=True)
class Raw:
    """An input's raw rows. `groups` holds, for each header met, its columns and the files that have it."""

    name: str
    frame: DataFrame
    columns: tuple[str, ...]
    groups: tuple[tuple[frozenset[str], tuple[str, ...]], ...]
    nulls: tuple[str, ...]
    unique_on: frozenset[str] = frozenset()
    """Columns that identify a row by construction: those an input was summed up by."""

    def through(self, frame: DataFrame) -> Raw:
        """The same rows, read from a stage."""
        return replace(self, frame=frame)


def quoted(name: str) -> Column:
    """The column of exactly that name, whatever signs it holds."""
    return F.col(quoted_name(name))


def read_raw(
    spark: SparkSession,
    name: str,
    spec: InputSpec,
    *,
    data_root: str,
    files: Sequence[SourceFile] | None = None,
    scratch: Path | None = None,
) -> Raw:
    """The raw rows of an input. `files` narrows a file input to these; `scratch` is a folder for copies of files that
    Spark cannot read as they stand. Raises InputError when nothing is there.
    """
    if spec.is_files:
        chosen = tuple(files) if files is not None else find_files(lambda: spark, spec, name=name, data_root=data_root)
        return _read_files(spark, name, spec, chosen, scratch)
    if spec.table is not None:
        frame = spark.read.table(TableName.parse(spec.table).quoted)
        return _read_typed(name, spec, frame, F.lit(spec.table), (spec.table,))
    if spec.jdbc is not None:
        frame = spark.read.format("jdbc").options(**spec.jdbc.options()).load()
        return _read_typed(name, spec, frame, F.lit(f"jdbc:{name}"), (f"jdbc:{name}",))
    path = full_path(spec, data_root)
    try:
        frame = spark.read.format("delta").load(path)
    except AnalysisException as error:
        raise InputError(f"inputs.{name}: there is no Delta table at {path}.", fix="check the path") from error
    return _read_typed(name, spec, frame, F.lit(path.rpartition("/")[2]), (path,))


def _read_files(
    spark: SparkSession, name: str, spec: InputSpec, files: tuple[SourceFile, ...], scratch: Path | None
) -> Raw:
    for file in files:
        check_kind(file, spec)
    if spec.format in ("csv", "text", "json"):
        files = tuple(file for file in files if file.size > 0)
        if not files:
            raise InputError(f"inputs.{name}: all its files are empty.", fix="check how they were delivered")
        return (_read_csv if spec.format == "csv" else _read_lines)(spark, name, spec, files, scratch)
    return _read_columnar(spark, name, spec, files)


def grouped(raw: Raw, name: str, spec: InputSpec) -> Raw:
    """The raw rows summed up: one row per value of `group_by`, for joining. Its columns are STRING again.

    Raises UsageError for an aggregate that Spark cannot resolve.
    """
    try:
        sums = [F.expr(sql).cast("string").alias(column) for column, sql in spec.columns.items()]
        keys = [quoted(key) for key in spec.group_by]
        frame = with_nulls(raw).groupBy(*keys).agg(*(sums or [F.count(F.lit(1)).cast("string").alias("rows")]))
        columns = tuple(frame.columns)
    except AnalysisException as error:
        raise UsageError(
            f"inputs.{name}: {str(error).splitlines()[0]}", fix=f"inputs.{raw.name} has: {', '.join(raw.columns)}"
        ) from error
    summed = frame.withColumn(FILE, F.lit(f"summed:{spec.from_}"))
    found = _finished(name, summed, columns, ((columns, (name,)),), ())
    return replace(found, unique_on=frozenset(spec.group_by))


def with_nulls(raw: Raw) -> DataFrame:
    """The raw rows with the listed texts turned into NULL."""
    if not raw.nulls:
        return raw.frame
    texts = list(raw.nulls)
    values = [F.when(~quoted(c).isin(texts), quoted(c)).alias(c) for c in raw.columns]
    return raw.frame.select(*values, *[c for c in raw.frame.columns if c not in raw.columns])


def _as_spark_reads(
    file: SourceFile, spec: InputSpec, scratch: Path | None, layout: Layout | None = None
) -> SourceFile:
    """The file, or its copy in UTF-8. Raises UsageError when a copy is needed and there is no place for it."""
    is_mixed = layout is not None and layout.has_breaks and scratch is not None and mixes_line_ends(file)
    if not needs_copy(file, spec) and not is_mixed:
        return file
    if scratch is None:
        raise UsageError(
            f"{file.name} must be copied to be read (rows to skip, or its encoding), and the lake is no folder.",
            fix="use a lake on this machine's file system, or mend the files",
        )
    return to_copy(file, spec, scratch, layout=layout)


def _read_csv(
    spark: SparkSession, name: str, spec: InputSpec, files: tuple[SourceFile, ...], scratch: Path | None
) -> Raw:
    spelled: dict[str, str] = {}
    alike: dict[tuple[tuple[str, ...], str, bool, str, str], list[SourceFile]] = defaultdict(list)
    for file in files:
        layout = layout_of(spark, file, spec)
        header = tuple(spelled.setdefault(column.lower(), column) for column in layout.header)
        readable = _as_spark_reads(file, spec, scratch, layout)
        alike[header, layout.separator, layout.has_breaks, _base(readable), _charset(readable, spec)].append(readable)
    frames, groups = [], []
    for group, ((header, separator, has_breaks, _, charset), members) in enumerate(sorted(alike.items())):
        schema = T.StructType([T.StructField(c, T.StringType()) for c in (*header, MALFORMED)])
        options = {
            "sep": separator,
            "quote": spec.quote,
            "escape": spec.escape,
            "encoding": charset,
            "header": str(spec.header).lower(),
            "multiLine": str(has_breaks).lower(),
            "mode": "PERMISSIVE",
            "columnNameOfCorruptRecord": MALFORMED,
            "maxColumns": str(max(20480, 2 * len(header))),
        }
        if has_breaks and members[0].local is not None:
            options["lineSep"] = "\n"  # Spark would take the first end of a line, even one inside quotes
        read = spark.read.schema(schema).options(**options).csv([file.address for file in members])
        rows, columns = _with_file_columns(read.withColumn(FILE, _file_name(members)), header, spec)
        frames.append(_with_meta(rows, columns, group))
        groups.append((columns, _names(members)))
    frame = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), frames)
    columns = tuple(c for c in frame.columns if c not in META)
    return Raw(name, frame, columns, _as_groups(groups), spec.nulls)


def _read_lines(
    spark: SparkSession, name: str, spec: InputSpec, files: tuple[SourceFile, ...], scratch: Path | None
) -> Raw:
    by_place: dict[tuple[str, str], list[SourceFile]] = defaultdict(list)
    for file in (_as_spark_reads(file, spec, scratch) for file in files):
        by_place[_base(file), _charset(file, spec)].append(file)
    is_whole = spec.format == "json" and bool(spec.multiline)
    frames = []
    for (_, charset), members in sorted(by_place.items()):
        read = spark.read.text([file.address for file in members], wholetext=is_whole)
        text = F.col("value") if charset == "UTF-8" else F.decode(F.col("value").cast("binary"), charset)
        frames.append(read.select(text.alias("value"), _file_name(members).alias(FILE)))
    lines = reduce(lambda a, b: a.unionByName(b), frames).where(F.trim("value") != "")
    if spec.format == "json":
        rows, columns = _parse_json(lines, spec)
    else:
        rows, columns = _parse_pattern(_with_meta(lines, ("value",), 0), spec)
    if spec.file_pattern is not None:
        rows, columns = _with_file_columns(rows, columns, spec)
        parts = [F.coalesce(quoted(c), F.lit(_ABSENT)) for c in file_columns(spec)]
        rows = rows.withColumns({H1: F.xxhash64(H1, *parts), H2: F.xxhash64(H2, *parts)})
    return Raw(name, rows, columns, _as_groups([(columns, _names(files))]), spec.nulls)


def file_columns(spec: InputSpec) -> tuple[str, ...]:
    """The raw columns that file_pattern makes of a file's name."""
    return tuple(name for name in _group_names(spec.file_pattern or "") if name)


def _with_file_columns(rows: DataFrame, columns: Sequence[str], spec: InputSpec) -> tuple[DataFrame, tuple[str, ...]]:
    """Adds what file_pattern finds in the file's name, NULL where it finds nothing."""
    if spec.file_pattern is None:
        return rows, tuple(columns)
    pattern = spec.file_pattern
    there = {column.lower() for column in columns}
    found = {name: number for number, name in enumerate(_group_names(pattern), start=1) if name}
    if not found:
        raise UsageError("file_pattern names no group.", fix="write groups as (?<name>...)")
    for name in found:
        if name.lower() in there:
            raise UsageError(f"file_pattern names {name}, which is a column of the files.", fix="name it otherwise")
    values = {n: F.nullif(F.regexp_extract(FILE, pattern, number), F.lit("")) for n, number in found.items()}
    return rows.withColumns(values), (*columns, *found)


def _parse_pattern(lines: DataFrame, spec: InputSpec) -> tuple[DataFrame, tuple[str, ...]]:
    """One run of the pattern a line: the groups are written out behind marks, then split."""
    pattern = spec.pattern or ""
    names = _group_names(pattern)
    if not any(names):
        raise UsageError("the pattern names no group.", fix="write groups as (?<name>...)")
    wanted = {name: number for number, name in enumerate(names, start=1) if name}
    written = _MARK + _MARK.join(f"${number}" for number in wanted.values())
    found = F.split(F.regexp_replace("value", F.lit(f"^(?:{pattern})$"), F.lit(written)), _MARK, -1)
    rows = lines.withColumn("_rs_found", found)
    fits = F.size("_rs_found") == len(wanted) + 1
    values = [F.when(fits, F.get("_rs_found", F.lit(i))).alias(name) for i, name in enumerate(wanted, start=1)]
    malformed = F.when(~fits, F.col("value")).alias(MALFORMED)
    return rows.select(*values, FILE, H1, H2, malformed, GROUP), tuple(wanted)


def _parse_json(lines: DataFrame, spec: InputSpec) -> tuple[DataFrame, tuple[str, ...]]:
    """One row an object, of lines or of whole documents; nested values stay JSON text."""
    if spec.multiline or not lines.where(may_hold_several(F.col("value"))).isEmpty():
        lines = one_a_row(lines, carried=(FILE,))
    rows = _with_meta(lines, ("value",), 0).withColumn("_rs_map", F.from_json("value", "map<string,string>"))
    keys = keys_of(rows, "_rs_map", file=spec.path or "")
    values = [
        F.coalesce(*[F.element_at("_rs_map", F.lit(key)) for key in read_from]).alias(column)
        for column, read_from in keys.items()
    ]
    malformed = F.when(F.col("_rs_map").isNull(), F.col("value")).alias(MALFORMED)
    return rows.select(*values, FILE, H1, H2, malformed, GROUP), tuple(keys)


def _read_columnar(spark: SparkSession, name: str, spec: InputSpec, files: tuple[SourceFile, ...]) -> Raw:
    """Files that carry their types, those of one schema at once: as texts, types that drift do not matter."""
    alike: dict[str, list[SourceFile]] = defaultdict(list)
    for file in files:
        alike[_schema_of(file, spec)].append(file)
    spelled: dict[str, str] = {}
    frames = []
    for members in alike.values():  # the first file's spelling of a column is the one that counts
        frame = _load_files(spark, spec, members)
        file_name = _file_name(members, frame.metadataColumn("_metadata").getField("file_path"))
        columns = [spelled.setdefault(column.lower(), column) for column in distinct(frame.columns)]
        texts = [_as_text(f).alias(column) for f, column in zip(frame.schema.fields, columns, strict=True)]
        frames.append(frame.select(*texts, file_name.alias(FILE)))
    frame = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), frames)
    rows, columns_ = _with_file_columns(frame, [c for c in frame.columns if c != FILE], spec)
    return _finished(name, rows, columns_, ((columns_, _names(files)),), spec.nulls)


def _schema_of(file: SourceFile, spec: InputSpec) -> str:
    if spec.format != "parquet" or file.local is None:
        return ""
    try:
        return str(pq.read_schema(file.local).remove_metadata())
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{file.name} cannot be read as parquet: {str(error).splitlines()[0]}", fix="deliver the file again"
        ) from error


def _read_typed(name: str, spec: InputSpec, frame: DataFrame, file: Column, files: tuple[str, ...]) -> Raw:
    columns = distinct(frame.columns)
    texts = [_as_text(field).alias(column) for field, column in zip(frame.schema.fields, columns, strict=True)]
    return _finished(name, frame.select(*texts, file.alias(FILE)), columns, ((columns, files),), spec.nulls)


def _finished(
    name: str,
    frame: DataFrame,
    columns: tuple[str, ...],
    groups: Sequence[tuple[Sequence[str], tuple[str, ...]]],
    nulls: tuple[str, ...],
) -> Raw:
    rows = _with_meta(frame.withColumn(MALFORMED, F.lit(None).cast("string")), columns, 0)
    return Raw(name, rows, columns, _as_groups(groups), nulls)


def _with_meta(frame: DataFrame, columns: Sequence[str], group: int) -> DataFrame:
    """Adds the hash of the row and its header's number. A NULL is hashed as a mark: xxhash64 alone passes over it."""
    ordered = sorted(columns, key=str.lower)  # a row is the same whatever the case of its file's header
    values = [F.coalesce(quoted(c), F.lit(_ABSENT)) for c in ordered]
    salt = "\u001f".join(ordered).lower()
    hashed = frame.withColumn(H1, F.xxhash64(F.lit(salt), *values)).withColumn(
        H2, F.xxhash64(F.lit(f"2{salt}"), *values)
    )
    return hashed.withColumn(GROUP, F.lit(group))


def _as_text(field: T.StructField) -> Column:
    column = quoted(field.name)
    if isinstance(field.dataType, T.StructType | T.ArrayType | T.MapType):
        return F.to_json(column)
    return column.cast("string")


def _load_files(spark: SparkSession, spec: InputSpec, files: Sequence[SourceFile]) -> DataFrame:
    try:
        reader = spark.read.format(spec.format).option("mergeSchema", "true")
        return reader.load([file.address for file in files])
    except AnalysisException as error:
        if spec.format == "avro":
            raise ServiceMissingError("this Spark session cannot read Avro.", fix=_AVRO_FIX) from error
        raise InputError(
            f"{files[0].name} cannot be read as {spec.format}: {str(error).splitlines()[0]}",
            fix="check the format of the input",
        ) from error


def _base(file: SourceFile) -> str:
    """The file's address without its name: the input's base, or the folder of copies."""
    return file.uri.removesuffix(file.name)


def _charset(file: SourceFile, spec: InputSpec) -> str:
    """How Spark reads the file: a copy is UTF-8 whatever the input's encoding is. Copies carry no time."""
    return charset_of(spec) if file.stamp else "UTF-8"


def _file_name(files: Sequence[SourceFile], address: Column | None = None) -> Column:
    """The file's relative name: what stands behind the base in the address, which Spark escapes."""
    address = F.col("_metadata.file_path") if address is None else address
    if not all(_UNESCAPED.fullmatch(file.uri) for file in files):
        address = F.url_decode(F.replace(address, F.lit("+"), F.lit("%2B")))
    base = _base(files[0])
    name = F.substring(address, len(base) + 1, 1 << 20)
    if not base.startswith("file:"):
        return name
    long = f"file://{base.removeprefix('file:')}"  # Spark writes file:/a or file:///a, by version
    return F.when(address.startswith(long), F.substring(address, len(long) + 1, 1 << 20)).otherwise(name)


def _names(files: Sequence[SourceFile]) -> tuple[str, ...]:
    return tuple(file.name for file in files)


def _as_groups(
    groups: Sequence[tuple[Sequence[str], tuple[str, ...]]],
) -> tuple[tuple[frozenset[str], tuple[str, ...]], ...]:
    return tuple((frozenset(columns), files) for columns, files in groups)


def _group_names(pattern: str) -> list[str | None]:
    """The name of every capturing group of a Java pattern, in order; None for one without a name."""
    found = [m for m in _NAMED_GROUP.finditer(pattern) if m.group().startswith("(")]
    return [m.group("name") for m in found]
