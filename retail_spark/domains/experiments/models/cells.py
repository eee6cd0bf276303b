"""What the analysis stands on: exact sums by group, and what was counted of each experiment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property

from retail_spark.stats.delta_method import VARIABLES
from retail_spark.stats.moments import ExactSums


@dataclass(frozen=True)
class Cell:
    """The units of one variant and stratum that entered a metric on one day."""

    experiment_id: str
    metric: str
    variant: str
    stratum: str | None
    entered_on: date
    sums: ExactSums
    pending: int = 0
    without_outcome: int = 0
    with_early: int = 0
    huge: int = 0


@dataclass(frozen=True)
class Design:
    """An experiment as it was assigned."""

    experiment_id: str
    control: str
    units: Mapping[str, int]
    """Variant -> units in it alone."""
    weights: Mapping[str, float]
    """Variant -> intended share, in any unit."""
    crossed: int = 0
    """Units in two variants."""
    split_clusters: int = 0
    """Clusters in two variants."""
    is_clustered: bool = False
    is_stratified: bool = False
    planned_units: int = 0

    @property
    def others(self) -> tuple[str, ...]:
        """The variants that are compared with the control."""
        return tuple(sorted(set(self.units) - {self.control}))


@dataclass(frozen=True)
class Measure:
    """What the analysis must know of a metric."""

    kind: str = "mean"
    has_covariate: bool = False
    is_guardrail: bool = False
    lower_is_better: bool = False


@dataclass(frozen=True)
class Rules:
    """How sure one must be; see the settings."""

    alpha: float = 0.05
    tuned_for_units: int = 10_000
    first_look_units: int = 100
    ratio_blocks_below: float = 0.001
    ratio_warns_below: float = 0.01
    max_crossed_share: float = 0.01


@dataclass(frozen=True)
class Group:
    """The cells of one variant, added up: whole, and by stratum."""

    cells: tuple[Cell, ...] = field(default=())

    @cached_property
    def by_day(self) -> dict[date, tuple[Cell, ...]]:
        """Day -> the cells of those that entered on it."""
        found: dict[date, list[Cell]] = {}
        for cell in self.cells:
            found.setdefault(cell.entered_on, []).append(cell)
        return {day: tuple(cells) for day, cells in found.items()}

    def on(self, day: date) -> Group:
        """Those that entered on a day."""
        return Group(self.by_day.get(day, ()))

    def grown(self, other: Group) -> Group:
        """Both together, a cell for each stratum."""
        first: dict[str | None, Cell] = {}
        for cell in (*self.cells, *other.cells):
            before = first.get(cell.stratum)
            first[cell.stratum] = cell if before is None else replace(before, sums=before.sums + cell.sums)
        return Group(tuple(first.values()))

    @cached_property
    def sums(self) -> ExactSums:
        """All units together."""
        return added(cell.sums for cell in self.cells)

    @property
    def by_stratum(self) -> dict[str, ExactSums]:
        """Stratum -> its units; those without one are a stratum of their own."""
        names = sorted({cell.stratum or "" for cell in self.cells})
        return {name: added(c.sums for c in self.cells if (c.stratum or "") == name) for name in names}


def added(parts: Iterable[ExactSums]) -> ExactSums:
    """The sums of all parts."""
    total = ExactSums.none(len(VARIABLES))
    for part in parts:
        total += part
    return total
