"""Settings of the job `elasticity`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from retail_spark.config.section import Section, TimeZone, setting

Instrument = Literal["cost", "other_markets"]
Effects = Literal["store-product + period", "store-product", "none"]


class JobSettings(Section):
    """How the panel is made, what is estimated and when it is believed, and what prices may be recommended."""

    period_days: int = setting(7, "length of a period; weeks begin on Monday", unit="days", ge=1, le=28)
    time_zone: TimeZone = setting("UTC", "time zone of the shop's days")
    max_price_ratio: float = setting(
        5.0,
        "a line priced more than so many times above or below the median of its product, and of it in its store, is "
        "an outlier and set aside",
        unit="ratio",
        gt=1,
    )
    max_foreign_share: float = setting(
        0.05, "lines in other currencies than the store's that are set aside; with more it is `mixed_currency`",
        unit="share 0..1", ge=0, lt=0.5,
    )  # fmt: skip
    effects: Effects = setting(
        "store-product + period",
        "what is taken out of units and prices; periods are those of a category; none leaves an intercept a product",
    )
    history_periods: int = setting(156, "periods before as_of that are learned from", unit="periods", ge=4)
    min_periods: int = setting(12, "periods below which a store-product is `too_few_weeks`", unit="periods", ge=3)
    min_price_spread: float = setting(
        0.005, "standard deviation of the log price below which there is `no_price_variation`", gt=0, lt=1
    )
    collinear_share: float = setting(
        0.001,
        "share of the price's variance that the effects must leave, or the row is `not_identified`, and the other "
        "columns, or it is `collinear`",
        gt=0,
        lt=1,
    )
    min_price_left: float = setting(
        0.5, "share of the price's variance that the effects must leave, or the estimate carries a warning",
        unit="share 0..1", ge=0, le=1,
    )  # fmt: skip
    max_std_error: float = setting(
        3.0, "standard error of an elasticity above which it is `not_identified`", unit="percent per percent", gt=0
    )
    season_harmonics: int = setting(
        1, "waves a year for every store-product, where two years are known", unit="waves", ge=0, le=3
    )
    sparse_units: float = setting(
        1.0, "a category is sparse when half of its sold cells hold at most this many units", unit="units", ge=0
    )
    sparse_zero_share: float = setting(
        0.10, "or when more than this share of its listed, in-stock cells has no sale", unit="share 0..1", ge=0, le=1
    )
    poisson_rows: int = setting(
        2_000_000, "rows that one task fits at most; a larger category is cut into groups of products",
        unit="rows", ge=1000,
    )  # fmt: skip
    poisson_rounds: int = setting(200, "rounds of the Poisson fit at most", unit="rounds", ge=10)

    lags: int = setting(3, "periods of past prices in the stockpiling estimate", unit="periods", ge=1, le=12)
    base_periods: int = setting(
        8, "where no list price is known: base price is the highest of that many periods", unit="periods", ge=2
    )
    instruments: tuple[Instrument, ...] = setting(
        ("cost", "other_markets"), "what moves the price without moving demand: own unit cost, prices in other regions"
    )
    min_first_stage_f: float = setting(10.0, "first-stage F below which an instrument estimate is refused", ge=0)
    endogeneity_level: float = setting(
        0.01, "level of the test (Durbin, Wu, Hausman) at which the instruments' answer becomes the default", gt=0, lt=1
    )
    instrument_level: float = setting(
        0.05, "level of the test (Hansen's J) at which instruments contradict each other and cost stands alone",
        gt=0, lt=1,
    )  # fmt: skip
    double_ml: bool = setting(True, "double machine learning for every category")
    ml_folds: int = setting(4, "folds, each a block of periods, that are predicted from the others", ge=2, le=20)
    ml_trees: int = setting(60, "rounds of the boosters", unit="rounds", ge=5, le=2000)
    ml_depth: int = setting(4, "depth of a tree", unit="levels", ge=1, le=12)
    ml_rows: int = setting(200_000, "rows a category that they see; whole store-products", unit="rows", ge=1000)

    em_rounds: int = setting(500, "rounds of the shrinkage at most", unit="rounds", ge=10)
    cross_products: int = setting(
        20, "best sellers a category whose prices are held against each other", unit="products", ge=2, le=60
    )
    false_discovery: float = setting(
        0.10, "share of false findings among cross elasticities called significant", unit="share 0..1", gt=0, lt=1
    )

    holdout_periods: int = setting(13, "last periods that the model is measured on", unit="periods", ge=4)
    served_products: int = setting(50_000, "best sellers that the registered model knows by id", unit="products", ge=1)

    max_change: float | None = setting(
        0.10, "largest change of a price; empty: only the observed range bounds it", unit="share", gt=0, lt=1
    )
    min_margin: float = setting(0.0, "least margin of a recommended price, of that price", unit="share", ge=0, lt=1)
    price_endings: tuple[int, ...] = setting((9,), "last digits, in cents, that a price may have; empty: any")
    price_step: float = setting(0.01, "smallest step of a price", unit="currency", gt=0)
    price_ladder: bool = setting(True, "keep the order of prices among products of a brand in a category and store")
    draws: int = setting(200, "draws of the elasticity behind expected margins", unit="draws", ge=20, le=5000)
    horizon_periods: int = setting(4, "periods that a price is set for; stock on hand caps what they sell", ge=1)
    markdown_periods: int = setting(
        12, "periods ahead in which an item must end to get a markdown path", unit="periods", ge=1, le=52
    )
    markdown_steps: tuple[float, ...] = setting(
        (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), "discounts that a markdown path may take", unit="share 0..1"
    )
    salvage_share: float = setting(0.0, "worth of a unit left at the end, of its unit cost", unit="share", ge=0, le=1)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if any(not 0 <= digit <= 9 for digit in self.price_endings):
            raise ValueError("price_endings are digits from 0 to 9")
        if list(self.markdown_steps) != sorted(self.markdown_steps) or not self.markdown_steps:
            raise ValueError("markdown_steps must rise")
        if not all(0 <= step < 1 for step in self.markdown_steps):
            raise ValueError("markdown_steps lie between 0 and 1")
        return self
