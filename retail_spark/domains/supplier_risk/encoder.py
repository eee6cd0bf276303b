"""Features as the numbers of a matrix, in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclass(frozen=True)
class Feature:
    """A feature: its name, the group that its contributions are told under, and how it is stored."""

    name: str
    group: str
    is_text: bool = False


@dataclass(frozen=True)
class Encoder:
    """Turns features into the numbers of a matrix: a text becomes its place among the known values, -1 for others.

    `values` is feature name -> its known values, sorted. What is missing stays missing (NaN).
    """

    features: tuple[Feature, ...]
    values: Mapping[str, Sequence[str]]

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names, in the order of the matrix' columns."""
        return tuple(feature.name for feature in self.features)

    def matrix(self, frame: pd.DataFrame) -> npt.NDArray[np.float32]:
        """One row per row of the frame, one column per feature."""
        found = np.empty((len(frame), len(self.features)), dtype=np.float32)
        for at, feature in enumerate(self.features):
            given = frame[feature.name]
            if feature.is_text:
                place = {value: float(n) for n, value in enumerate(self.values[feature.name])}
                codes = given.map(place).fillna(-1.0).where(given.notna(), np.nan)
                found[:, at] = codes.to_numpy(dtype=np.float32)
            else:
                found[:, at] = pd.to_numeric(given, errors="coerce").to_numpy(dtype=np.float32)
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON values; `from_json` reads them back."""
        features = [[f.name, f.group, f.is_text] for f in self.features]
        return {"features": features, "values": {name: list(known) for name, known in self.values.items()}}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Encoder:
        """What `to_json` wrote."""
        return cls(tuple(Feature(*entry) for entry in given["features"]), given["values"])
