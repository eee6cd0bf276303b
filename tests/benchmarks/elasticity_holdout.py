"""Shrinkage held to the weeks after it: RMSE of log units of orange juice, by weeks of training.

Regressors: log price, mean log price of the ten rivals, feat, deal; store-product means of the training weeks removed,
no week effects; series with at least 12 training rows; the next 26 weeks with known covariates. Nothing of the test
weeks is seen: spreads come by EM from the training weeks alone.

    python -m tests.benchmarks.elasticity_holdout
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from tests.benchmarks.in_memory import net_of_effects, shrunk_of

DATA_ROOT = Path(os.environ.get("RETAIL_SPARK__DATA_ROOT", Path(__file__).parents[2] / ".." / "shared" / "data"))
COLUMNS = ("price", "rival_price", "on_promotion", "on_deal")
BARS = {20: (0.590, 1.356), 26: (0.558, 0.715), 39: (0.596, 0.686), 52: (0.578, 0.604), 90: (0.563, 0.585)}
"""Weeks of training -> RMSE that shrinkage must not exceed, and that of every series alone."""
TEST_WEEKS, LEAST_ROWS = 26, 12
KEYS = ["store_id", "product_id"]


def main() -> None:
    rows = orange_juice()
    for weeks, (bar, alone) in BARS.items():
        found = score(rows, weeks=weeks)
        verdict = "reached" if found["shrunk"] <= bar else "missed"
        print(f"{weeks:>3} weeks, {found['series']:.0f} series, {found['rows']:.0f} test rows: alone "
              f"{found['alone']:.4f} (said {alone}), shrunk {found['shrunk']:.4f}, bar {bar}: {verdict}",
              flush=True)  # fmt: skip


def orange_juice() -> pd.DataFrame:
    """One row per store, brand and week."""
    raw = pd.read_csv(DATA_ROOT / "dominicks_orange_juice" / "yx.csv.gz")
    prices = np.log(raw[[f"price{n}" for n in range(1, 12)]].to_numpy())
    own = prices[np.arange(len(raw)), raw["brand"] - 1]
    return pd.DataFrame({
        "category": "orange juice", "store_id": raw["store"].astype(str), "product_id": raw["brand"].astype(str),
        "period": raw["week"] - raw["week"].min(), "y": raw["logmove"], "price": own,
        "rival_price": (prices.sum(axis=1) - own) / 10, "on_promotion": raw["feat"], "on_deal": raw["deal"] * 1.0,
    })  # fmt: skip


def score(rows: pd.DataFrame, *, weeks: int) -> dict[str, float]:
    """RMSE of the next weeks around the training means."""
    train = rows[rows["period"] < weeks]
    train = train[train.groupby(KEYS)["period"].transform("size") >= LEAST_ROWS]
    test = rows[(rows["period"] >= weeks) & (rows["period"] < weeks + TEST_WEEKS)]
    columns = ["y", *COLUMNS]
    means = train.groupby(KEYS)[columns].mean()
    test = test.join(means, on=KEYS, rsuffix="_mean", how="inner")
    centred = test[columns].to_numpy() - test[[f"{name}_mean" for name in columns]].to_numpy()
    told = shrunk_of(net_of_effects(train, columns, periods=False), COLUMNS)
    told = told[told["level"] == "unit"]
    slopes = pd.DataFrame(np.stack(told["slopes"]), index=pd.MultiIndex.from_frame(told[KEYS]))
    own = slopes.reindex(pd.MultiIndex.from_frame(test[KEYS])).to_numpy()
    alone = _alone(train, means).reindex(pd.MultiIndex.from_frame(test[KEYS])).to_numpy()

    def rmse(slopes: np.ndarray) -> float:
        return float(np.sqrt(np.mean((centred[:, 0] - (centred[:, 1:] * slopes).sum(axis=1)) ** 2)))

    return {"series": len(means), "rows": len(test), "shrunk": rmse(own), "alone": rmse(alone)}


def _alone(train: pd.DataFrame, means: pd.DataFrame) -> pd.DataFrame:
    found = {}
    for key, some in train.groupby(KEYS):
        x = some[list(COLUMNS)].to_numpy() - means.loc[key, list(COLUMNS)].to_numpy()
        found[key] = np.linalg.lstsq(x, some["y"].to_numpy() - means.loc[key, "y"], rcond=None)[0]
    return pd.DataFrame.from_dict(found, orient="index").set_axis(pd.MultiIndex.from_tuples(found), axis=0)


if __name__ == "__main__":
    main()
