"""pandas frames on their way into Spark: right columns, right types, NULL for what is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def names_of(schema: str) -> list[str]:
    """The column names of a schema such as "a string, b double"."""
    return [part.split()[0] for part in schema.split(", ")]


def fitted_to(frame: pd.DataFrame, schema: str) -> pd.DataFrame:
    """The frame with just the schema's columns; texts and arrays that are missing are None, numbers NaN."""
    found = {}
    for name, kind in (part.split() for part in schema.split(", ")):
        column: Any = frame[name] if name in frame else pd.Series([None] * len(frame), index=frame.index, dtype=object)
        if kind == "double":
            found[name] = column.astype("float64")
        elif kind in ("string", "array<double>"):
            known = [value if isinstance(value, str) or not _is_missing(value) else None for value in column]
            found[name] = pd.Series(known, index=frame.index, dtype=object)
        else:
            found[name] = column
    return pd.DataFrame(found, columns=names_of(schema))


def repeated(array: npt.NDArray[np.float64], times: int) -> pd.Series[Any]:
    """A column that holds the same array in every row; its index counts from 0."""
    return pd.Series(list(np.tile(array, (times, 1))), dtype=object)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)
