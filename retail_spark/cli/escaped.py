"""Text from data on a terminal: what could steer it is shown as an escape, and a very long text is cut."""

from __future__ import annotations

import unicodedata

_STEERS = ("Cc", "Cf", "Cs", "Zl", "Zp")
_MOST = 4000


def visible(text: str, *, most: int = _MOST) -> str:
    """The text on one line: control characters, line breaks and marks of direction as escapes, its end cut off."""
    shown = text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"
    if shown.isprintable():
        return shown
    return "".join(_escaped(c) if unicodedata.category(c) in _STEERS else c for c in shown)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
