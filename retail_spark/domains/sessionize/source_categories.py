"""What kind of site a source is: search, shopping, social or video, by the list that Google publishes.

The list is data (source_categories.json, which names its edition). `listed` is Google's, as it is; `added` are sites
and addresses that it lacks; `any_country` are names that are the same site under every country's ending, such as
amazon.pl.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pyspark.sql import Column
from pyspark.sql import functions as F

SEARCH, SHOPPING, SOCIAL, VIDEO = "search", "shopping", "social", "video"
_MOST_LABELS = 5
"""No name of the list has more labels."""
_SECOND_LEVEL = ("ac", "co", "com", "edu", "gob", "gov", "ne", "net", "or", "org")
"""Labels that stand before a country's own where no owner does: amazon.co.uk."""


@dataclass(frozen=True)
class Sources:
    """Category -> names, lower case."""

    edition: str
    names: dict[str, frozenset[str]]
    any_country: dict[str, frozenset[str]]

    def category(self, source: str) -> str | None:
        """The category of a source: its own, else that of its longest end that begins at a label, else of its owner."""
        labels = source.lower().split(".")
        for start in range(max(len(labels) - _MOST_LABELS, 0), max(len(labels) - 1, 1)):
            found = _of(".".join(labels[start:]), self.names)
            if found is not None:
                return found
        return _of(owner_of(labels), self.any_country)


def _of(name: str | None, categories: dict[str, frozenset[str]]) -> str | None:
    return next((category for category, names in categories.items() if name in names), None)


def owner_of(labels: list[str]) -> str | None:
    """The label that somebody owns: of www.amazon.co.uk amazon, of target.bank.example bank; None for a mere name."""
    if len(labels) < 2:
        return None
    is_second = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
    return labels[-3] if is_second else labels[-2]


@cache
def sources() -> Sources:
    """The list that is shipped."""
    told = json.loads((files("retail_spark.domains.sessionize") / "source_categories.json").read_text(encoding="utf-8"))
    names = {kind: frozenset([*told["listed"][kind], *told["added"][kind]]) for kind in told["listed"]}
    return Sources(told["edition"], names, {kind: frozenset(own) for kind, own in told["any_country"].items()})


def category_of(source: Column) -> Column:
    """`Sources.category` of a lower-case column, in Spark.

    The names stand in the plan once, as sets that are looked up by hash, whatever the number of ends that are tried.
    """
    known = sources()
    labels = F.split(source, r"\.")
    count = F.size(labels)
    ends = [F.when(count >= n, F.substring_index(source, ".", -n)) for n in range(_MOST_LABELS, 1, -1)]
    country, second = (F.try_element_at(labels, F.lit(place)) for place in (-1, -2))
    is_second = (count > 2) & (F.length(country) == 2) & second.isin(*_SECOND_LEVEL)
    owner = F.when(is_second, F.try_element_at(labels, F.lit(-3))).otherwise(second)
    found = F.transform(F.array(source, *ends), lambda name: _is_of(name, known.names))
    return F.coalesce(F.try_element_at(F.array_compact(found), F.lit(1)), _is_of(owner, known.any_country))


def _is_of(name: Column, categories: dict[str, frozenset[str]]) -> Column:
    found = F.lit(None).cast("string")
    for category, names in categories.items():
        if names:
            found = F.when(name.isin(*sorted(names)), F.lit(category)).otherwise(found)
    return found
