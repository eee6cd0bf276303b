"""conf/base.yml: every setting with its default, comment and unit, printed from the settings themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from retail_spark.engine.catalogue import settings_class

_HEAD = """\
# Every setting with its default and unit. Printed by `retail-spark config --defaults`; do not edit.
# Copy the lines you change into a file of your own and give it with -c.
"""


def defaults_as_yaml() -> str:
    """The text of conf/base.yml."""
    return _HEAD + "\n".join(_lines(settings_class()(), depth=0)) + "\n"


def _lines(settings: BaseModel, *, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        key = field.alias or name
        if isinstance(value, BaseModel):
            yield from ([""] if depth == 0 else [])
            yield f"{indent}{key}:  # {field.description}"
            yield from _lines(value, depth=depth + 1)
        else:
            yield f"{indent}{key}: {_scalar(value)}  # {_comment(field)}"


def _comment(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
    return f"{field.description} [{unit}]" if unit else str(field.description)


def _scalar(value: Any) -> str:
    plain = _plain(value)
    text = yaml.safe_dump(plain, default_flow_style=True, width=10_000, allow_unicode=True).strip()
    return text.removesuffix("\n...").removesuffix("...").strip()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
