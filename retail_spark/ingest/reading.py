"""Inputs as raw rows: every column STRING, by name, with the file, a hash of the row, and what is wrong with its line.

A raw row carries, beside the source's own columns: `_rs_file` (name relative to the input's base), `_rs_h1`, `_rs_h2`
(128-bit hash of the row: its column names, in alphabetical order, and their values), `_rs_malformed` (the line as it
stood, when it does not fit) and `_rs_group` (which of the headers it was read under).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.errors import InputError, ServiceMissingError, UsageError
from retail_spark.ingest.files import SourceFile, find_files, full_path, header_of, pin_of
from retail_spark.ingest.mapping import InputSpec, JdbcSpec
from retail_spark.lake.names import TableName
from retail_spark.run import SourcePin

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
    return F.col(TableName.of(name).quoted)


def read_raw(
    spark: SparkSession, name: str, spec: InputSpec, *, data_root: str, files: Sequence[SourceFile] | None = None
) -> Raw:
    """The raw rows of an input. `files` narrows a file input to these. Raises InputError when nothing is there."""
    if spec.is_files:
        chosen = tuple(files) if files is not None else find_files(spark, spec, name=name, data_root=data_root)
        if spec.format == "csv":
            return _read_csv(spark, name, spec, chosen)
        if spec.format in ("text", "json"):
            return _read_lines(spark, name, spec, chosen)
        return _read_typed(name, spec, _load_files(spark, spec, chosen), _file_name(chosen), _names(chosen))
    if spec.table is not None:
        frame = spark.read.table(TableName.parse(spec.table).quoted)
        return _read_typed(name, spec, frame, F.lit(spec.table), (spec.table,))
    if spec.jdbc is not None:
        frame = spark.read.format("jdbc").options(**_jdbc_options(spec.jdbc)).load()
        return _read_typed(name, spec, frame, F.lit(f"jdbc:{name}"), (f"jdbc:{name}",))
    path = full_path(spec, data_root)
    try:
        frame = spark.read.format("delta").load(path)
    except AnalysisException as error:
        raise InputError(f"inputs.{name}: there is no Delta table at {path}.", fix="check the path") from error
    return _read_typed(name, spec, frame, F.lit(path.rpartition("/")[2]), (path,))


def pins_of(
    spark: SparkSession, name: str, spec: InputSpec, *, data_root: str, files: Sequence[SourceFile] | None = None
) -> tuple[SourcePin, ...]:
    """What identifies the input's content: files by content, Delta tables by version; anything else is never equal."""
    if spec.from_ is not None:
        return ()
    if spec.is_files:
        chosen = files if files is not None else find_files(spark, spec, name=name, data_root=data_root)
        return tuple(pin_of(file) for file in chosen)
    if spec.jdbc is not None:
        return (SourcePin(f"jdbc:{name}", 0, uuid.uuid4().hex),)
    where = f"delta.`{full_path(spec, data_root)}`" if spec.table is None else TableName.parse(spec.table).quoted
    try:
        newest = spark.sql(f"DESCRIBE HISTORY {where}").select("version", "timestamp").limit(1).collect()[0]
    except AnalysisException:
        return (SourcePin(f"table:{name}", 0, uuid.uuid4().hex),)
    return (SourcePin(f"table:{name}", int(newest["version"]), str(newest["timestamp"])),)


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


def _read_csv(spark: SparkSession, name: str, spec: InputSpec, files: tuple[SourceFile, ...]) -> Raw:
    by_header: dict[tuple[str, ...], list[SourceFile]] = {}
    for file in files:
        if file.size > 0:
            by_header.setdefault(header_of(spark, file, spec), []).append(file)
    if not by_header:
        raise InputError(f"inputs.{name}: all its files are empty.", fix="check how they were delivered")
    frames, groups = [], []
    for group, (header, members) in enumerate(sorted(by_header.items())):
        schema = T.StructType([T.StructField(c, T.StringType()) for c in (*header, MALFORMED)])
        options = {
            "sep": spec.separator,
            "quote": spec.quote,
            "escape": spec.escape,
            "encoding": spec.encoding,
            "header": str(spec.header).lower(),
            "multiLine": str(spec.multiline).lower(),
            "mode": "PERMISSIVE",
            "columnNameOfCorruptRecord": MALFORMED,
        }
        read = spark.read.schema(schema).options(**options).csv([file.uri for file in members])
        frames.append(_with_meta(read.withColumn(FILE, _file_name(members)), header, group))
        groups.append((header, _names(members)))
    frame = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), frames)
    columns = tuple(c for c in frame.columns if c not in META)
    return Raw(name, frame, columns, _as_groups(groups), spec.nulls)


def _read_lines(spark: SparkSession, name: str, spec: InputSpec, files: tuple[SourceFile, ...]) -> Raw:
    reader = spark.read.option("wholetext", str(spec.multiline and spec.format == "json").lower())
    lines = reader.option("encoding", spec.encoding).text([file.uri for file in files])
    lines = lines.withColumn(FILE, _file_name(files)).where(F.trim("value") != "")
    lines = _with_meta(lines, ("value",), 0)
    parsed, columns = _parse_pattern(lines, spec) if spec.format == "text" else _parse_json(lines, spec)
    return Raw(name, parsed, columns, _as_groups([(columns, _names(files))]), spec.nulls)


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
    """One JSON object a line (or a file that holds one object or an array of them); nested values stay JSON text."""
    as_map = F.from_json("value", "map<string,string>")
    rows = lines.withColumn("_rs_map", as_map)
    if spec.multiline:
        many = F.from_json("value", "array<map<string,string>>")
        is_array = F.ltrim("value").startswith("[")
        each = F.posexplode_outer(F.when(is_array, many).otherwise(F.array(as_map))).alias("_rs_place", "_rs_map")
        rows = lines.select("value", FILE, H1, H2, GROUP, each)
        rows = rows.withColumn(H1, F.xxhash64(H1, F.to_json("_rs_map"))).withColumn(
            H2, F.xxhash64(H2, F.to_json("_rs_map"), F.lit(2))
        )
    found = rows.select(F.explode(F.map_keys("_rs_map")).alias("key")).distinct().orderBy("key").limit(5001).collect()
    names = tuple(row["key"] for row in found)
    if len(names) > 5000:
        raise InputError("the JSON objects have more than 5,000 different keys.", fix="check the format of the input")
    values = [F.element_at("_rs_map", F.lit(key)).alias(key) for key in names]
    malformed = F.when(F.col("_rs_map").isNull(), F.col("value")).alias(MALFORMED)
    return rows.select(*values, FILE, H1, H2, malformed, GROUP), names


def _read_typed(name: str, spec: InputSpec, frame: DataFrame, file: Column, files: tuple[str, ...]) -> Raw:
    texts = [_as_text(field).alias(field.name) for field in frame.schema.fields]
    columns = tuple(frame.columns)
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
    ordered = sorted(columns)
    values = [F.coalesce(quoted(c), F.lit(_ABSENT)) for c in ordered]
    salt = "\u001f".join(ordered)
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
        return reader.load([file.uri for file in files])
    except AnalysisException as error:
        if spec.format == "avro":
            raise ServiceMissingError("this Spark session cannot read Avro.", fix=_AVRO_FIX) from error
        raise InputError(
            f"{files[0].name} cannot be read as {spec.format}: {str(error).splitlines()[0]}",
            fix="check the format of the input",
        ) from error


def _jdbc_options(spec: JdbcSpec) -> dict[str, str]:
    options = {"url": spec.url, "query": spec.query, "fetchsize": str(spec.fetch_size)}
    options |= {"user": spec.user} if spec.user else {}
    options |= {"driver": spec.driver} if spec.driver else {}
    return options | ({"password": spec.password.reveal()} if spec.password is not None else {})


def _file_name(files: Sequence[SourceFile]) -> Column:
    """The file's relative name: what stands behind the base in the address, which Spark escapes."""
    address = F.col("_metadata.file_path")
    if not all(_UNESCAPED.fullmatch(file.uri) for file in files):
        address = F.url_decode(F.replace(address, F.lit("+"), F.lit("%2B")))
    base = files[0].uri.removesuffix(files[0].name)
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
