"""The figures of `customers` by its command: CDNOW's sample as in the papers, and Online Retail with its last 100 days
held out. `python -m tests.benchmarks.customers_value [FOLDER]` prints them from the output tables."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.conftest import DATA_ROOT
from tests.real.shops import Shop

PUBLISHED = {
    ("bg_nbd", "r"): 0.2426, ("bg_nbd", "alpha"): 4.4135, ("bg_nbd", "a"): 0.7929, ("bg_nbd", "b"): 2.4258,
    ("pareto_nbd", "r"): 0.5533, ("pareto_nbd", "alpha"): 10.577, ("pareto_nbd", "s"): 0.6062,
    ("pareto_nbd", "beta"): 11.667, ("gamma_gamma", "p"): 6.249, ("gamma_gamma", "q"): 3.745,
    ("gamma_gamma", "v"): 15.448,
}  # fmt: skip
FIGURES = ("rmse_purchases", "rmse_purchases_naive", "rmse_purchases_average", "bias_purchases", "rmse_value",
           "rmse_value_naive", "bias_value", "bias_value_naive", "top_decile_share")  # fmt: skip


def run(shop: Shop, *words: str) -> None:
    ended = shop.command("run", *words)
    assert ended.returncode == 0, ended.stderr


def print_metrics(shop: Shop) -> None:
    found = shop.metrics["customers"]
    for name in FIGURES:
        print(f"  {name:<26} {found.get(name, float('nan')):10.4f}")


def main(folder: Path) -> None:
    shop = Shop("cdnow_sample", DATA_ROOT, folder / "cdnow_sample")
    for words in (("ingest",), ("customers", "--as-of", "1997-09-30")):
        run(shop, *words)
    print("CDNOW's sample, fitted to 1997-09-30 (published)")
    for row in shop.rows("SELECT * FROM m ORDER BY model, parameter", m="gold.customer_models"):
        known = PUBLISHED.get((row["model"], row["parameter"]))
        print(f"  {row['model']:<12} {row['parameter']:<6} {row['estimate']:9.4f}  ({known or 'none'})  "
              f"log likelihood {row['log_likelihood']:.2f}")  # fmt: skip
    run(shop, "customers")
    print("CDNOW's sample, the 39 weeks after it held out (RMSE at most 1.608)")
    print_metrics(shop)
    shop = Shop("online_retail", DATA_ROOT, folder / "online_retail")
    run(shop, "ingest")
    run(shop, "customers")
    print("Online Retail, its last third (at most 182 days) held out")
    print_metrics(shop)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp()))
