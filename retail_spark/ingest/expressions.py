"""What a SQL expression of a mapping refers to, and how it is evaluated without ANSI's exceptions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

_TOKEN = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*")
      | (?P<quoted>`(?:[^`]|``)+`)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<number>\d[\w.]*)
      | (?P<space>\s+)
      | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_TOLERANT = {"spark.sql.ansi.enabled": "false", "spark.sql.legacy.parquet.nanosAsLong": "true"}


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


def is_lenient(expression: str) -> bool:
    """True when the expression calls a try_ function: then NULL out of a text is meant."""
    words = [m.group().lower() for m in _TOKEN.finditer(expression) if m.lastgroup == "word"]
    return any(word.startswith("try_") for word in words)


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
