"""Secrets by reference. A setting names where a secret lies; its value is fetched when used and never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from retail_spark.errors import UsageError

MASK = "***"
_REFERENCE = re.compile(r"(env|file|databricks):(.+)", re.DOTALL)
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/@\s:]*):([^/@\s]+)@")
_SECRET_PARAMETER = re.compile(r"(?i)\b(password|passwd|pwd|token|secret|access_?key|api_?key|sig)=([^&;\s]+)")


class SecretRef:
    """A reference to a secret: env:NAME, file:PATH or databricks:SCOPE/KEY. Its repr shows nothing."""

    __slots__ = ("_scheme", "_where")

    def __init__(self, reference: str) -> None:
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise ValueError("a secret is given by reference: env:NAME, file:PATH or databricks:SCOPE/KEY")
        self._scheme, self._where = found.groups()

    def reveal(self) -> str:
        """The secret itself. Raises UsageError that names the reference when nothing is there."""
        sources: dict[str, Callable[[str], str]] = {
            "env": _from_env,
            "file": _from_file,
            "databricks": _from_databricks,
        }
        return sources[self._scheme](self._where)

    @property
    def reference(self) -> str:
        """The reference, for writing settings back; not a secret, but not shown by repr either."""
        return f"{self._scheme}:{self._where}"

    def __repr__(self) -> str:
        return f"SecretRef({MASK})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretRef) and other.reference == self.reference

    def __hash__(self) -> int:
        return hash(self.reference)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        def build(value: Any) -> SecretRef:
            if isinstance(value, SecretRef):
                return value
            if not isinstance(value, str):
                raise ValueError("a secret is given by reference: env:NAME, file:PATH or databricks:SCOPE/KEY")
            return cls(value)

        return core_schema.no_info_plain_validator_function(
            build, serialization=core_schema.plain_serializer_function_ser_schema(lambda _: MASK)
        )


def masked(text: str) -> str:
    """The text without passwords in URLs and without values of parameters that look secret."""
    text = _PASSWORD_IN_URL.sub(rf"\1:{MASK}@", text)
    return _SECRET_PARAMETER.sub(rf"\1={MASK}", text)


def _from_env(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise UsageError(f"the secret env:{name} is empty.", fix=f"set the environment variable {name}")
    return value


def _from_file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(
            f"the secret file:{path} cannot be read ({error.strerror}).", fix="check path and rights"
        ) from error


def _from_databricks(where: str) -> str:
    scope, _, key = where.partition("/")
    from databricks.sdk.runtime import dbutils

    return str(dbutils.secrets.get(scope=scope, key=key))
