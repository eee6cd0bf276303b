"""The whole real files through the commands of the README, with the shipped mappings alone: `make real`.

A bar that is missed is printed as missed; what fails here is a command that fails, a lost row, or no figure at all.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from tests.real.figures import Figure, at_least, at_most, note
from tests.real.shops import Shop

pytestmark = pytest.mark.real


@pytest.fixture
def shop_of(data_folder: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Shop]:
    """A lake that the whole source was ingested into, by the command."""

    def open_shop(source: str) -> Shop:
        shop = Shop(source, data_folder(source).parent, tmp_path / "lake")
        run(shop, "ingest")
        return shop

    return open_shop


def run(shop: Shop, *words: str) -> str:
    """One run by its command; its text for the table."""
    ended = shop.command("run", *words)
    assert ended.returncode == 0, ended.stderr
    return f"run {' '.join(words)} -c conf/sources/{shop.source}.yml"


def metric(shop: Shop, job: str, name: str) -> float:
    """A metric of the newest run of a job, from ops.metrics."""
    sql = "SELECT value FROM m JOIN r ON m.run_id = r.run_id AND m.attempt = r.attempt"
    where = f"WHERE m.job = '{job}' AND m.metric = '{name}' ORDER BY r.finished_at DESC LIMIT 1"
    return float(shop.value(f"{sql} {where}", m="ops.metrics", r="ops.job_runs"))


def test_online_retail(shop_of: Callable[[str], Shop]) -> None:
    shop = shop_of("online_retail")
    told = run(shop, "recommend")
    note(
        at_least("online_retail nDCG@10 all", metric(shop, "recommend", "ndcg_at_10"), 0.385, told),
        at_least("online_retail nDCG@10 discover", metric(shop, "recommend", "ndcg_at_10_discover"), 0.112, told),
    )
    for job in ("elasticity", "forecast"):
        run(shop, job)
    assert shop.count("gold.forecasts") > 0
    assert shop.statuses("gold.elasticities").get("failed", 0) == 0


def test_walmart(shop_of: Callable[[str], Shop], data_folder: Callable[[str], Path]) -> None:
    shop = shop_of("walmart_weekly_sales")
    told = run(shop, "forecast", "--as-of", "2012-01-27", "--set", "forecast.horizon=39")
    holidays = set()
    with gzip.open(data_folder("walmart_weekly_sales") / "train.csv.gz", "rt") as file:
        holidays = {line["Date"] for line in csv.DictReader(file) if line["IsHoliday"] == "TRUE"}
    sql = (
        "SELECT s.day, s.quantity, f.mean, f.p10, f.p90, f.lo_95, f.hi_95 FROM "
        "(SELECT store_id, product_id, cast(sold_at AS date) AS day, sum(quantity) AS quantity FROM s "
        "WHERE sold_at >= timestamp '2012-01-28' AND sold_at < timestamp '2012-10-27' GROUP BY 1, 2, 3) s "
        "LEFT JOIN f ON f.store_id = s.store_id AND f.product_id = s.product_id AND f.date = s.day"
    )
    rows = shop.rows(sql, s="silver.sales", f="gold.forecasts")
    assert len(rows) > 100_000
    # the source dates a week by its Friday; a series without history is predicted 0
    fridays = {row["day"]: str(date.fromordinal(row["day"].toordinal() + 6)) for row in rows}
    weight = {day: 5.0 if friday in holidays else 1.0 for day, friday in fridays.items()}
    total = sum(weight[row["day"]] for row in rows)
    wmae = sum(weight[row["day"]] * abs(row["quantity"] - (row["mean"] or 0.0)) for row in rows) / total
    inside = {
        name: 100 * sum((row[low] or 0.0) <= row["quantity"] <= (row[high] or 0.0) for row in rows) / len(rows)
        for name, low, high in (("80 %", "p10", "p90"), ("95 %", "lo_95", "hi_95"))
    }
    note(
        at_most("walmart WMAE", wmae, 1_500, told),
        Figure("walmart 80 % intervals hold, %", inside["80 %"], 77, 83, told),
        Figure("walmart 95 % intervals hold, %", inside["95 %"], 93, 97, told),
    )


def test_orange_juice_elasticity(shop_of: Callable[[str], Shop]) -> None:
    """The ten published figures of the pooled regressions."""
    shop = shop_of("dominicks_orange_juice")
    told = run(shop, "elasticity")
    published = {
        ("ols", "price", "estimate"): -3.2892, ("ols", "price", "std_error_store"): 0.0481,
        ("ols", "price", "std_error"): 0.1233, ("iv", "price", "estimate"): -3.3150,
        ("iv", "price", "std_error"): 0.3490, ("iv", "price", "first_stage_f"): 131.9,
        ("lags", "price", "estimate"): -3.4493, ("lags", "long_run", "estimate"): -2.9699,
    }  # fmt: skip
    rows = shop.rows("SELECT * FROM e WHERE level = 'all'", e="gold.elasticity_estimates")
    for (estimator, term, column), value in published.items():
        (row,) = (r for r in rows if r["estimator"] == estimator and r["term"] == term)
        slack = 0.05 if column == "first_stage_f" else 0.00005
        name = f"orange juice {estimator} {term} {column} ({value:g})"
        note(Figure(name, row[column], value - slack, value + slack, told))


def test_scms(shop_of: Callable[[str], Shop]) -> None:
    shop = shop_of("scms_deliveries")
    told = run(shop, "supplier_risk")
    note(
        at_least("scms AUC", metric(shop, "supplier_risk", "auc"), 0.833, told),
        at_most("scms Brier", metric(shop, "supplier_risk", "brier"), 0.0922, told),
    )
    run(shop, "supplier_risk", "--as-of", "2014-05-01")


def test_dataco(shop_of: Callable[[str], Shop]) -> None:
    shop = shop_of("dataco_orders")
    told = run(shop, "supplier_risk")
    note(Figure("dataco AUC", metric(shop, "supplier_risk", "auc"), 0.77, 0.79, told))
    for job in ("recommend", "elasticity", "forecast"):
        run(shop, job)


def test_complete_journey_sample(shop_of: Callable[[str], Shop]) -> None:
    shop = shop_of("complete_journey_sample")
    for job in ("recommend", "elasticity", "forecast"):
        run(shop, job)
    assert shop.count("gold.forecasts") > 0


@pytest.mark.parametrize(("source", "sessions"), [("diginetica_views", 2_986), ("apache_access_log", 3_223)])
def test_sessions(shop_of: Callable[[str], Shop], source: str, sessions: int) -> None:
    shop = shop_of(source)
    told = run(shop, "sessionize")
    note(Figure(f"{source} sessions", shop.count("gold.sessions"), sessions, sessions, told))
