"""What a SQL expression of a mapping refers to and may call, and how it is evaluated without ANSI's exceptions."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from retail_spark.errors import UsageError
from retail_spark.ingest.functions import AGGREGATES, BEFORE_BRACKETS, OVER_FROM, SCALARS, UNSTABLE

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
      | (?P<text>[rR]'[^']*'|[rR]"[^"]*"|'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*")
      | (?P<quoted>`(?:[^`]|``)+`)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<number>\d[\w.]*)
      | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_TOLERANT = {
    "spark.sql.ansi.enabled": "false",
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    "spark.sql.legacy.javaCharsets": "true",  # windows-1252 and its like
    "spark.sql.legacy.codingErrorAction": "true",  # a byte that is no character becomes U+FFFD, which is a rule
}
_QUERIES = frozenset({"select", "table", "with", "values"})
_CLOCKS = frozenset({"current_date", "current_time", "current_timestamp", "current_user", "localtimestamp"})
"""Functions that are called without brackets where there is no column of the name."""


def names_in(expression: str) -> set[tuple[str, ...]]:
    """Dotted names in the expression, ('a',) or ('a', 'b'), without function names and string literals.

    Keywords come along (`case`, `when`): the caller compares with the columns there are.
    """
    tokens = [m for m in _TOKEN.finditer(expression) if m.lastgroup != "space"]
    found: set[tuple[str, ...]] = set()
    at = 0
    while at < len(tokens):
        if tokens[at].lastgroup not in ("word", "quoted"):
            at += 1
            continue
        parts = [_name(tokens[at])]
        at += 1
        while at + 1 < len(tokens) and tokens[at].group() == "." and tokens[at + 1].lastgroup in ("word", "quoted"):
            parts.append(_name(tokens[at + 1]))
            at += 2
        if not (at < len(tokens) and tokens[at].group() == "("):
            found.add(tuple(parts))
    return found


def quoted_name(name: str) -> str:
    """The name in backticks, for SQL."""
    return "`" + name.replace("`", "``") + "`"


def is_lenient(expression: str) -> bool:
    """True when the expression calls a try_ function: then NULL out of a text is meant."""
    words = [m.group().lower() for m in _TOKEN.finditer(expression) if m.lastgroup == "word"]
    return any(word.startswith("try_") for word in words)


def check_expression(sql: str, *, where: str, aggregates: bool = False) -> None:
    """Raises UsageError for an expression that is not a function of the row alone.

    Only functions of an allow-list may be called, and no table or file can be read: a mapping is settings, not code.
    """
    tokens = [m for m in _TOKEN.finditer(sql) if m.lastgroup != "space"]
    allowed = SCALARS | BEFORE_BRACKETS | (AGGREGATES if aggregates else frozenset())
    calls: list[str] = []  # what each open bracket belongs to
    for at, token in enumerate(tokens):
        text = token.group()
        before = tokens[at - 1] if at else None
        if token.lastgroup == "sign" and text in "'\"`":
            raise UsageError(f"{where}: a quote is left open in {_short(sql)}.", fix="close it")
        if text == "(":
            calls.append(_called(before, tokens[:at], where, allowed, aggregates=aggregates))
        elif text == ")":
            if not calls:
                raise UsageError(f"{where}: a bracket too many is closed in {_short(sql)}.", fix="open it")
            calls.pop()
        elif token.lastgroup == "word":
            _check_word(text.lower(), calls[-1] if calls else "", before, where)
    if calls:
        raise UsageError(f"{where}: a bracket is left open in {_short(sql)}.", fix="close it")
    if not tokens:
        raise UsageError(f"{where} is empty.", fix="write a SQL expression, or leave the key out")


def _called(
    token: re.Match[str] | None,
    before: list[re.Match[str]],
    where: str,
    allowed: frozenset[str],
    *,
    aggregates: bool,
) -> str:
    """The function that the bracket behind the token opens, '' for a plain one. Raises UsageError when not allowed."""
    if token is None or token.lastgroup not in ("word", "quoted"):
        if token is not None and token.group() in (")", "]"):
            raise UsageError(f"{where}: what stands before a bracket is no function's name.", fix="write an operator")
        return ""
    name = _name(token).lower()
    is_qualified = len(before) > 1 and before[-2].group() == "."
    if name in allowed and not is_qualified:
        return name
    if name in UNSTABLE:
        raise UsageError(f"{where}: {name}() differs at every run.", fix="take the value from the data")
    if name in AGGREGATES and not aggregates:
        raise UsageError(
            f"{where}: {name}() looks at many rows, an expression of a mapping at one.",
            fix="sum up by an input of from and group_by, and join it",
        )
    near = difflib.get_close_matches(name, sorted(allowed), n=1, cutoff=0.7)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(
        f"{where}: the function {name} has no place in a mapping.",
        fix=f"{hint}call functions of the row's own values, see docs/mapping.md",
    )


def _check_word(word: str, call: str, before: re.Match[str] | None, where: str) -> None:
    """Raises UsageError for a word that begins a query; in backticks it is a column."""
    is_part = before is not None and before.group() == "."
    if word in _CLOCKS and not is_part:
        raise UsageError(
            f"{where}: {word} differs at every run.",
            fix="take the value from the data; a column of that name is written in backticks",
        )
    is_query = word in _QUERIES or word == "over" or (word == "from" and call not in OVER_FROM)
    if is_query and not is_part:
        raise UsageError(
            f"{where}: an expression cannot hold a query or a window ({word}).",
            fix="join an input instead; a column of that name is written in backticks",
        )


def _short(sql: str) -> str:
    return repr(sql if len(sql) <= 80 else f"{sql[:80]}...")


@contextmanager
def tolerant(spark: SparkSession) -> Iterator[None]:
    """A bad value becomes NULL instead of ending the query, for plans built and run inside.

    Spark notes the ANSI flag in an expression when a plan is analysed, so building inside is what counts; running
    inside as well covers what is looked up late. Parquet timestamps in nanoseconds, which Spark refuses, become
    numbers (1 s = 1e9).
    """
    before = {name: spark.conf.get(name) for name in _TOLERANT}
    for name, value in _TOLERANT.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, old in before.items():
            spark.conf.set(name, old or "false")


def _name(token: re.Match[str]) -> str:
    text = token.group()
    return text[1:-1].replace("``", "`") if token.lastgroup == "quoted" else text
