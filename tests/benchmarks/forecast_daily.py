"""Daily units by store with promotions and closed days: the next 42 days, beside two rules, through the commands.

The rules are seasonal naive (the same weekday of the last week) and the mean of the last 8 same weekdays with the same
promotion; both say 0 on closed days. Errors and intervals are those of gold.forecasts; RMSPE is over days with sales,
intervals over open days. The bar: WAPE and RMSPE no worse than the second rule's by more than 2 %, 80 % intervals hold
77 to 83 %, those of 95 % 92 to 97 %.

    python -m tests.benchmarks.forecast_daily
    python -m tests.benchmarks.forecast_daily --file train.csv --store Store --date Date --units Sales \\
        --promotion Promo --open Open --holiday "StateHoliday <> '0'"

Without a file it is the bakery of the data root, by its shipped mapping. A file is CSV; the options are columns or SQL
over them (units, promotion, open and holiday as numbers or BOOLEAN), `--product` where it has several a store.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from deltalake import DeltaTable

HERE = Path(__file__).parents[2]
BAKERY = HERE / "conf" / "sources" / "bakery_newsvendor.yml"
HORIZON, WEEKDAYS = 42, 8


@dataclass(frozen=True)
class Truth:
    """Series by days, the last HORIZON of them ahead: units, promotion and closed."""

    keys: pd.DataFrame
    days: pd.DatetimeIndex
    units: np.ndarray
    is_promoted: np.ndarray
    is_closed: np.ndarray


def mapping_of(given: argparse.Namespace) -> dict[str, object]:
    """The mapping of a plain file of daily units."""
    product = given.product or "'all'"
    day = f"to_date({given.date})"
    promoted = f"cast(cast({given.promotion} as int) as double)" if given.promotion else "0.0D"
    pair = {"store_id": given.store, "product_id": product}
    path = {"path": str(Path(given.file).resolve()), "format": "csv"}
    said = {
        "units": f"max(cast({given.units} as double))",
        "is_open": f"max(cast({given.open} as int))" if given.open else "max(cast(1 as int))",
        "is_holiday": f"max(cast({given.holiday} as int))" if given.holiday else "max(cast(0 as int))",
    }
    calendar = {
        "date": day, "region": f"concat('store ', {given.store})", "store_id": given.store,
        "is_holiday": "cast(is_holiday as int) = 1", "is_closed": "cast(is_open as int) = 0",
    }  # fmt: skip
    sales = {"sold_at": f"to_timestamp({given.date})", **pair, "quantity": f"cast({given.units} as double)",
             "unit_price": "1.0D", "on_promotion": promoted}  # fmt: skip
    plans = {**pair, "date": day, "on_promotion": promoted, "known_on": f"date_sub({day}, 56)"}
    return {
        "source": "daily",
        "inputs": {"lines": path, "opening": {"from": "lines", "group_by": [given.store, given.date], "columns": said}},
        "tables": {
            "sales": {"from": "lines", "columns": sales},
            "calendar": {"from": "opening", "columns": calendar},
            "planned_prices": {"from": "lines", "columns": plans},
        },
        "forecast": {"frequency": "day", "horizon": HORIZON, "step": HORIZON},
    }


def command(*words: str) -> None:
    """A command of retail-spark as a user types it. Raises CalledProcessError when it fails."""
    print("retail-spark " + " ".join(words), flush=True)
    subprocess.run([sys.executable, "-m", "retail_spark.cli", *words], check=True, cwd=HERE)


def rows_of(lake: Path, table: str) -> pd.DataFrame:
    schema, name = table.split(".")
    return DeltaTable(str(lake / schema / name)).to_pandas()


def truth_of(lake: Path, *, as_of: date) -> Truth:
    """What was sold and planned up to HORIZON days after as_of."""
    sales, plans = rows_of(lake, "silver.sales"), rows_of(lake, "silver.planned_prices")
    sales["date"] = pd.to_datetime(sales["sold_at"]).dt.tz_localize(None).dt.normalize()
    plans["date"] = pd.to_datetime(plans["date"])
    last = pd.Timestamp(as_of + timedelta(days=HORIZON))
    days = pd.date_range(sales["date"].min(), last)
    wide = sales.groupby(["store_id", "product_id", "date"])["quantity"].sum().unstack(fill_value=0.0)
    wide = wide.reindex(columns=days, fill_value=0.0)
    promoted = plans.groupby(["store_id", "product_id", "date"])["on_promotion"].max().unstack()
    promoted = promoted.reindex(index=wide.index, columns=days).fillna(0.0)
    calendar = rows_of(lake, "silver.calendar")
    calendar["date"] = pd.to_datetime(calendar["date"])
    closed = calendar.groupby(["store_id", "date"])["is_closed"].max().astype(float).unstack()
    stores = wide.index.get_level_values("store_id")
    closed = closed.reindex(index=stores, columns=days).fillna(0.0)
    return Truth(
        wide.index.to_frame(index=False), days, wide.to_numpy(), promoted.to_numpy() > 0, closed.to_numpy() > 0
    )


def by_rule(truth: Truth) -> np.ndarray:
    """Mean of the last 8 same weekdays with the same promotion; without one, of the last 8 same weekdays."""
    cut = len(truth.days) - HORIZON
    known = np.where(truth.is_closed, np.nan, truth.units)[:, :cut]
    whole = np.nan_to_num(pd.DataFrame(known).mean(axis=1).to_numpy())
    found = np.zeros((len(known), HORIZON))
    for step in range(HORIZON):
        columns = np.arange(cut + step - 7 * (step // 7 + 1), -1, -7)
        values = known[:, columns]
        same = truth.is_promoted[:, columns] == truth.is_promoted[:, cut + step][:, None]
        plain = _mean_of_last(values, ~np.isnan(values), instead=whole)
        found[:, step] = _mean_of_last(values, same & ~np.isnan(values), instead=plain)
    return np.where(truth.is_closed[:, cut:], 0.0, found)


def _mean_of_last(values: np.ndarray, chosen: np.ndarray, *, instead: np.ndarray) -> np.ndarray:
    taken = chosen & (np.cumsum(chosen, axis=1) <= WEEKDAYS)
    count = taken.sum(axis=1)
    return np.where(count > 0, np.where(taken, values, 0.0).sum(axis=1) / np.maximum(count, 1), instead)


def seasonal_naive(truth: Truth) -> np.ndarray:
    cut = len(truth.days) - HORIZON
    found = truth.units[:, [cut - 7 + step % 7 for step in range(HORIZON)]]
    return np.where(truth.is_closed[:, cut:], 0.0, found)


def figures(said: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    error, is_sold = said - actual, actual > 0
    shares = error[is_sold] / actual[is_sold]
    return {"wape": float(np.abs(error).sum() / actual.sum()), "rmspe": float(np.sqrt((shares**2).mean())),
            "bias": float(error.sum() / actual.sum())}  # fmt: skip


def report(lake: Path, *, as_of: date) -> None:
    """Reads the tables and prints the figures."""
    truth = truth_of(lake, as_of=as_of)
    actual, is_open = truth.units[:, -HORIZON:], ~truth.is_closed[:, -HORIZON:]
    forecasts = rows_of(lake, "gold.forecasts")
    forecasts = forecasts[forecasts["as_of"] == as_of].copy()
    forecasts["date"] = pd.to_datetime(forecasts["date"])
    order = pd.MultiIndex.from_frame(truth.keys)

    def block(name: str) -> np.ndarray:
        wide = forecasts.pivot(index=["store_id", "product_id"], columns="date", values=name)
        return wide.reindex(index=order, columns=truth.days[-HORIZON:]).fillna(0.0).to_numpy()

    said = {"retail-spark": block("mean"), "seasonal naive": seasonal_naive(truth), "the rule": by_rule(truth)}
    found = {name: figures(values, actual) for name, values in said.items()}
    for name, values in found.items():
        print(f"  {name:14} " + "  ".join(f"{key} {value:.4f}" for key, value in values.items()))
    for name, low, high in (("80 %", "p10", "p90"), ("95 %", "lo_95", "hi_95")):
        inside = (actual >= block(low)) & (actual <= block(high))
        print(f"  intervals of {name} hold {inside[is_open].mean():.1%} of open days, {inside.mean():.1%} of all")
    chosen = forecasts.drop_duplicates(["store_id", "product_id"])["model"].value_counts()
    print("  chosen " + ", ".join(f"{name} {count}" for name, count in chosen.items()))


def main() -> None:
    """Ingests, forecasts, reports."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("file", "product", "promotion", "open", "holiday"):
        arguments.add_argument(f"--{name}", default=None)
    for name, column in (("store", "store"), ("date", "date"), ("units", "units")):
        arguments.add_argument(f"--{name}", default=column)
    arguments.add_argument("--as-of", type=date.fromisoformat, default=None, help="42 days before the end unless given")
    arguments.add_argument("--lake", type=Path, default=None, help="an ingested lake, which is then only forecast")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        mapping = BAKERY
        if given.file:
            mapping = Path(folder) / "daily.yml"
            mapping.write_text(json.dumps(mapping_of(given)))
        lake = given.lake or Path(folder) / "lake"
        common = ("-c", str(mapping), "--set", f"lake.root={lake}", "--set", "quality.data_docs=false")
        if given.lake is None:
            command("run", "ingest", *common)
        last = pd.to_datetime(rows_of(lake, "silver.sales")["sold_at"]).max().date()
        as_of = given.as_of or last - timedelta(days=HORIZON)
        command("run", "forecast", *common, "--as-of", str(as_of))
        report(lake, as_of=as_of)


if __name__ == "__main__":
    main()
