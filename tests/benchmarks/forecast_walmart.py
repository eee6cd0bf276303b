"""Weekly sales of 45 Walmart stores by department: 104 weeks known, the next 39 foretold, holidays weighted five.

The policy is the job's own: candidates, backtest, choice and intervals by its functions. Its settings were chosen on
windows inside the 104 weeks. A series without history is foretold 0.

    python -m tests.benchmarks.forecast_walmart
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from retail_spark.forecast.model import LOCAL
from retail_spark.forecast.periods import Clock
from retail_spark.forecast.settings import JobSettings
from retail_spark.forecast.settling import Frame, forecast_rows
from tests.benchmarks.forecast_policy import Workshop, carried_out, packed_of

HERE = Path(__file__).parents[2]
DATA_ROOT = Path(os.environ.get("RETAIL_SPARK__DATA_ROOT", HERE / ".." / "shared" / "data"))
KNOWN, AHEAD = 104, 39
CLOCK = Clock(week_starts_on="saturday", row_days=7)
SETTINGS = JobSettings(
    frequency="week", week_starts_on="saturday", row_days=7, returns="net", horizon=AHEAD, windows=3, step=4,
    models=("seasonal_naive", "svd_seasonal"), transform="raw", ensembles=("weighted",), global_model=False,
    prior_points=2000, history_periods=KNOWN,
)  # fmt: skip


def sales() -> pd.DataFrame:
    """One row per store, department and week: units (dollars) as they are, weight."""
    rows = pd.read_csv(DATA_ROOT / "walmart_weekly_sales" / "train.csv.gz", parse_dates=["Date"])
    first = [CLOCK.period_of(day.date()) for day in rows["Date"] - pd.Timedelta(days=6)]
    return pd.DataFrame({
        "store_id": rows["Store"].astype(str), "product_id": rows["Dept"].astype(str), "category": "*",
        "period": first, "quantity": rows["Weekly_Sales"], "weight": np.where(rows["IsHoliday"], 5.0, 1.0),
    })  # fmt: skip


def foretold(rows: pd.DataFrame, *, known: int, settings: JobSettings = SETTINGS) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The policy's forecasts after `known` weeks, and the choices."""
    end = int(rows["period"].min()) + known - 1
    frame = Frame(settings.recipe(), end, known)
    netted = rows.assign(quantity=rows["quantity"].clip(lower=0))
    packed = packed_of(netted[netted["period"] <= end], end=end, periods=known, future=AHEAD)
    chosen, pools = carried_out(packed, frame, Workshop().boosters(packed, frame))
    made = forecast_rows(chosen, frame, pools)
    return made.assign(period=[CLOCK.period_of(day) for day in made["date"]]), chosen


def errors(rows: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
    """The rows that were sold, each with what was foretold (0 where the series was unknown)."""
    keys = ["store_id", "product_id", "period"]
    told = made[[*keys, "mean", "p10", "p90", "lo_95", "hi_95"]]
    return rows.merge(told, on=keys, how="left", validate="one_to_one").fillna(0.0)


def wmae(found: pd.DataFrame, column: str = "mean") -> float:
    return float((found["weight"] * (found["quantity"] - found[column]).abs()).sum() / found["weight"].sum())


def report(rows: pd.DataFrame, *, known: int, settings: JobSettings = SETTINGS) -> None:
    start = int(rows["period"].min())
    made, chosen = foretold(rows, known=known, settings=settings)
    test = rows[rows["period"].between(start + known, start + known + AHEAD - 1)]
    found = errors(test, made)
    inside = {
        name: ((found["quantity"] >= found[low]) & (found["quantity"] <= found[high])).mean()
        for name, low, high in (("80 %", "p10", "p90"), ("95 %", "lo_95", "hi_95"))
    }
    print(
        f"  rows {len(found):,}  WMAE {wmae(found):,.1f}  bias {found['mean'].sum() / found['quantity'].sum() - 1:+.1%}"
    )
    print("  intervals hold " + ", ".join(f"{100 * share:.1f} % of {name}" for name, share in inside.items()))
    print("  chosen " + ", ".join(f"{name} {n}" for name, n in chosen["model_all"].value_counts().items()))


def baselines(rows: pd.DataFrame) -> None:
    """Naive and seasonal naive with gaps 0, as said in advance."""
    wide = rows.pivot_table(index=["store_id", "product_id"], columns="period", values="quantity")
    weight = rows.pivot_table(index=["store_id", "product_id"], columns="period", values="weight").to_numpy()[:, KNOWN:]
    y, truth = wide.to_numpy()[:, :KNOWN], wide.to_numpy()[:, KNOWN:]
    for name, past, told in (("naive", y, 3194.3), ("seasonal_naive", np.nan_to_num(y), 1799.0)):
        said = np.nan_to_num(LOCAL[name](past, cuts=[KNOWN], reach=AHEAD, season=52)[0])
        error = np.nansum(weight * np.abs(truth - said)) / np.nansum(weight)
        print(f"{name:16} WMAE {error:,.1f} (said: {told:,.1f})")


def main() -> None:
    rows = sales()
    baselines(rows)
    print("the policy:")
    report(rows, known=KNOWN)


if __name__ == "__main__":
    main()
