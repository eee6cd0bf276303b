"""Do 95 % intervals hold the truth? 1,000 made-up products whose prices follow the season of their demand.

Every category has a season of its own, and shops are dearer in it. The job's columns (period effects by category,
season by store-product) against a regression by product without any season.

    python -m tests.benchmarks.elasticity_truth [--products 1000] [--stores 8] [--weeks 104]
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from tests.benchmarks.in_memory import net_of_effects, shrunk_of

CATEGORIES = 10


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--products", type=int, default=1000)
    arguments.add_argument("--stores", type=int, default=8)
    arguments.add_argument("--weeks", type=int, default=104)
    given = arguments.parse_args()
    rows, truth = made_up(given.products, given.stores, given.weeks, seed=42)
    print(f"{given.products} products in {CATEGORIES} categories, {given.stores} stores, {given.weeks} weeks")
    naive(rows, truth)
    angle = 2 * np.pi * 7 / 365.25 * rows["period"]
    rows = rows.assign(season_cos_1=np.cos(angle), season_sin_1=np.sin(angle))
    columns = ("price", "on_promotion", "season_cos_1", "season_sin_1")
    told = shrunk_of(net_of_effects(rows, ("y", *columns), periods=True), columns)
    by_product = told[told["level"] == "product"].set_index("product_id")
    report("products, shrunk", by_product["elasticity"], by_product["std_error"], truth["product"])
    report("products, own rows", by_product["raw_elasticity"], by_product["raw_std_error"], truth["sampled"])
    by_unit = told[told["level"] == "unit"].set_index(["store_id", "product_id"])
    report("store-products, shrunk", by_unit["elasticity"], by_unit["std_error"], truth["unit"])


def made_up(products: int, stores: int, weeks: int, *, seed: int) -> tuple[pd.DataFrame, dict[str, pd.Series]]:
    """Rows with y = log units and price = log price, and the true elasticities by product and by store-product."""
    rng = np.random.default_rng(seed)
    product, store, week = (axis.ravel() for axis in np.indices((products, stores, weeks)))
    category = product % CATEGORIES
    phase = rng.uniform(0, 2 * np.pi, CATEGORIES)
    season = np.cos(2 * np.pi * week * 7 / 365.25 - phase[category])
    of_product = rng.normal(rng.uniform(-3, -1.4, CATEGORIES)[np.arange(products) % CATEGORIES], 0.4)
    of_unit = of_product[:, None] + rng.normal(0, 0.25, (products, stores))
    promoted = rng.uniform(size=(products, weeks)) < 0.1
    shared = rng.normal(0, 0.06, (products, weeks)) - 0.15 * promoted
    price = 0.1 * season + shared[product, week] + rng.normal(0, 0.05, len(week))
    weekly = rng.normal(0, 0.12, (products, weeks))[product, week]
    y = (
        of_unit[product, store] * price + 0.3 * promoted[product, week] + 0.5 * season + weekly
        + rng.normal(0, 0.35, len(week)) + rng.normal(0, 1, (products, stores))[product, store]
    )  # fmt: skip
    names = np.array([f"p{n:04d}" for n in range(products)])
    rows = pd.DataFrame({
        "category": np.array([f"c{n}" for n in range(CATEGORIES)])[category], "product_id": names[product],
        "store_id": np.array([f"s{n}" for n in range(stores)])[store], "period": week.astype(np.int32), "y": y,
        "price": price, "on_promotion": promoted[product, week].astype(float),
    })  # fmt: skip
    index = pd.MultiIndex.from_product([names, [f"s{n}" for n in range(stores)]]).swaplevel()
    truth = {"product": pd.Series(of_product, names), "sampled": pd.Series(of_unit.mean(axis=1), names),
             "unit": pd.Series(of_unit.ravel(), index)}  # fmt: skip
    return rows, truth


def naive(rows: pd.DataFrame, truth: dict[str, pd.Series]) -> None:
    """Least squares by product with store means removed and no season."""
    centred = rows[["y", "price", "on_promotion"]] - rows.groupby(["product_id", "store_id"])[
        ["y", "price", "on_promotion"]].transform("mean")  # fmt: skip
    found = {}
    for product, at in rows.groupby("product_id").indices.items():
        y, x = centred["y"].to_numpy()[at], centred[["price", "on_promotion"]].to_numpy()[at]
        inverse = np.linalg.inv(x.T @ x)
        slope = inverse @ x.T @ y
        left = y - x @ slope
        scores = np.add.reduceat(np.take(x * left[:, None], order := np.argsort(rows["period"].to_numpy()[at],
                                 kind="stable"), axis=0), np.unique(rows["period"].to_numpy()[at][order],
                                 return_index=True)[1])  # fmt: skip
        found[product] = (slope[0], np.sqrt((inverse @ scores.T @ scores @ inverse)[0, 0]))
    table = pd.DataFrame.from_dict(found, orient="index", columns=["value", "error"])
    report("products, no season (must fail)", table["value"], table["error"], truth["sampled"], must_fail=True)


def report(name: str, value: pd.Series, error: pd.Series, truth: pd.Series, *, must_fail: bool = False) -> None:
    apart = value - truth.reindex(value.index)
    share = float((apart.abs() < 1.96 * error).mean())
    reached = (0.93 <= share <= 0.97) != must_fail
    print(f"  {name:32} covered {share:6.1%}, mean error {apart.mean():+.3f}, rmse {np.sqrt((apart**2).mean()):.3f}, "
          f"mean std error {error.mean():.3f}: {'reached' if reached else 'missed'}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
