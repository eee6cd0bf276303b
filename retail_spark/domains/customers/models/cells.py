"""Sufficient counts: how many customers share a frequency, a recency and an age."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """One entry a cell: repeat purchases x, time of the last one t_x, time observed T (both since the first purchase,
    in weeks), and the customers in it."""

    x: Array
    t_x: Array
    age: Array
    customers: Array

    @property
    def total(self) -> float:
        """All customers."""
        return float(self.customers.sum())

    def resampled(self, rng: np.random.Generator) -> Cells:
        """As many customers drawn with replacement: a bootstrap of customers, by their counts."""
        drawn = rng.multinomial(round(self.total), self.customers / self.customers.sum()).astype(np.float64)
        return Cells(self.x, self.t_x, self.age, drawn)
