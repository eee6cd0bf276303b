"""Secrets by reference. A setting names where a secret lies; its value is fetched when used and never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from retail_spark.errors import UsageError

MASK = "***"
_REFERENCE = re.compile(r"(env|file|databricks):(.+)", re.DOTALL)
_SECRET_NAME = (
    r"[\w.\-]*(?:passw(?:or)?d|pwd|passphrase|passcode|token|secret|credential|signature"
    r"|(?:access|account|api|private|shared|sas)[._-]?key|secret[._-]?key|(?<![a-z])sig(?![a-z])|authorization|(?<![a-z])salt)[\w.\-]*"
)
_IS_SECRET_NAME = re.compile(f"(?i){_SECRET_NAME}")
_ASSIGNED = re.compile(
    rf"(?i)(?P<head>(?P<quote>[\"']?)\b{_SECRET_NAME}(?P=quote)\s*[=:]\s*)"
    r"(?:(?P<kind>bearer|basic|token|negotiate)\s+)?(?P<value>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^&;\s\"'{}\[\]]+)"
)
_OPTION = re.compile(rf"(?i)(?P<head>(?<!\S)--?{_SECRET_NAME}\s+)(?P<value>[^\s-]\S*)")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+(?!\*+(?![A-Za-z0-9._~+/=*-]))[A-Za-z0-9._~+/=*-]{6,}")
_USER_IN_URL = re.compile(r"(?i)\b(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<user>[^\s\"'<>/@?#]+)@")
_PASSWORD_IN_URL = re.compile(r"(?<=://)(?P<user>[^\s\"'/@:]*):(?P<password>[^\s\"'<>]+)@")
_ORACLE = re.compile(r"(?i)(?P<head>jdbc:oracle:\w+:[^/\s@]*/)[^\s\"']+@")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_CONTAINERS = ("abfs", "abfss", "wasb", "wasbs")
"""In these addresses the word before the @ is a container, not a person."""
_REFERRED = ("env:", "file:", "databricks:", MASK)
_NOTHING = ("null", "None", "''", '""')
_LEAST = 6
_revealed: set[str] = set()
"""Every secret that this process has fetched, so that no text shows one, whatever stands around it."""


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
        secret = sources[self._scheme](self._where)
        if len(secret) >= _LEAST:
            _revealed.add(secret)
        return secret

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
    """The text without secrets: those that were fetched, passwords in addresses, values of names that tell of one.

    The kinds: user:password@ and user@ in addresses, with any sign in the password; Oracle's user/password@;
    name=value, name: value, 'name': 'value' and --name value, where the name speaks of a password, token, secret, key
    or signature; Bearer and Basic; private keys in PEM. A reference (env:NAME) is no secret and stays.
    """
    for secret in sorted(_revealed, key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _PEM.sub(MASK, text)
    text = _ORACLE.sub(rf"\g<head>{MASK}@", text)
    text = _PASSWORD_IN_URL.sub(rf"\g<user>:{MASK}@", text)
    text = _USER_IN_URL.sub(_without_user, text)
    text = _ASSIGNED.sub(_without_value, text)
    text = _OPTION.sub(rf"\g<head>{MASK}", text)
    return _BEARER.sub(rf"\1 {MASK}", text)


def masked_values(value: Any) -> Any:
    """Settings as plain values, with every text masked, and whole what stands under a name that tells of a secret."""
    if isinstance(value, Mapping):
        return {
            key: MASK if isinstance(item, str) and item and _tells_secret(str(key), item) else masked_values(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked_values(item) for item in value]
    return masked(value) if isinstance(value, str) else value


def credentials_in(address: str) -> bool:
    """True for an address that carries a password or a key of its own."""
    return masked(address) != address


def _tells_secret(name: str, value: str) -> bool:
    return _IS_SECRET_NAME.fullmatch(name) is not None and not value.startswith(_REFERRED)


def _without_value(found: re.Match[str]) -> str:
    value, kind = found.group("value"), found.group("kind")
    quote = value[0] if value[0] in "\"'" else ""
    if value.strip("\"'").startswith(_REFERRED) or value in _NOTHING:
        return found.group(0)
    return f"{found.group('head')}{f'{kind} ' if kind else ''}{quote}{MASK}{quote}"


def _without_user(found: re.Match[str]) -> str:
    user, scheme = found.group("user"), found.group("scheme").lower()
    if scheme in _CONTAINERS or user.endswith(f":{MASK}"):
        return found.group(0)
    return f"{found.group('scheme')}://{MASK}@"


def _from_env(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise UsageError(f"the secret env:{name} is empty.", fix=f"set the environment variable {name}")
    return value


def _from_file(path: str) -> str:
    try:
        data = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise UsageError(
            f"the secret file:{path} cannot be read ({error.strerror}).", fix="check path and rights"
        ) from error
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise UsageError(f"the secret file:{path} is no text in UTF-8 or UTF-16.", fix="save it as UTF-8") from error


def _from_databricks(where: str) -> str:
    scope, _, key = where.partition("/")
    from databricks.sdk.runtime import dbutils

    return str(dbutils.secrets.get(scope=scope, key=key))
