"""Settings from their layers: defaults < files given by -c < environment < --set. Refuses with the key's path."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from retail_spark.config.secrets import credentials_in, masked, masked_values
from retail_spark.config.section import Section, Settings
from retail_spark.engine.catalogue import settings_class
from retail_spark.errors import UsageError

PREFIX = "RETAIL_SPARK__"
Path_ = tuple[str, ...]


_ADDRESS = re.compile(r"(?i)\s*(?:jdbc:|[a-z][a-z0-9+.-]*://)")
_REFERENCES = (
    ("jdbc", "give jdbc.user, and jdbc.password by reference: env:NAME, file:PATH or databricks:SCOPE/KEY"),
    ("mlflow", "give mlflow.token, or the whole address, by reference: env:NAME"),
    ("s3", "give the keys by the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ("", "leave them out of the address, and give them by the environment or by a reference: env:NAME, file:PATH"),
)
"""Part of an address or key -> where its credentials belong."""


class _UniqueKeys(yaml.SafeLoader):
    """YAML that refuses a key given twice, instead of letting the last one win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys are all different."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def resolve(
    *, files: Sequence[str | Path] = (), environ: Mapping[str, str] | None = None, sets: Sequence[str] = ()
) -> Settings:
    """The settings of all layers. Raises UsageError that names layer, key path and the nearest right name."""
    data: dict[str, Any] = {}
    origins: dict[Path_, str] = {}
    for file in files:
        layer = _read_file(Path(file))
        _check_one_source(data, layer, file)
        _merge(data, layer, origins, str(file))
    for path, text, origin in [*_from_environ(environ or {}), *_from_sets(sets)]:
        _put(data, path, _parsed(path, text, origin))
        origins[path] = origin
    try:
        settings = settings_class().model_validate(data)
    except ValidationError as error:
        raise _explained(error, origins) from None
    _check_addresses(data, origins)
    return settings


def shown(settings: Settings) -> str:
    """The resolved settings as YAML, secrets masked; an empty source mapping is left out."""
    data = settings.model_dump(mode="json", by_alias=True, exclude_defaults=False)
    data = {key: value for key, value in data.items() if value not in ("", {}, None)}
    return masked(yaml.safe_dump(masked_values(data), sort_keys=False, allow_unicode=True))


def _check_addresses(data: Mapping[str, Any], origins: Mapping[Path_, str]) -> None:
    """Refuses credentials in an address: Spark, drivers and file systems write addresses into their logs."""
    for path, value in _leaves(data):
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str) and _ADDRESS.match(text) and credentials_in(text):
                key = ".".join(path)
                origin = next((origins[path[:n]] for n in range(len(path), 0, -1) if path[:n] in origins), "")
                fixes = (fix for part, fix in _REFERENCES if part in text.lower() or part in key)
                raise UsageError(
                    f"{origin}: {key} carries credentials in its address.", fix=next(fixes, _REFERENCES[-1][1])
                )


def _read_file(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}.", fix="give -c a settings file that exists") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 (byte {error.start}).", fix="save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}", fix="mend that line") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise UsageError(f"{path} holds {type(data).__name__}, not sections.", fix="write section: then key: value")
    return data


def _check_one_source(data: Mapping[str, Any], layer: Mapping[str, Any], file: str | Path) -> None:
    before, now = data.get("source"), layer.get("source")
    if before and now and before != now:
        raise UsageError(
            f"{file} maps the source {now!r}, an earlier file maps {before!r}.", fix="run one source at a time"
        )


def _merge(into: dict[str, Any], layer: Mapping[str, Any], origins: dict[Path_, str], origin: str) -> None:
    for path, value in _leaves(layer):
        _put(into, path, value)
        origins[path] = origin


def _leaves(data: Mapping[str, Any], at: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    for key, value in data.items():
        path = (*at, str(key))
        if isinstance(value, dict) and value:
            yield from _leaves(value, path)
        elif not (value is None and _is_section(path)):
            yield path, value


def _put(data: dict[str, Any], path: Path_, value: Any) -> None:
    for key in path[:-1]:
        inner = data.get(key)
        if not isinstance(inner, dict):
            inner = data[key] = {}
        data = inner
    data[path[-1]] = value


def _from_environ(environ: Mapping[str, str]) -> list[tuple[Path_, str, str]]:
    found = sorted((name, text) for name, text in environ.items() if name.startswith(PREFIX))
    return [(tuple(name[len(PREFIX) :].lower().split("__")), text, f"environment {name}") for name, text in found]


def _from_sets(sets: Sequence[str]) -> list[tuple[Path_, str, str]]:
    parsed = []
    for given in sets:
        key, equals, text = given.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {given!r} is not key=value.", fix="write --set section.key=value")
        parsed.append((_whole(tuple(key.strip().split("."))), text, f"--set {key}"))
    return parsed


def _whole(path: Path_) -> Path_:
    """The path; what follows the name of a mapping of texts, such as spark.conf, is one key, dots and all."""
    end = next((n for n in range(1, len(path)) if _is_texts(path[:n])), len(path))
    return (*path[:end], ".".join(path[end:])) if end < len(path) else path


def _parsed(path: Path_, text: str, origin: str) -> Any:
    """The text as it is, unless it is plainly YAML: a list, a map, a number, a boolean, nothing, or in quotes.

    Where the setting is text, a number is text too (so that 007 and 1e3 stay themselves), and so is [1].
    """
    if text[:1] not in ("[", "{", '"', "'"):
        text = text.strip()
    field = _field(path)
    is_text = _is_texts(path[:-1]) or (field is not None and str in _choices(field.annotation))
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        if is_text or text[:1] not in ("[", "{"):
            return text
        raise UsageError(f"{origin}: {masked(text)!r} is not a YAML value.", fix="quote it") from error
    is_quoted = isinstance(value, str) and text[:1] in ('"', "'") and text[-1:] == text[:1]
    is_plain = isinstance(value, bool | int | float) or (isinstance(value, dict | list) and text[:1] in ("[", "{"))
    is_nothing = text in ("", "null") or (value is None and not is_text)
    if is_nothing or is_quoted or (is_plain and not is_text):
        return value
    return text


def _is_texts(path: Path_) -> bool:
    field = _field(path)
    return field is not None and field.annotation == dict[str, str]


def _choices(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _field(path: Path_) -> FieldInfo | None:
    model: Any = settings_class()
    field: FieldInfo | None = None
    for key in path:
        if get_origin(model) is dict:  # the key is a name of the user's own, such as that of an input
            model, field = get_args(model)[1], None
            continue
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return None
        field = _by_name(model).get(key)
        if field is None:
            return None
        model = _model_of(field)
    return field


def _model_of(field: FieldInfo) -> Any:
    """What a setting's own settings are named by: a section, or a mapping of names to sections."""
    choices = _choices(field.annotation)
    return next((c for c in choices if isinstance(c, type) or get_origin(c) is dict), None)


def _by_name(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _is_section(path: Path_) -> bool:
    field = _field(path)
    kind = field.annotation if field is not None else None
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _explained(error: ValidationError, origins: Mapping[Path_, str]) -> UsageError:
    first = error.errors(include_url=False)[0]
    path = tuple(str(part) for part in first["loc"])
    key = ".".join(path)
    where = next((origins[path[:n]] for n in range(len(path), 0, -1) if path[:n] in origins), None) or next(
        (origin for p, origin in origins.items() if p[: len(path)] == path), "the settings"
    )
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        return UsageError(f"{where}: there is no setting {key!r}{more}.", fix=_moved(path) or _nearest(path))
    unit = _unit(path)
    unit_words = f", in {unit}, a plain number without the unit" if unit else ""
    said = first["msg"].removeprefix("Value error, ")
    given = "" if "secret" in said else f", got {masked(repr(first['input']))[:80]}"
    return UsageError(f"{where}: {key}: {said}{given}{more}.", fix=f"give {key} a value that fits{unit_words}")


def _unit(path: Path_) -> str:
    field = _field(path)
    extra = field.json_schema_extra if field is not None else None
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def _moved(path: Path_) -> str:
    """Says where a key of an earlier version stands now; empty for a key that never was."""
    for at in range(len(path)):
        section = _model_at(path[:at]) if at else settings_class()
        if section is None or not issubclass(section, Section):
            continue
        old = ".".join(path[at:])
        now = [new for key, new in section.MOVED.items() if key == old or key.startswith(f"{old}.")]
        if now:
            return f"write {', '.join('.'.join((*path[:at], new)) for new in now)}, as it is called since 0.2.0"
    return ""


def _nearest(path: Path_) -> str:
    """Says the nearest right name: in the same section first, then anywhere."""
    model = _model_at(path[:-1])
    siblings = sorted(_by_name(model)) if model is not None else []
    close = difflib.get_close_matches(path[-1], siblings, n=1, cutoff=0.5)
    if close:
        right = (*path[:-1], close[0])
        unit = _unit(right)
        return f"did you mean {'.'.join(right)}{f', in {unit}' if unit else ''}?"
    everywhere = {name: ".".join(p) for p, name in _all_keys(settings_class())}
    close = difflib.get_close_matches(path[-1], sorted(everywhere), n=1, cutoff=0.7)
    if close:
        return f"did you mean {everywhere[close[0]]}?"
    return f"use one of: {', '.join(siblings)}" if siblings else "see conf/base.yml"


def _model_at(path: Path_) -> type[BaseModel] | None:
    """The section at that path; the names in a mapping of sections, such as inputs, are free."""
    model: type[BaseModel] | None = settings_class()
    kinds: tuple[Any, ...] = (model,)
    for key in path:
        of_names = next((get_args(kind)[1] for kind in kinds if get_origin(kind) is dict), None)
        if of_names is None:
            field = _by_name(model).get(key) if model is not None else None
            kinds = _choices(field.annotation) if field is not None else ()
        else:
            kinds = _choices(of_names)
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    return model


def _all_keys(model: type[BaseModel], at: Path_ = ()) -> Iterator[tuple[Path_, str]]:
    for name, field in _by_name(model).items():
        yield (*at, name), name
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _all_keys(kind, (*at, name))
