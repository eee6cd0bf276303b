"""What products are called now."""

from __future__ import annotations

from collections.abc import Mapping


def newest_names(renamed: Mapping[str, str]) -> dict[str, str]:
    """Old id -> the id it has in the end, through all hops. Raises ValueError where the hops lead in a circle."""
    found = {}
    for old in renamed:
        name, passed = old, {old}
        while name in renamed:
            name = renamed[name]
            if name in passed:
                raise ValueError(f"renamed leads in a circle at product {name!r}")
            passed.add(name)
        found[old] = name
    return found
