"""What all series of a run have in common: recipe, periods, calendar; and how packed rows become a panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from retail_spark.domains.forecast.features.matrix import Codes, Days
from retail_spark.domains.forecast.recipe import Recipe
from retail_spark.domains.forecast.series.availability import open_shares
from retail_spark.domains.forecast.series.panel import KEYS, Array, Panel, to_panel
from retail_spark.domains.forecast.series.periods import easter
from retail_spark.tables.values import QUANTILES

ALL = "*"
MARK = "fingerprint"
"""Column of packed series and of what was tried: all that the local models of a product are told, as a hash."""
KEPT = "kept"
"""Column of packed series: what the local models are known to say, an array a series, or NULL."""
SHARES = tuple(QUANTILES.values())
Pools = Mapping[str, Array]
"""Class (ALL for every one) -> (horizon, SHARES) quantiles of errors, by the scale of the series; NaN: too few."""


@dataclass(frozen=True)
class Frame:
    """What every batch of series must know: the recipe, the time, the calendar."""

    recipe: Recipe
    end: int
    periods: int
    events: Sequence[int] = ()
    """Periods that hold a holiday of all stores."""
    codes: Codes = field(default_factory=dict)
    buckets: int = 8
    """Groups of products, and Spark partitions they are spread over."""
    store_events: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Store -> its periods that hold a holiday, where they are not those of all."""

    @property
    def cuts(self) -> tuple[int, ...]:
        return self.recipe.cuts(self.periods)

    @property
    def windows(self) -> int:
        return len(self.cuts) - 1

    def panel(self, packed: pd.DataFrame) -> Panel:
        """The panel of a batch, in the order of its keys, so that no shuffle changes a sum."""
        rows = packed.sort_values(list(KEYS)).reset_index(drop=True)
        gaps, future = self.recipe.gaps, self.recipe.reach
        shares = open_shares(rows, end=self.end, periods=self.periods, future=future, clock=self.recipe.clock)
        return to_panel(
            rows, end=self.end, periods=self.periods, future=future, gaps=gaps,
            outlier_factor=self.recipe.outlier_factor, open_share=shares,
        )  # fmt: skip

    def days(self, panel: Panel) -> Days:
        clock, numbers = self.recipe.clock, panel.numbers
        years = range(clock.first_day(int(numbers[0])).year, clock.first_day(int(numbers[-1])).year + 2)
        easters = [clock.period_of(easter(year)) for year in years] if self.recipe.easter else []
        whole = Days.of(numbers, clock=clock, events=self.events, easters=easters)
        own = {
            store: self.store_events[store] for store in sorted(set(panel.keys["store_id"]) & set(self.store_events))
        }
        return whole.of_stores(panel.keys["store_id"], numbers=numbers, events=own) if own else whole


def block_of(column: pd.Series, *shape: int) -> Array:
    flat = np.concatenate([np.asarray(v, dtype=np.float64) for v in column]) if len(column) else np.empty(0)
    return flat.reshape(shape)
