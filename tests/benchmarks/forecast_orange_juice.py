"""Orange juice by the protocol of the TSPerf benchmark: 913 series, 12 rounds, two weeks each, errors pooled.

Round r knows weeks 40 to 135 + 2 (r - 1), skips one week and predicts the two after it (steps 2 and 3). Prices, deals
and advertisements are known ahead. Baselines are on log units, filled forward, then backward, season 52; forecast and
truth are rounded; errors are pooled over the rows that exist. The forecasts are read from gold.forecasts after the job
ran with the shipped mapping once a round. Its settings were chosen on rounds before week 136 (--earlier, no Spark),
and nothing of a round's own weeks has a part in it.

    python -m tests.benchmarks.forecast_orange_juice [--earlier] [--lake ROOT]
"""

from __future__ import annotations

import argparse
import time
from datetime import timedelta

import numpy as np
import pandas as pd

from retail_spark.config.section import section
from retail_spark.domains.forecast.models.local import LOCAL
from retail_spark.domains.forecast.outputs import forecast_rows
from retail_spark.domains.forecast.series.frame import Frame
from retail_spark.domains.forecast.series.panel import Array, filled_forward
from retail_spark.domains.forecast.series.periods import Clock
from retail_spark.domains.forecast.settings import JobSettings
from retail_spark.engine.settings_layers import resolve
from tests.benchmarks.forecast_by_command import DATA_ROOT, forecasts, lake_of, mapping
from tests.benchmarks.forecast_policy import Workshop, carried_out, packed_of

FIRST, ROUNDS, EARLIER = 40, tuple(range(135, 159, 2)), (117, 121, 125, 129)
CLOCK = Clock(week_starts_on="thursday", row_days=7)
WEEK_1 = 1028  # the period of Dominick's week 1, which began on 1989-09-14
SAID = {"naive": 109.67, "seasonal_naive": 165.06, "mean": 70.74}
SOURCE = "dominicks_orange_juice"


def sales() -> pd.DataFrame:
    """One row per store, brand and week that exists: units, price, deal and feat, known four weeks before."""
    raw = pd.read_csv(DATA_ROOT / "dominicks_orange_juice" / "yx.csv.gz")
    prices = raw[[f"price{k}" for k in range(1, 12)]].to_numpy()
    period = raw["week"] + WEEK_1 - 1
    assert CLOCK.first_day(WEEK_1).isoformat() == "1989-09-14"
    return pd.DataFrame({
        "store_id": raw["store"].astype(str), "product_id": raw["brand"].astype(str), "category": "juice",
        "week": raw["week"], "period": period, "quantity": np.round(np.exp(raw["logmove"])), "logmove": raw["logmove"],
        "planned_price": prices[np.arange(len(raw)), raw["brand"] - 1], "planned_promotion": raw["feat"],
        "planned_deal": raw["deal"], "known": period - 4.0,
    })  # fmt: skip


def policy(rows: pd.DataFrame, *, last: int, workshop: Workshop, settings: JobSettings) -> pd.DataFrame:
    """What the policy says after week `last`, one row per store, brand and week."""
    recipe = settings.recipe()
    end, known = WEEK_1 - 1 + last, last - FIRST + 1
    events = sorted({CLOCK.period_of(day.date()) for day in holidays()})
    codes = {name: {v: n for n, v in enumerate(sorted(rows[name].unique()))} for name in ("store_id", "product_id")}
    frame = Frame(recipe, end, known, events, codes)
    packed = packed_of(rows, end=end, periods=known, future=recipe.reach)
    boosters = workshop.boosters(packed, frame)
    chosen, pools = carried_out(packed, frame, boosters)
    made = forecast_rows(chosen, frame, pools).assign(smear=boosters[-1].smear)
    return made.assign(week=[CLOCK.period_of(day) - WEEK_1 + 1 for day in made["date"]])


def holidays() -> list[pd.Timestamp]:
    """New Year, Memorial Day, Independence Day, Labor Day, Thanksgiving, Christmas of 1989 to 1993."""
    found = []
    for year in range(1989, 1994):
        found += [pd.Timestamp(year, 1, 1), pd.Timestamp(year, 7, 4), pd.Timestamp(year, 12, 25)]
        for month, weekday, number in ((5, 0, -1), (9, 0, 0), (11, 3, 3)):
            days = pd.date_range(f"{year}-{month}-01", periods=30)
            found.append(days[days.weekday == weekday][number])
    return found


def baseline(rows: pd.DataFrame, *, name: str, last: int) -> pd.DataFrame:
    """What a local model says on log units, by the protocol."""
    known = rows[rows["week"] <= last]
    wide = known.pivot_table(index=["store_id", "product_id"], columns="week", values="logmove")
    y: Array = wide.reindex(columns=range(FIRST, last + 1)).to_numpy()
    said = LOCAL[name](filled_forward(y), cuts=[y.shape[1]], reach=3, season=52)[0][:, 1:]
    found = pd.DataFrame(said, index=wide.index, columns=[last + 2, last + 3])
    return np.exp(found.rename_axis(columns="week").stack().rename("mean")).reset_index()


def pooled(rows: pd.DataFrame, made: pd.DataFrame) -> dict[str, float]:
    """MAPE, WAPE and bias, %, over the rows that exist; forecasts rounded."""
    keys = ["store_id", "product_id", "week"]
    found = rows[[*keys, "quantity"]].merge(made[[*keys, "mean"]], on=keys, how="inner", validate="one_to_one")
    error = found["mean"].round() - found["quantity"]
    units = found["quantity"].sum()
    return {"rows": float(len(found)), "MAPE": 100 * float((error.abs() / found["quantity"]).mean()),
            "WAPE": 100 * float(error.abs().sum() / units), "bias": 100 * float(error.sum() / units)}  # fmt: skip


def told(name: str, figures: dict[str, float], more: str = "") -> None:
    shown = "  ".join(f"{key} {value:6.2f}" for key, value in figures.items() if key != "rows")
    print(f"{name:16} {shown}  ({figures['rows']:,.0f} rows) {more}", flush=True)


def settings_of() -> JobSettings:
    """Those of the shipped mapping."""
    return section(resolve(files=[mapping(SOURCE)]), "forecast", JobSettings)


def by_command(rows: pd.DataFrame, lasts: tuple[int, ...], root: str) -> dict[str, float]:
    """The job over the rounds, each printed, and pooled."""
    parts = []
    for last in lasts:
        made = forecasts(SOURCE, root, as_of=CLOCK.first_day(WEEK_1 - 1 + last) + timedelta(days=6))
        parts.append(made.assign(week=[CLOCK.period_of(day) - WEEK_1 + 1 for day in made["date"]]))
        told(f"  to week {last}", pooled(rows, parts[-1]))
    return pooled(rows, pd.concat(parts))


def rounds(rows: pd.DataFrame, lasts: tuple[int, ...], settings: JobSettings) -> dict[str, float]:
    """The policy over the rounds without Spark, each printed, and pooled."""
    workshop, parts, began = Workshop(), [], time.monotonic()
    for last in lasts:
        parts.append(policy(rows, last=last, workshop=workshop, settings=settings))
        models = ", ".join(f"{m} {n // 2}" for m, n in parts[-1]["model"].value_counts().items())
        told(
            f"  to week {last}",
            pooled(rows, parts[-1]),
            f"{time.monotonic() - began:.0f} s: {models}; smear {parts[-1]['smear'].iloc[0]:.3f}",
        )
    return pooled(rows, pd.concat(parts))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--earlier", action="store_true", help="rounds before week 136, for choosing settings")
    arguments.add_argument("--lake", help="root of a lake that holds the source already")
    given, rows = arguments.parse_args(), sales()
    if given.earlier:
        told("earlier rounds", rounds(rows, EARLIER, settings_of()))
        return
    for name, mape in SAID.items():
        found = pooled(rows, pd.concat([baseline(rows, name=name, last=last) for last in ROUNDS]))
        told(name, found, f"said: MAPE {mape}")
    with lake_of(SOURCE, given.lake) as root:
        told("the job", by_command(rows, ROUNDS, root), "published: LightGBM MAPE 36.28, bias -39.5")


if __name__ == "__main__":
    main()
