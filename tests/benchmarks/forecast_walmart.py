"""Weekly sales of 45 Walmart stores by department: 104 weeks known, the next 39 predicted, holidays weighted five.

The figures are read from gold.forecasts after the job ran with the shipped mapping; its settings were chosen on windows
inside the 104 weeks. A series without history is predicted 0.

    python -m tests.benchmarks.forecast_walmart [--lake ROOT]
"""

from __future__ import annotations

import argparse
from datetime import date

import numpy as np
import pandas as pd

from retail_spark.domains.forecast.models.local import LOCAL
from retail_spark.domains.forecast.series.periods import Clock
from tests.benchmarks.forecast_by_command import DATA_ROOT, forecasts, lake_of

KNOWN, AHEAD, AS_OF = 104, 39, date(2012, 1, 27)
CLOCK = Clock(week_starts_on="saturday", row_days=7)


def sales() -> pd.DataFrame:
    """One row per store, department and week: units (dollars) as they are, weight."""
    rows = pd.read_csv(DATA_ROOT / "walmart_weekly_sales" / "train.csv.gz", parse_dates=["Date"])
    first = [CLOCK.period_of(day.date()) for day in rows["Date"] - pd.Timedelta(days=6)]
    return pd.DataFrame({
        "store_id": rows["Store"].astype(str), "product_id": rows["Dept"].astype(str), "category": "*",
        "period": first, "quantity": rows["Weekly_Sales"], "weight": np.where(rows["IsHoliday"], 5.0, 1.0),
    })  # fmt: skip


def errors(rows: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
    """The rows that were sold, each with what was foretold (0 where the series was unknown)."""
    keys = ["store_id", "product_id", "period"]
    told = made[[*keys, "mean", "p10", "p90", "lo_95", "hi_95"]]
    return rows.merge(told, on=keys, how="left", validate="one_to_one").fillna(0.0)


def wmae(found: pd.DataFrame, column: str = "mean") -> float:
    return float((found["weight"] * (found["quantity"] - found[column]).abs()).sum() / found["weight"].sum())


def report(rows: pd.DataFrame, made: pd.DataFrame) -> None:
    start = int(rows["period"].min())
    test = rows[rows["period"].between(start + KNOWN, start + KNOWN + AHEAD - 1)]
    found = errors(test, made.assign(period=[CLOCK.period_of(day) for day in made["date"]]))
    inside = {
        name: ((found["quantity"] >= found[low]) & (found["quantity"] <= found[high])).mean()
        for name, low, high in (("80 %", "p10", "p90"), ("95 %", "lo_95", "hi_95"))
    }
    print(
        f"  rows {len(found):,}  WMAE {wmae(found):,.1f}  bias {found['mean'].sum() / found['quantity'].sum() - 1:+.1%}"
    )
    print("  intervals hold " + ", ".join(f"{100 * share:.1f} % of {name}" for name, share in inside.items()))
    print("  models " + ", ".join(f"{m} {n // AHEAD:,}" for m, n in made["model"].value_counts().items()))


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
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--lake", help="root of a lake that holds the source already")
    rows = sales()
    baselines(rows)
    print("the job:")
    with lake_of("walmart_weekly_sales", arguments.parse_args().lake) as root:
        made = forecasts("walmart_weekly_sales", root, as_of=AS_OF, sets=[f"forecast.horizon={AHEAD}"])
    report(rows, made)


if __name__ == "__main__":
    main()
