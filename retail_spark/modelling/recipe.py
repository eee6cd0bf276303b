"""Recipes: all that is needed to train the same model again on other data. A champion is known by its recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from typing import Any, ClassVar, Self, get_type_hints


class Recipe:
    """A frozen dataclass of JSON values, of tuples of them, and of further such dataclasses.

    A field with a default may be missing in the recipe of an older version: the default is what held for it.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Trees(Recipe):
    ...     depth: int
    ...     columns: tuple[str, ...] = ()
    >>> Trees.from_json({"depth": 3, "columns": ["price"]})
    Trees(depth=3, columns=('price',))
    >>> Trees.from_json({"depth": 3, "width": 2})
    Traceback (most recent call last):
    ValueError: the recipe of Trees is of another version: unknown width
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of its fields."""
        return tuple(field.name for field in fields(cls))

    def to_json(self) -> dict[str, Any]:
        """JSON values; `from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The recipe of a registered model. Raises ValueError for one that this version does not understand."""
        needed = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}
        wrong = [f"unknown {name}" for name in sorted(set(values) - set(cls.names()))]
        wrong += [f"without {name}" for name in sorted(needed - set(values))]
        if wrong:
            raise ValueError(f"the recipe of {cls.__name__} is of another version: {', '.join(wrong)}")
        kinds = get_type_hints(cls)
        return cls(**{name: _read(value, kinds[name]) for name, value in values.items()})


def _read(value: Any, kind: Any) -> Any:
    if is_dataclass(kind) and isinstance(kind, type) and isinstance(value, Mapping):
        return kind(**value)
    return _frozen(value)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
