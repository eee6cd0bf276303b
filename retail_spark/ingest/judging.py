"""Raw rows to judged rows: every canonical column computed, and the first rule that the row breaks, if any.

A judged row carries the canonical columns that are mapped, and `_rs_rule` (NULL: good; `filtered`; or the rule),
`_rs_raw` (the raw row as JSON, for rows that break a rule), `_rs_file`, `_rs_h1`, `_rs_h2` (hash of the raw row),
`_rs_pos` (place in the exploded array) and `_rs_order` (what one_row orders by).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.errors import InputError, UsageError
from retail_spark.ingest.expressions import is_lenient, names_in, quoted_name
from retail_spark.ingest.hiding import Hidden, hidden_columns, raw_json
from retail_spark.ingest.mapping import TableSpec
from retail_spark.ingest.reading import FILE, GROUP, H1, H2, MALFORMED, Raw, quoted, with_nulls
from retail_spark.ingest.settings import JobSettings
from retail_spark.lake.contract import Contract

RULE, RAW, POS, ORDER = "_rs_rule", "_rs_raw", "_rs_pos", "_rs_order"
FILTERED = "filtered"
_SHOWN_CHARACTERS = 1000
_MALFORMED_LINE = "malformed_line"
_HIDDEN_LINE = '{"line": "(not kept: people were erased from this lake, and a malformed line may name one of them)"}'
_REPLACEMENT = "\ufffd"
_CLOCK = r"^\s*T?\d{1,2}:\d{1,2}(:\d{1,2}([.,]\d+)?)?\s*([AaPp]\.?[Mm]\.?|[Zz]|[+-]\d{1,2}(:?\d{2})?)?\s*$"
_BRINGS_DATE = re.compile(r"(?i)\d{4}-\d|\bdate\s*'|make_(date|timestamp)")
"""An expression that brings a date of its own."""
_VALUE, _ORIGINAL = "_rs_v_", "_rs_o_"


@dataclass(frozen=True)
class Uses:
    """The raw columns that a table's expressions refer to; `by_column` per canonical column."""

    by_column: Mapping[str, tuple[str, ...]]
    """Canonical column -> SQL names of what its expression reads: raw columns and input.column."""
    raw: tuple[str, ...]
    """Raw columns of the driving input that any expression of the table reads."""
    lenient: frozenset[str] = field(default_factory=frozenset)
    """Canonical columns whose expression uses try_."""


def uses_of(spec: TableSpec, raw: Raw, joined: Mapping[str, Raw]) -> Uses:
    """What the table's expressions read, found by name, whatever the case."""
    by_name: dict[tuple[str, ...], str] = {(c.lower(),): quoted_name(c) for c in raw.columns}
    for name, right in joined.items():
        by_name |= {(name.lower(), c.lower()): f"{quoted_name(name)}.{quoted_name(c)}" for c in right.columns}
    for name, array in spec.explode.items():
        by_name |= {(name.lower(),): quoted_name(name)}
        by_name |= {(f"{name}_pos".lower(),): quoted_name(f"{name}_pos")}
        spec = spec.model_copy(update={"columns": spec.columns | {f"explode {name}": array}})
    others = {f"join {n}": " ".join(_left_keys(keys)) for n, keys in spec.join.items()}
    others |= {"where": spec.where or "", "one_row": spec.order[1] if spec.order else ""}
    found = {column: _reads(sql, by_name) for column, sql in (spec.columns | others).items()}
    own = {quoted_name(c): c for c in raw.columns}
    used = {own[name] for names in found.values() for name in names if name in own}
    lenient = frozenset(column for column, sql in spec.columns.items() if is_lenient(sql))
    return Uses(found, tuple(sorted(used)), lenient)


def to_judged(
    raw: Raw, *, contract: Contract, spec: TableSpec, joined: Mapping[str, Raw], settings: JobSettings
) -> DataFrame:
    """One row per raw row, or per element of the exploded array: its canonical columns and the rule it breaks.

    Raises UsageError for an expression that Spark cannot resolve, InputError for a join whose right side repeats
    a key.
    """
    uses = uses_of(spec, raw, joined)
    _check_names(raw, spec, joined)
    try:
        rows = _with_originals(raw).transform(with_joined, spec=spec, joined=joined).transform(_exploded, spec=spec)
        valued = rows.transform(_with_values, contract=contract, spec=spec)
        rule = _rule(contract, raw=raw, spec=spec, uses=uses, settings=settings)
        kept = [c.name for c in contract.columns if c.name in spec.columns]
        hidden = hidden_columns(uses.by_column, settings)
        valued = hidden.with_salt(valued) if hidden is not None else valued
        judged = valued.withColumn(RULE, rule).select(
            *[_stored(name, contract, settings, hidden).alias(name) for name in kept],
            RULE,
            F.when(F.col(RULE) != FILTERED, _raw_json(raw, hidden)).alias(RAW),
            FILE,
            H1,
            H2,
            POS,
            ORDER,
        )
        _ = judged.schema  # Spark Connect resolves names only when asked
    except AnalysisException as error:
        raise _unresolved(error, contract, raw) from error
    return judged


def without_erased(judged: DataFrame, *, hides_lines: bool = False) -> DataFrame:
    """Rows of people who were erased count as filtered, whatever rule they break: nothing of them is kept.

    In a line that fits no column nobody can be recognised: `hides_lines` keeps its text out of the quarantine.
    """
    rule = F.when(F.col("_erased"), F.lit(FILTERED)).otherwise(F.col(RULE))
    raw = F.when(~F.col("_erased"), F.col(RAW))
    if hides_lines:
        raw = F.when(F.col(RULE) == _MALFORMED_LINE, F.lit(_HIDDEN_LINE)).otherwise(raw)
    return judged.withColumns({RULE: rule, RAW: raw}).drop("_erased")


def with_joined(rows: DataFrame, *, spec: TableSpec, joined: Mapping[str, Raw]) -> DataFrame:
    """Adds each joined input's columns as a struct of its name, NULL where nothing matches. Left, many-to-one."""
    for name, keys in spec.join.items():
        right = joined[name]
        own = list(keys)
        left = _left_keys(keys)
        there = {column.lower() for column in right.columns}
        lacking = [c for c in own if c.lower() not in there]
        if lacking:
            raise InputError(
                f"inputs.{name} lacks the column {lacking[0]} that it is joined on.",
                fix=f"it has: {shortened(right.columns)}",
            )
        table = with_nulls(right)
        if not right.unique_on or set(own) != right.unique_on:
            table = only_unique(table, keys=own, name=name)
        packed = table.select(
            F.struct(*[quoted(c) for c in right.columns]).alias(name),
            *[quoted(c).alias(f"_rs_k{i}") for i, c in enumerate(own)],
        )
        for i, sql in enumerate(left):
            rows = rows.withColumn(f"_rs_l{i}", F.expr(sql).cast("string"))
        matches = reduce(
            lambda a, b: a & b, [F.col(f"_rs_l{i}") == F.col(f"_rs_k{i}") for i in range(len(left))], F.lit(True)
        )
        rows = rows.join(packed, matches, how="left").drop(*[f"_rs_{s}{i}" for i in range(len(left)) for s in "lk"])
    return rows


def only_unique(table: DataFrame, *, keys: Sequence[str], name: str) -> DataFrame:
    """The table, whose keys are unique. Raises InputError with examples otherwise: a join would multiply rows."""
    repeated = table.groupBy(*[quoted(k) for k in keys]).count().where("count > 1")
    present = reduce(lambda a, b: a & b, [quoted(k).isNotNull() for k in keys])
    examples = repeated.where(present).orderBy(*[quoted(k) for k in keys]).limit(3).collect()
    if examples:
        shown = "; ".join(", ".join(f"{k}={row[k]}" for k in keys) for row in examples)
        raise InputError(
            f"inputs.{name} repeats a key that it is joined on: {shown}.",
            fix="join on more columns, or sum it up first with an input of from and group_by",
        )
    return table


def _left_keys(keys: Sequence[str] | Mapping[str, str]) -> list[str]:
    """The expressions of the driving side."""
    return list(keys.values()) if isinstance(keys, Mapping) else [quoted_name(key) for key in keys]


def _reads(sql: str, by_name: Mapping[tuple[str, ...], str]) -> tuple[str, ...]:
    found = set()
    for parts in names_in(sql):
        lowered = tuple(part.lower() for part in parts)
        for length in (2, 1):
            if lowered[:length] in by_name:
                found.add(by_name[lowered[:length]])
                break
    return tuple(sorted(found))


def _check_names(raw: Raw, spec: TableSpec, joined: Mapping[str, Raw]) -> None:
    taken = {c.lower() for c in raw.columns}
    new = [*spec.join, *[n for name in spec.explode for n in (name, f"{name}_pos")]]
    for name in new:
        if name.lower() in taken:
            raise UsageError(
                f"{name!r} is a column of inputs.{raw.name}, and also the name of a join or explode.",
                fix="rename the input or the exploded name in the mapping",
            )
        taken.add(name.lower())


def _with_originals(raw: Raw) -> DataFrame:
    """The raw rows with NULLs for the listed texts, and beside each column its text as it stood."""
    nulled = with_nulls(raw)
    if nulled is raw.frame:
        return nulled
    originals = [quoted(c).alias(f"{_ORIGINAL}{i}") for i, c in enumerate(raw.columns)]
    texts = list(raw.nulls)
    values = [F.when(~quoted(c).isin(texts), quoted(c)).alias(c) for c in raw.columns]
    meta = [c for c in raw.frame.columns if c not in raw.columns]
    return raw.frame.select(*values, *originals, *meta)


def _texts(raw: Raw) -> list[Column]:
    """The row's texts as they stood."""
    return [F.col(f"{_ORIGINAL}{i}") if raw.nulls else quoted(c) for i, c in enumerate(raw.columns)]


def _raw_json(raw: Raw, hidden: Hidden | None) -> Column:
    line = F.col(MALFORMED) if hidden is None else hidden(F.col(MALFORMED))  # where in it a person stands is not known
    malformed = F.when(F.col(MALFORMED).isNotNull(), F.to_json(F.struct(line.alias("line"))))
    return F.coalesce(malformed, raw_json(_texts(raw), raw, hidden))


def _exploded(rows: DataFrame, *, spec: TableSpec) -> DataFrame:
    """One row an element; a row without elements, or whose line is malformed, stays one row."""
    if not spec.explode:
        return rows.withColumn(POS, F.lit(None).cast("int"))
    ((name, array),) = spec.explode.items()
    each = F.posexplode_outer(F.when(F.col(MALFORMED).isNull(), F.expr(array))).alias("_rs_at", name)
    return rows.select("*", each).withColumn(POS, F.col("_rs_at") + 1).withColumn(f"{name}_pos", F.col(POS))


def _with_values(rows: DataFrame, *, contract: Contract, spec: TableSpec) -> DataFrame:
    """Adds the canonical columns under names of their own, whether the row is kept, and what one_row orders by."""
    values = [
        F.expr(sql).cast(contract.column(column).type).alias(f"{_VALUE}{column}")
        for column, sql in spec.columns.items()
    ]
    kept = F.coalesce(F.expr(spec.where), F.lit(False)) if spec.where else F.lit(True)
    order = F.expr(spec.order[1]) if spec.order else F.lit(None).cast("string")
    return rows.select("*", *values, kept.alias("_rs_kept"), order.alias(ORDER))


def _rule(contract: Contract, *, raw: Raw, spec: TableSpec, uses: Uses, settings: JobSettings) -> Column:
    """The first rule that a row breaks; NULL for a good row."""
    is_bad_text = _any([F.contains(t, F.lit(_REPLACEMENT)) for t in _texts(raw)])
    rules: list[tuple[str, Column]] = [
        (_MALFORMED_LINE, F.col(MALFORMED).isNotNull()),
        ("bad_encoding", is_bad_text),
        *_missing(raw, uses),
        (FILTERED, ~F.col("_rs_kept")),
        *_bad_values(contract, spec, uses),
        *_clock_times(contract, spec, uses),
        *_nulls(contract, spec),
        *_reserved(contract, spec),
        *_limits(contract, spec, settings),
        *_checks(contract, spec),
    ]
    chosen = F.when(rules[0][1], F.lit(rules[0][0]))
    for name, broken in rules[1:]:
        chosen = chosen.when(broken, F.lit(name))
    return chosen


def _missing(raw: Raw, uses: Uses) -> list[tuple[str, Column]]:
    """A used column that some files have and this row's file has not. None has it: the expression fails by name."""
    rules = []
    for column in uses.raw:
        lacking = [number for number, (columns, _) in enumerate(raw.groups) if column not in columns]
        if lacking:
            rules.append((f"missing_column:{column}", F.col(GROUP).isin(lacking)))
    return rules


def _bad_values(contract: Contract, spec: TableSpec, uses: Uses) -> list[tuple[str, Column]]:
    """A text was there and the expression made NULL of it."""
    rules = []
    for column, sql in spec.columns.items():
        reads = uses.by_column[column]
        is_copy = isinstance(contract.column(column).type, T.StringType) and (sql in reads or quoted_name(sql) in reads)
        if column in uses.lenient or column in spec.nullable or not reads or is_copy:
            continue
        was_there = F.coalesce(*[F.expr(name).cast("string") for name in reads]).isNotNull()
        rules.append((f"bad_value:{column}", F.col(_VALUE + column).isNull() & was_there))
    return rules


def _clock_times(contract: Contract, spec: TableSpec, uses: Uses) -> list[tuple[str, Column]]:
    """A time of day alone where a date is needed: Spark would make of it that time today, or in 1970."""
    rules = []
    for column, sql in spec.columns.items():
        is_time = isinstance(contract.column(column).type, T.DateType | T.TimestampType)
        if not is_time or not uses.by_column[column] or _BRINGS_DATE.search(sql):
            continue
        texts = F.array_compact(F.array(*[F.expr(name).cast("string") for name in uses.by_column[column]]))
        is_clock = (F.size(texts) > 0) & F.forall(texts, lambda text: text.rlike(_CLOCK))
        rules.append((f"time_without_date:{column}", is_clock & F.col(_VALUE + column).isNotNull()))
    return rules


def _any(conditions: Sequence[Column]) -> Column:
    """True when one is: as a balanced tree, since a chain of a thousand overflows the planner's stack."""
    if len(conditions) <= 1:
        return conditions[0] if conditions else F.lit(False)
    half = len(conditions) // 2
    return _any(conditions[:half]) | _any(conditions[half:])


def _nulls(contract: Contract, spec: TableSpec) -> list[tuple[str, Column]]:
    required = [c.name for c in contract.columns if not c.nullable and c.name in spec.columns]
    return [
        ("null_key" if name in contract.key else f"null:{name}", F.col(_VALUE + name).isNull()) for name in required
    ]


def _reserved(contract: Contract, spec: TableSpec) -> list[tuple[str, Column]]:
    """Texts that later tables keep for a meaning of their own, such as customer *."""
    mapped = [c for c in contract.columns if c.reserved and c.name in spec.columns]
    return [(f"reserved:{c.name}", F.col(_VALUE + c.name).isin(list(c.reserved))) for c in mapped]


def _limits(contract: Contract, spec: TableSpec, settings: JobSettings) -> list[tuple[str, Column]]:
    """Infinite numbers, NaN, and dates outside the plausible."""
    rules = []
    for name in spec.columns:
        kind, value = contract.column(name).type, F.col(_VALUE + name)
        if isinstance(kind, T.DoubleType):
            rules.append((f"not_finite:{name}", F.abs(value) >= float("inf")))  # NaN sorts above infinity
        if isinstance(kind, T.DateType | T.TimestampType):
            oldest, newest = F.lit(settings.oldest).cast(kind), F.date_add(F.lit(settings.newest), 1).cast(kind)
            rules.append((f"implausible_date:{name}", (value < oldest) | (value >= newest)))
    return rules


def _checks(contract: Contract, spec: TableSpec) -> list[tuple[str, Column]]:
    """The contract's CHECK rules over mapped columns; finiteness has a rule of its own."""
    rules = []
    for name, condition in contract.constraints.items():
        if name.endswith("_finite"):
            continue
        inside = {parts[0] for parts in names_in(condition)} & set(contract.names)
        if inside <= set(spec.columns):
            renamed = _renamed(condition, inside)
            rules.append((f"check:{name}", ~F.coalesce(F.expr(renamed), F.lit(True))))
    return rules


def _renamed(condition: str, names: set[str]) -> str:
    """The condition over the columns under which the values travel."""
    return re.sub(r"[a-z][a-z0-9_]*", lambda m: f"{_VALUE}{m.group()}" if m.group() in names else m.group(), condition)


def _stored(name: str, contract: Contract, settings: JobSettings, hidden: Hidden | None) -> Column:
    """The value as stored: hashed where the settings ask for it."""
    value = F.col(_VALUE + name)
    is_text = isinstance(contract.column(name).type, T.StringType)
    return hidden(value) if hidden is not None and name in settings.hash_columns and is_text else value


def shortened(names: Sequence[str]) -> str:
    """The names for a message, however many and long they are."""
    text = ", ".join(names)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}... ({len(names)} columns)"


def _unresolved(error: AnalysisException, contract: Contract, raw: Raw) -> UsageError | InputError:
    """The error in words of the mapping: an unknown column says what is there."""
    told = error.getMessageParameters() or {}
    table = contract.table.parts[-1]
    missing = told.get("objectName", "").strip("`")
    if (error.getCondition() or "").startswith("UNRESOLVED_COLUMN") and missing:
        files = [file for _, names in raw.groups for file in names]
        return InputError(
            f"{files[0]}{' and others' if len(files) > 1 else ''} (inputs.{raw.name}) lacks the column {missing}, "
            f"which tables.{table} uses.",
            fix=f"correct the file or the mapping; there are: {shortened(raw.columns)}",
        )
    return UsageError(f"tables.{table}: {str(error).splitlines()[0]}", fix="correct the expression in the mapping")
