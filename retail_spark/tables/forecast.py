"""The tables that the job `forecast` writes."""

from __future__ import annotations

from pyspark.sql import types as T

from retail_spark.lake.contract import (
    BOOLEAN,
    DATE,
    DOUBLE,
    INT,
    LINEAGE,
    STRING,
    Column,
    Contract,
    snapshot,
)
from retail_spark.tables.columns import number

LEVELS = ("store_product", "product", "category", "store", "region", "total")
STATUSES = ("ok", "outlier", "failed")


def _units(name: str, comment: str) -> Column:
    return Column(name, DOUBLE, f"{comment}, units a period.", check=f"{name} >= 0")


_SERIES = (
    Column("store_id", STRING, "Store or sales channel."),
    Column("product_id", STRING, "Product (SKU)."),
)
_FORETOLD = (
    Column("step", INT, "Periods from the last known one, 1 for the next.", check="step >= 1"),
    _units("mean", "Expected demand"),
    _units("p10", "A tenth of outcomes lie below"),
    _units("p50", "Half of outcomes lie below"),
    _units("p90", "Nine tenths of outcomes lie below"),
    _units("lo_95", "Lower end of the 95 % interval"),
    _units("hi_95", "Upper end of the 95 % interval"),
    Column("model", STRING, "What made the mean: a model, an ensemble, zero, or fallback_mean."),
)
_STATE = (
    Column(
        "status",
        STRING,
        "ok; outlier: quantities beyond reason were set aside; failed: the fallback speaks.",
        check="status IN ('ok', 'outlier', 'failed')",
    ),
    Column("error", STRING, "What was wrong with the series: for an outlier, which quantity, and when.", nullable=True),
)
_ORDERED = (("quantiles_ordered", "lo_95 <= p10 AND p10 <= p50 AND p50 <= p90 AND p90 <= hi_95"),)

FORECASTS = snapshot(
    "gold.forecasts",
    grain="One row per store, product and period ahead, for what was ever sold there or is planned to be.",
    key=("store_id", "product_id", "date"),
    columns=(
        *_SERIES,
        Column("date", DATE, "Day, or the first day of the week."),
        *_FORETOLD,
        *_STATE,
    ),
    checks=_ORDERED,
)

FORECAST_LEVELS = snapshot(
    "gold.forecast_levels",
    grain="One row per level, member and period ahead; means add up from level to level, quantiles do not.",
    key=("level", "member", "date"),
    columns=(
        Column("level", STRING, "product, category, store, region or total.",
               check="level IN ('store_product', 'product', 'category', 'store', 'region', 'total')"),
        Column("member", STRING, "Who at that level; * for the total."),
        Column("date", DATE, "Day, or the first day of the week."),
        *_FORETOLD,
        *_STATE,
    ),
    checks=_ORDERED,
)  # fmt: skip


FORECAST_ACCURACY = snapshot(
    "gold.forecast_accuracy",
    grain="One row per store, product and candidate: what it erred in the backtest, and whether it was chosen.",
    key=("store_id", "product_id", "model"),
    columns=(
        *_SERIES,
        Column("model", STRING, "Candidate; `_log` behind a model's name: on log(1 + units)."),
        number("wape", "Absolute errors by units sold; NULL where nothing was known or sold.", "wape >= 0"),
        number("rmsse", "Root mean squared error by that of one-step changes.", "rmsse >= 0"),
        number("bias", "Forecast less sold, by units sold."),
        number("pinball", "Mean pinball loss of its quantiles, by one-step changes.", "pinball >= 0"),
        number("coverage_80", "Share of the last window inside p10..p90 drawn before it; the chosen alone, 0..1.",
                "coverage_80 BETWEEN 0 AND 1"),
        number("coverage_95", "Share of the last window inside lo_95..hi_95 drawn before it; the chosen alone, 0..1.",
                "coverage_95 BETWEEN 0 AND 1"),
        number("fva", "Forecast value added: WAPE of seasonal naive less its own."),
        Column("demand_class", STRING, "smooth, erratic, intermittent, lumpy, new or dead.",
               check="demand_class IN ('smooth', 'erratic', 'intermittent', 'lumpy', 'new', 'dead')"),
        Column("windows", INT, "Windows of the backtest.", check="windows >= 0"),
        Column("is_chosen", BOOLEAN, "This candidate makes the series' forecasts."),
        Column("reason", STRING, "Why it was chosen; empty for the others."),
        *_STATE,
    ),
)  # fmt: skip

_FINGERPRINT = Column("fingerprint", STRING, "Of all that the numbers were made of: equal means that they still hold.")

FORECAST_TRIALS = Contract(
    "gold.forecast_trials",
    grain="One row per store and product: what local models said in the backtest, for the next run to take over.",
    key=("store_id", "product_id"),
    columns=(
        *_SERIES,
        _FINGERPRINT,
        Column("values", T.ArrayType(DOUBLE), "Cuts x local models x steps, units; NULL where a model said nothing."),
        *LINEAGE,
    ),
)

FORECAST_BOOSTERS = Contract(
    "gold.forecast_boosters",
    grain="One row per cut of the backtest: the booster trained on what was known by then, for the next run.",
    key=("cut",),
    columns=(
        Column("cut", INT, "Periods known when it was trained.", check="cut >= 1"),
        _FINGERPRINT,
        Column("booster", T.BinaryType(), "xgboost's JSON."),
        Column("smear", DOUBLE, "Factor on its forecasts, by what earlier boosters missed.", check="smear > 0"),
        *LINEAGE,
    ),
)
