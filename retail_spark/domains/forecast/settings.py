"""Settings of the job `forecast`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import model_validator

from retail_spark.config.section import Section, setting
from retail_spark.domains.forecast.recipe import REFERENCE, Recipe
from retail_spark.domains.forecast.series.renamed import newest_names
from retail_spark.frames.days import Weekday

_USUAL: Mapping[str, Mapping[str, int]] = {
    "day": {"history_periods": 1092, "horizon": 28, "step": 28, "new_periods": 56, "dead_periods": 182,
            "closed_periods": 28, "train_periods": 728},
    "week": {"history_periods": 156, "horizon": 8, "step": 8, "new_periods": 8, "dead_periods": 26,
             "closed_periods": 4, "train_periods": 104},
    "month": {"history_periods": 60, "horizon": 6, "step": 3, "new_periods": 4, "dead_periods": 6,
              "closed_periods": 2, "train_periods": 48},
}  # fmt: skip
"""Frequency -> what stands for a length of 0: about the same time, whatever a period is."""
_FIRST_MODELS = ("seasonal_naive", "mean", "ses", "damped_trend", "croston_sba", "tsb", "adida")
_MODELS: Mapping[str, tuple[str, ...]] = {
    "day": (*_FIRST_MODELS, "seasonal_mean", "promotion_mean", "auto_ets"),
    "week": _FIRST_MODELS,
    "month": (*_FIRST_MODELS, "auto_ets"),
}
_LOGGED = ("mean", "ses", "auto_ets", "auto_theta", "svd_seasonal")
LocalModel = Literal[
    "naive", "seasonal_naive", "mean", "ses", "damped_trend", "croston_sba", "tsb", "adida", "imapa", "svd_seasonal",
    "auto_ets", "auto_theta", "seasonal_mean", "promotion_mean",
]  # fmt: skip


class JobSettings(Section):
    """What a period is, what is foretold, by what, and how it is judged."""

    frequency: Literal["day", "week", "month"] = setting("week", "length of a period")
    week_starts_on: Weekday = setting("monday", "first day of a week")
    time_zone: str = setting("UTC", "time zone of the shop's days")
    row_days: int = setting(1, "days that one row of silver.sales covers: 7 where it is weekly, 31 where monthly",
                            unit="days", ge=1, le=31)  # fmt: skip
    plan_days: int = setting(1, "days that one row of silver.planned_prices covers; matters for days alone",
                             unit="days", ge=1, le=31)  # fmt: skip
    returns: Literal["ignore", "net"] = setting(
        "ignore", "ignore: a return undoes no demand; net: it is taken off the period in which it came back, down to 0"
    )
    gaps: Literal["zero", "missing"] = setting("zero", "what a listed period without a sale means: nothing, or unknown")
    renamed: dict[str, str] = setting(
        dict, "old product id: new one, whose history, plans and stock go on from the old one's; hop by hop"
    )
    stockout_share: float = setting(
        0.5, "days out of stock from which a period's sales say nothing of demand", unit="share 0..1", gt=0, le=1
    )
    history_periods: int = setting(
        0, "history that is looked at; 0: 156 weeks, 1092 days, 60 months", unit="periods", ge=0
    )
    horizon: int = setting(0, "periods that are foretold; 0: 8 weeks, 28 days, 6 months", unit="periods", ge=0, le=366)
    gap: int = setting(0, "periods between the last known one and the first foretold", unit="periods", ge=0)
    windows: int = setting(3, "windows of the backtest; the last is held out to measure", unit="windows", ge=2)
    step: int = setting(0, "periods from one window to the next; 0: 8 weeks, 28 days, 3 months", unit="periods", ge=0)
    season: int = setting(0, "season of the local models; 0: 52 weeks, 7 days, 12 months", unit="periods", ge=0)

    models: tuple[LocalModel, ...] = setting(
        (),
        f"local models, {REFERENCE} always one; none: "
        + ", ".join(_FIRST_MODELS)
        + "; for days seasonal_mean, promotion_mean and auto_ets as well, for months auto_ets",
    )
    transform: Literal["raw", "log", "both"] = setting(
        "both", f"scale on which {', '.join(_LOGGED)} are estimated; both: the backtest chooses"
    )
    ensembles: tuple[Literal["median", "weighted"], ...] = setting(
        ("median", "weighted"), "means of all candidates as further ones; weighted: by what each erred before"
    )
    select_by: Literal["rmsse", "pinball"] = setting(
        "rmsse", "what a candidate is chosen by (absolute errors would prefer zero for intermittent demand)"
    )
    max_bias: float = setting(
        0.5, "bias in the backtest from which a candidate is left out while another is within it", unit="share", gt=0
    )
    prior_points: float = setting(
        48.0, "known periods that the scores of the class count beside a series' own", unit="periods", ge=0
    )
    own_residuals: int = setting(
        20, "windows from which a series' intervals rest on its own errors, not on its class's", unit="windows", ge=10
    )
    new_periods: int = setting(
        0, "known periods below which a series is new; 0: 8 weeks, 56 days, 4 months", unit="periods", ge=0
    )
    dead_periods: int = setting(
        0, "periods without a sale after which a series is dead, unless it sold in this season a year ago or is "
        "planned; 0: 26 weeks, 182 days, 6 months", unit="periods", ge=0,
    )  # fmt: skip
    outlier_factor: float = setting(
        50.0,
        "a quantity this often the upper quartile of a series' sales, and far outside their spread, is a mistake: "
        "set aside, and named in the status; 0: none is",
        ge=0,
    )
    closed_periods: int = setting(
        0, "open periods without any sale after which a store is closed; 0: 4 weeks, 28 days, 2 months",
        unit="periods", ge=0,
    )  # fmt: skip
    growth_share: float = setting(0.5, "svd_seasonal: power of a year's growth that is carried on", ge=0, le=1)
    svd_ranks: tuple[int, ...] = setting(
        (0, 2, 4, 8, 16), "svd_seasonal: components kept of a product's stores, averaged over; 0: all"
    )
    easter: bool = setting(True, "Easter moves the weeks before it, and is a feature")

    global_model: bool = setting(True, "one booster over all series; serves new products, too (needs xgboost)")
    objective: Literal["log", "absolute", "poisson", "tweedie"] = setting(
        "poisson", "loss of the booster; poisson and tweedie foretell means, the others medians"
    )
    weight_power: float = setting(0.5, "weight of a row: its level to this power", ge=0, le=2)
    debias: bool = setting(
        True, "scale the booster's forecasts by what earlier boosters missed of all units in the windows after them"
    )
    leads_per_row: int = setting(1, "steps ahead at which each period teaches", unit="rows", ge=1)
    train_periods: int = setting(
        0, "last periods that teach the booster; 0: 104 weeks, 728 days, 48 months", unit="periods", ge=0
    )
    max_lessons: int = setting(
        2_000_000, "rows that teach the booster at most; of more, products and periods are drawn by their hash",
        unit="rows", ge=1000,
    )  # fmt: skip
    max_codes: int = setting(
        200, "products, stores, categories or regions up to which the booster knows each by itself"
    )
    trees: int = setting(80, "rounds of the booster", unit="rounds", ge=1)
    max_depth: int = setting(6, "depth of a tree", unit="levels", ge=1, le=16)
    learning_rate: float = setting(0.1, "weight of a tree", gt=0, le=1)
    subsample: float = setting(0.7, "share of rows that a tree sees", unit="share 0..1", gt=0, le=1)
    column_share: float = setting(0.5, "share of features that a split may use", unit="share 0..1", gt=0, le=1)
    min_child_weight: float = setting(5.0, "least weight in a leaf", ge=0)
    reg_lambda: float = setting(1.0, "ridge on the leaves", ge=0)
    num_workers: int = setting(
        1, "Spark tasks that train one booster; changes its trees, so size it to the data, not the machine",
        unit="tasks", ge=1,
    )  # fmt: skip

    levels: tuple[Literal["store_product", "product", "category", "store", "region", "total"], ...] = setting(
        ("product", "category", "store", "region", "total"), "levels of gold.forecast_levels"
    )
    reconcile: Literal["bottom_up", "mint"] = setting(
        "bottom_up", "bottom_up: levels are sums; mint: each level is foretold, then all are drawn together (WLS)"
    )
    buckets: int = setting(
        0, "groups of products worked on one at a time: more need less memory; 0: one for 2,000 series, 8 at least",
        unit="groups", ge=0,
    )  # fmt: skip
    replicates: int = setting(200, "bootstrap replicates behind the gate", unit="replicates", ge=20)
    max_coverage_error: float = setting(
        0.15, "distance of the 80 % intervals' coverage from 80 % at which the gate refuses", unit="share 0..1", gt=0
    )
    max_total_bias: float = setting(0.25, "bias of all units at which the gate refuses", unit="share", gt=0)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.length("history_periods") < self.gap + self.length("horizon") + 8:
            raise ValueError("history_periods must be longer than gap + horizon + 8")
        newest_names(self.renamed)
        return self

    def length(self, name: str) -> int:
        """A length in periods, as set or as usual for the frequency."""
        return int(getattr(self, name)) or _USUAL[self.frequency][name]

    @property
    def candidates(self) -> tuple[str, ...]:
        """Local models with their transforms, the reference first."""
        named = [REFERENCE, *(m for m in self.models or _MODELS[self.frequency] if m != REFERENCE)]
        found = []
        for name in named:
            is_logged = name in _LOGGED and self.transform != "raw"
            found += [name] if self.transform != "log" or not is_logged else []
            found += [f"{name}_log"] if is_logged else []
        return tuple(found)

    def recipe(self) -> Recipe:
        """What decides a forecast, and what a champion is known by."""
        lengths = {name: self.length(name) for name in _USUAL[self.frequency]}
        given = self.model_dump() | lengths | {"models": self.candidates}
        return Recipe.from_json({name: given[name] for name in Recipe.names()})
