"""Settings of the job `supplier_risk`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from retail_spark.config.section import Section, setting
from retail_spark.domains.supplier_risk.recipe import Recipe

_NAME = "a canonical column of silver.deliveries, or else a key of its attributes"


# History windows, depth, learning rate and the rest were chosen on SCMS lines promised before 2014-05-02 alone: six
# half years from 2011-05-02, each foretold from what came before it (tests/benchmarks/RESULTS.md).


class JobSettings(Section):
    """What counts as late, what is known when, what is learned, and how the score is made."""

    exclude_suppliers: tuple[str, ...] = setting(
        (), "suppliers that are none, such as an own warehouse: no row, no share, no event of theirs"
    )
    learn_from_excluded: bool = setting(
        False, "let lines of excluded suppliers teach and test the model all the same (they still get no row)"
    )
    predict_days_before_promise: int = setting(
        30, "how long before the day promised the lateness of a line is to be foretold", unit="days", ge=0
    )
    outcome_known: Literal["recorded", "delivered"] = setting(
        "recorded", "an outcome is known from the day it was recorded (where told), or from the delivery itself"
    )
    promise: Literal["first", "last"] = setting(
        "first", "lateness is counted from the first promise (where told), or from the last, which hides what was moved"
    )

    category_columns: tuple[str, ...] = setting(
        ("supplier_id", "category", "ship_mode", "origin_country", "destination_country"),
        f"features by value; {_NAME}",
    )
    number_columns: tuple[str, ...] = setting(
        ("quantity_ordered", "order_value", "unit_value"),
        f"features by size; unit_value is order_value a unit; {_NAME}",
    )
    log_columns: tuple[str, ...] = setting(
        ("quantity_ordered", "order_value", "unit_value"), "those of number_columns that are taken as logarithms"
    )
    lead_columns: tuple[str, ...] = setting(
        ("ordered_at",), f"dates whose distance in days before the day promised is a feature; {_NAME}"
    )
    calendar_columns: tuple[str, ...] = setting(
        ("promised_month",), "of promised_month, promised_weekday, ordered_hour, ordered_weekday"
    )
    history_keys: tuple[tuple[str, ...], ...] = setting(
        (("supplier_id",), ("origin_country", "destination_country"),
         ("supplier_id", "origin_country", "destination_country"), ("category",)),
        f"what histories of lateness are kept by; each is a list of columns: {_NAME}",
    )  # fmt: skip
    history_kinds: tuple[Literal["rate", "delay", "overdue"], ...] = setting(
        ("rate", "delay", "overdue"), "what a history tells: share late, mean delay, share of shipments now overdue"
    )
    recent_days: tuple[int, ...] = setting((60, 180), "windows of recent history beside the whole of it", unit="days")
    prior_weight: float = setting(20.0, "shipments that the rate of the level above weighs", unit="shipments", gt=0)
    max_categories: int = setting(
        200, "values of a category column that are told apart; the rarest are one", unit="values", ge=2, le=2000
    )

    test_share: float = setting(
        0.2, "held-out window: the last promised days that hold this share of the known lines", unit="share 0..1",
        gt=0, lt=1,
    )  # fmt: skip
    test_from: str | None = setting(None, "first day promised of the held-out window, ISO; empty: by test_share")
    calibration: Literal["platt", "isotonic", "none"] = setting("platt", "how margins become probabilities")
    calibration_share: float = setting(
        0.1, "share of the training lines in one calibrating slice", unit="share 0..1", gt=0, lt=0.3
    )
    calibration_slices: int = setting(
        2, "last slices, each foretold by a booster that saw only what came before it, that calibrate together",
        unit="slices", ge=1, le=3,
    )  # fmt: skip
    calibration_prior: float = setting(
        0.25, "ridge that draws Platt's curve to no correction at all: what one slice missed is drift in part",
        unit="share of the calibrating lines", ge=0,
    )  # fmt: skip
    min_lines: int = setting(
        200, "known lines that training and held-out window must have; with fewer the shrunk rate scores",
        unit="lines", ge=10,
    )  # fmt: skip
    rolling_years: int = setting(
        0, "years before as_of that are foretold by a model of what came before each", unit="years", ge=0, le=30
    )
    replicates: int = setting(200, "bootstrap replicates behind the intervals", unit="replicates", ge=20, le=10_000)
    leak_auc: float = setting(
        0.97, "a column, or the model, that ranks better than this decides the label and is refused", gt=0.5, le=1
    )

    trees: int = setting(60, "rounds of the booster", unit="rounds", ge=1, le=10_000)
    max_depth: int = setting(6, "depth of a tree", unit="levels", ge=1, le=16)
    learning_rate: float = setting(0.06, "weight of a tree", gt=0, le=1)
    subsample: float = setting(0.4, "share of lines that a tree sees", unit="share 0..1", gt=0, le=1)
    forest: int = setting(12, "trees of a round, averaged", unit="trees", ge=1, le=100)
    column_share: float = setting(0.3, "share of features that a split may use", unit="share 0..1", gt=0, le=1)
    min_child_weight: float = setting(5.0, "least weight in a leaf", ge=0)
    reg_lambda: float = setting(5.0, "ridge on the leaves", ge=0)
    num_workers: int = setting(
        1, "Spark tasks that train one booster; changes its trees, so size it to the data, not the machine",
        unit="tasks", ge=1,
    )  # fmt: skip

    otif_level: Literal["line", "order", "case"] = setting("line", "what OTIF counts: lines, orders or units")
    otif_late_days: int = setting(0, "days after the promise that still count as on time", unit="days", ge=0)
    otif_early_days: int | None = setting(
        None, "days before the promise that still count as on time; empty: any", unit="days", ge=0
    )
    otif_full_share: float = setting(
        1.0, "share of the units ordered that counts as in full", unit="share 0..1", gt=0, le=1
    )
    window_days: int = setting(
        1095, "history before as_of that rates, shares and OTIF are taken from", unit="days", ge=30
    )

    cost_per_day_late: float = setting(0.01, "cost of a day late, as a share of the value of the line", ge=0)
    cost_of_being_late: float = setting(0.05, "cost of being late at all, as a share of the value of the line", ge=0)
    concentration_weight: float = setting(0.5, "how much full concentration adds to the value at risk", ge=0)
    single_source_weight: float = setting(0.5, "how much a single source adds to the value at risk", ge=0)
    score_reference: float = setting(
        0.002, "value at risk, as a share of all spend, at which the score is 63", unit="share", gt=0
    )
    bands: tuple[float, float, float] = setting(
        (20.0, 50.0, 80.0), "scores from which a supplier is medium, high, critical"
    )
    reasons: int = setting(3, "reasons told for a supplier", unit="reasons", ge=1, le=20)

    false_alarm_years: float = setting(10.0, "years of a supplier that hold one false alarm", unit="years", gt=0)
    odds_ratio: float = setting(
        3.0, "change of the odds of being late that is looked for; its square is looked for as well", gt=1
    )
    min_known: int = setting(20, "shipments that must be known before a change can be seen", unit="shipments", ge=5)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if list(self.bands) != sorted(self.bands) or not all(0 < x < 100 for x in self.bands):
            raise ValueError("bands must rise between 0 and 100")
        if not set(self.log_columns) <= set(self.number_columns):
            raise ValueError("log_columns must be among number_columns")
        if not self.history_keys or any(not key for key in self.history_keys):
            raise ValueError("history_keys needs at least one key, and every key a column")
        return self

    def recipe(self) -> Recipe:
        """What the model is learned by, and known by in the registry."""
        given = self.model_dump()
        return Recipe.from_json({name: given[name] for name in Recipe.names()})
