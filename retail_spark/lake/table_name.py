"""Table names: parsed once, quoted always. Nothing else is ever interpolated into SQL as a name."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from retail_spark.errors import UsageError

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PART = re.compile(r"`((?:[^`]|``)+)`|([A-Za-z_][A-Za-z0-9_]*)")
_IN_FOLDER = re.compile(r"[a-z][a-z0-9_]{0,127}")


@dataclass(frozen=True)
class TableName:
    """A name of one to three parts: table, schema.table or catalog.schema.table."""

    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Reads `a.b.c`, each part plain or in backticks (a backtick inside is doubled).

        Raises UsageError for anything else: empty parts, separators outside backticks, control characters.
        """
        parts: list[str] = []
        at = 0
        while True:
            found = _PART.match(text, at)
            if found is None:
                raise _refused(text)
            quoted, plain = found.groups()
            parts.append(quoted.replace("``", "`") if quoted is not None else plain)
            at = found.end()
            if at == len(text):
                break
            if text[at] != ".":
                raise _refused(text)
            at += 1
        return cls.of(*parts)

    @classmethod
    def of(cls, *parts: str) -> TableName:
        """Builds a name from parts that are already apart. Raises UsageError for unusable parts."""
        shown = ".".join(parts)
        if not 1 <= len(parts) <= 3:
            raise _refused(shown)
        for part in parts:
            has_control = any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in part)
            if not part or has_control or len(part) > 255:
                raise _refused(shown)
        return cls(parts)

    @property
    def quoted(self) -> str:
        """The name for SQL: every part in backticks."""
        return ".".join("`" + part.replace("`", "``") + "`" for part in self.parts)

    @property
    def folders(self) -> tuple[str, str]:
        """(schema, table) as folder names of a path lake. Raises UsageError unless both are plain lower case."""
        if len(self.parts) != 2 or not all(_IN_FOLDER.fullmatch(part) for part in self.parts):
            raise UsageError(
                f"{self} cannot be a folder of a path lake.",
                fix="use schema.table in lower-case letters, digits and underscores",
            )
        return self.parts[0], self.parts[1]

    def __str__(self) -> str:
        return ".".join(p if _PLAIN.fullmatch(p) else "`" + p.replace("`", "``") + "`" for p in self.parts)


def _refused(text: str) -> UsageError:
    return UsageError(
        f"{text!r} is not a table name.",
        fix="write table, schema.table or catalog.schema.table; put a part with other characters in backticks",
    )
