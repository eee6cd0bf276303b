"""JSON texts to raw rows: one object a row, however many stand on a line or in a document."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.errors import InputError
from retail_spark.ingest.contents import distinct

_SEVERAL = "\u0002several"
_MORE = r"\}\s*,?\s*\{|[^}\s]\s*$"
"""Signs of a text that may hold more than one object, or something behind it."""
_GAPS = " \t\r\n,\ufeff"
_MOST_KEYS = 5000
_READ = json.JSONDecoder(strict=False)


def split_objects(text: str) -> list[str]:
    """The objects of a text, each as it stands: those of an array, or one behind another.

    What is none is a part of its own, to be told as malformed.

    >>> split_objects('{"a": 1} {"a": 2.50}')
    ['{"a": 1}', '{"a": 2.50}']
    >>> split_objects('[{"a": 1}, {"b": [2]}]')
    ['{"a": 1}', '{"b": [2]}']
    """
    at, body = 0, text.strip(_GAPS)
    parts: list[str] = []
    if body.startswith("["):
        body = body[1:-1] if body.endswith("]") else body[1:]
    while at < len(body):
        if body[at] in _GAPS:
            at += 1
            continue
        try:
            _, end = _READ.raw_decode(body, at)
        except ValueError:
            return [*parts, body[at:]] if parts else [text]
        parts.append(body[at:end])
        at = end
    return parts


def one_a_row(lines: DataFrame, *, carried: tuple[str, ...]) -> DataFrame:
    """One row an object of the column `value`; the columns carried come along."""
    split = F.udf(split_objects, "array<string>")
    return lines.select(*carried, F.explode(split("value")).alias("value"))


def may_hold_several(value: Column) -> Column:
    """True for a text in which there may be more than one object."""
    return value.rlike(_MORE)


def keys_of(maps: DataFrame, column: str, *, file: str) -> dict[str, list[str]]:
    """Name of each raw column -> the keys it is read from. Raises InputError for too many keys.

    Keys that differ by case alone are one column, unless an object has several of them.
    """
    rows = maps.select(F.explode(F.map_keys(column)).alias("key")).distinct().orderBy("key").limit(_MOST_KEYS + 1)
    found = [row["key"] for row in rows.collect()]
    if len(found) > _MOST_KEYS:
        raise InputError(f"the JSON objects have more than {_MOST_KEYS:,} different keys.", fix=f"check {file}")
    alike: dict[str, list[str]] = defaultdict(list)
    for key in found:
        alike[key.lower()].append(key)
    repeated = [keys for keys in alike.values() if len(keys) > 1]
    if repeated and not maps.where(_has_two(column, repeated)).isEmpty():
        return dict(zip(distinct(found), [[key] for key in found], strict=True))
    names = distinct([keys[0] for keys in alike.values()])
    return dict(zip(names, alike.values(), strict=True))


def _has_two(column: str, repeated: list[list[str]]) -> Column:
    """True for an object with two keys that differ by case alone."""

    def has(keys: list[str]) -> Column:
        there = [F.map_contains_key(column, key).cast("int") for key in keys]
        return reduce(lambda a, b: a + b, there) > 1

    return reduce(lambda a, b: a | b, [has(keys) for keys in repeated])
