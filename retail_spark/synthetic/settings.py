"""How large the made-up retailer is, and how it behaves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from retail_spark.config.section import Section, setting

Size = Literal["tiny", "small", "large"]
_BY_SIZE = "empty: by size"


def _count(comment: str, unit: str, ge: int = 1) -> int | None:
    value: int | None = setting(None, f"{comment}; {_BY_SIZE}", unit=unit, ge=ge)
    return value


class JobSettings(Section):
    """The section `synthetic`. Counts left empty come from `size`; `run.seed` decides everything random."""

    size: Size = setting("small", "tiny for tests, small for the demo, large for benchmarks")
    retailer: str = setting("synthetic", "name of the retailer: the slice of every raw and truth table it replaces")
    end_on: date = setting(date(2024, 12, 29), "last day of history; history begins weeks * 7 days earlier")
    weeks: int = setting(104, "length of history", unit="weeks", ge=8)
    plan_weeks: int = setting(8, "weeks after the end whose prices are planned already", unit="weeks", ge=0)
    stores: int | None = _count("stores", "stores")
    products: int | None = _count("products", "products")
    customers: int | None = _count("known customers", "customers")
    sale_lines: int | None = _count("sales lines to expect, within some ten percent", "lines")
    visits: int | None = _count("visits to the web shop", "visits")
    suppliers: int | None = _count("suppliers", "suppliers")
    deliveries: int | None = _count("lines of purchase orders", "lines")
    exposures: int | None = _count("products shown to customers", "exposures")
    bad_rows: int | None = _count("bad rows of every kind", "rows", ge=0)
    demand: bool | None = setting(None, "write truth.demand, a row per store, product and day; empty: if tiny")
    market: bool = setting(
        False, "also make a market whose prices react to demand, and its twin: a truth for causal claims"
    )
    market_categories: int = setting(4, "categories of the market, six products in each", unit="categories", ge=1)
    market_stores: int = setting(16, "stores of the market, in four regions", unit="stores", ge=4)
    tastes: int = setting(8, "latent tastes that drive what customers buy", unit="factors", ge=2, le=32)
    visit_cycle_days: int = setting(14, "days in which every customer has one shopping day", unit="days", ge=1)
    listed_share: float = setting(0.7, "share of products that a store lists", unit="share 0..1", gt=0, le=1)
    repeat_share: float = setting(0.3, "share of lines bought by a product's regulars", unit="share 0..1", ge=0, le=1)
    guest_share: float = setting(0.08, "share of lines without a known customer", unit="share 0..1", ge=0, le=1)
    return_share: float = setting(0.02, "share of lines brought back later", unit="share 0..1", ge=0, le=1)
    stockout_share: float = setting(
        0.02, "share of weeks in which a product runs out in a store", unit="share 0..1", ge=0, le=1
    )
    bot_share: float = setting(0.03, "share of web visitors that are robots", unit="share 0..1", ge=0, le=1)


@dataclass(frozen=True)
class Scale:
    """The counts of a retailer, settled."""

    stores: int
    products: int
    customers: int
    sale_lines: int
    visits: int
    suppliers: int
    deliveries: int
    exposures: int
    bad_rows: int


SCALES: dict[Size, Scale] = {
    "tiny": Scale(3, 40, 150, 5_000, 500, 12, 600, 300, 3),
    "small": Scale(8, 200, 6_000, 120_000, 12_000, 40, 5_000, 5_000, 20),
    "large": Scale(100, 3_000, 300_000, 30_000_000, 3_000_000, 2_000, 1_000_000, 1_000_000, 200),
}


@dataclass(frozen=True)
class World:
    """What every transform needs to know: counts, dates, behaviour. Days are whole numbers from 0, the first day."""

    scale: Scale
    settings: JobSettings

    @classmethod
    def of(cls, settings: JobSettings) -> World:
        """The world of the settings: counts given there win over those of the size."""
        by_size = SCALES[settings.size]
        counts = {name: getattr(settings, name) for name in Scale.__dataclass_fields__}
        return cls(
            Scale(**{n: getattr(by_size, n) if given is None else given for n, given in counts.items()}), settings
        )

    @property
    def days(self) -> int:
        """Days of history."""
        return self.settings.weeks * 7

    @property
    def start_on(self) -> date:
        """Day 0."""
        return self.settings.end_on - timedelta(days=self.days - 1)

    @property
    def pools(self) -> int:
        """Groups of customers that shop on the same day; at least some 20 of a store's customers in each."""
        return max(1, min(self.settings.visit_cycle_days, self.scale.customers // self.scale.stores // 20))

    @property
    def slots(self) -> int:
        """Lottery tickets of a pool: on average eight a customer."""
        return 8 * -(-self.scale.customers // (self.scale.stores * self.pools))

    @property
    def lines_per_cell(self) -> float:
        """Sales lines to expect per store, listed product and day."""
        cells = self.scale.stores * self.scale.products * self.settings.listed_share * self.days
        return self.scale.sale_lines / cells

    @property
    def cell_partitions(self) -> int:
        """Partitions of the sales: by volume, never by cores (values do not depend on it anyway)."""
        cells = self.scale.stores * self.scale.products * self.days
        return max(4, cells // 2_000_000)

    @property
    def writes_demand(self) -> bool:
        """Whether the true demand of every cell is written."""
        chosen = self.settings.demand
        return self.settings.size == "tiny" if chosen is None else chosen
