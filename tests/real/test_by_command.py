"""Every ready mapping through every job that its tables allow, by the command and with the shipped file alone.

Here on cuts of the large files (whole stores, whole customers), four of them by `make real` alone; on the whole files,
with the published figures, by `make real` (test_figures).
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable

import pytest

from retail_spark.engine.catalogue import all_jobs
from tests.real.conftest import ShopOf
from tests.real.shops import REPO, Shop

pytestmark = pytest.mark.slow

RUNS = {
    "online_retail": {"kpis", "customers", "recommend", "forecast", "elasticity"},
    "complete_journey_sample": {"kpis", "customers", "recommend", "forecast", "elasticity"},
    "dataco_orders": {"kpis", "customers", "recommend", "forecast", "elasticity", "supplier_risk"},
    "dominicks_orange_juice": {"kpis", "forecast", "elasticity"},
    "walmart_weekly_sales": {"kpis", "forecast"},
    "bakery_newsvendor": {"kpis", "forecast"},
    "cdnow": {"kpis", "customers"},
    "cdnow_sample": {"customers"},
    "scms_deliveries": {"supplier_risk"},
    "apache_access_log": {"sessionize"},
    "cookie_cats_ab": {"experiments"},
    "starbucks_promotion": {"experiments"},
    "diginetica_views": {"sessionize"},
}
"""Source -> the jobs beside ingest that it feeds."""
_GENERATED = {"synthetic", "synthetic_market", "complete_journey"}
"""Mappings of what is made here, and of the package that `make grocery` installs."""
GONE = ("quarantined", "exact_duplicates", "filtered", "collapsed")


KPIS_BESIDE_SALES = """
SELECT k.day, k.revenue, k.customers, d.sold, d.buyers FROM k JOIN (
  SELECT cast(sold_at AS date) AS day, sum(quantity * unit_price) AS sold,
         count(DISTINCT CASE WHEN quantity > 0 THEN customer_id END) AS buyers
  FROM s GROUP BY cast(sold_at AS date)) d ON d.day = k.day
WHERE k.level = 'all'"""
DEAR = {"online_retail", "complete_journey_sample", "dataco_orders", "bakery_newsvendor"}
"""Sources whose jobs take minutes even on a cut: by `make real`, until they are cheaper or CI has room."""


@pytest.fixture(scope="module", params=[pytest.param(n, marks=pytest.mark.real if n in DEAR else ()) for n in RUNS])
def shop(request: pytest.FixtureRequest, cut_shop: ShopOf) -> Shop:
    """The cut of a source after one pipeline by its command."""
    found = cut_shop(request.param)
    statuses = found.pipeline()
    ended = {name for name, status in statuses.items() if status in ("done", "gate_refused")}
    assert ended == {"ingest", *RUNS[request.param]}, statuses
    return found


def test_no_ready_mapping_is_left_out() -> None:
    assert {path.stem for path in (REPO / "conf" / "sources").glob("*.yml")} == {*RUNS, *_GENERATED}


def test_no_row_is_lost_on_the_way_into_silver(shop: Shop) -> None:
    told = shop.metrics["ingest"]
    tables = {name.partition(".")[0] for name in told if name.endswith(".rows_in")}
    assert tables
    for table in tables:
        parts = {part: int(told[f"{table}.{part}"]) for part in ("rows_in", "kept", *GONE)}
        assert parts["rows_in"] == parts["kept"] + sum(parts[part] for part in GONE), (table, parts)
        assert shop.count(f"silver.{table}") == parts["kept"]


def test_every_gold_table_with_a_status_is_sound(shop: Shop) -> None:
    with_status = [t for t in shop.tables if t.startswith("gold.") and "status" in _columns(shop, t)]
    for table in with_status:
        statuses = shop.statuses(table)
        failed = statuses.get("failed", 0)
        assert failed == 0, (table, statuses, shop.rows("SELECT * FROM t WHERE status = 'failed' LIMIT 2", t=table))


def test_kpis_of_a_day_are_what_its_sales_add_up_to(shop: Shop) -> None:
    """To half a cent: the job rounds each line to a millionth, so that the order of lines changes nothing."""
    if "kpis" not in RUNS[shop.source]:
        assert "gold.kpis_daily" not in shop.tables, "a source without sales has no kpis"
        return
    days = shop.rows(KPIS_BESIDE_SALES, k="gold.kpis_daily", s="silver.sales")
    assert days
    for day in days:
        assert day["revenue"] == pytest.approx(day["sold"], rel=1e-9, abs=0.005), day
        assert (day["customers"] or 0) == day["buyers"], day


def test_a_second_call_of_a_job_is_unchanged(shop: Shop) -> None:
    name = next((name for name in all_jobs() if name in RUNS[shop.source]), "ingest")
    again = shop.command("run", name)
    assert again.returncode == 0, again.stderr
    assert '"status": "unchanged"' in again.stdout.splitlines()[-1]


def _columns(shop: Shop, table: str) -> set[str]:
    return set(shop.rows("SELECT * FROM t LIMIT 1", t=table)[0]) if shop.count(table) else set()


# what single sources must say


def lines_of(shop: Shop, name: str) -> list[dict[str, str]]:
    path = shop.data_root / shop.source / name
    with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def check_online_retail(shop: Shop) -> None:
    customers = {line["CustomerID"] for line in lines_of(shop, "online_retail.csv.gz")} - {""}
    rows = shop.rows("SELECT customer_id, list, rank FROM t", t="gold.recommendations")
    assert {row["list"] for row in rows} == {"all", "discover"}
    assert {row["customer_id"] for row in rows} - {"*"} <= customers
    ranks: dict[tuple[str, str], set[int]] = {}
    for row in rows:
        ranks.setdefault((row["list"], row["customer_id"]), set()).add(row["rank"])
    assert all(found == set(range(1, len(found) + 1)) for found in ranks.values()), "no rank is missing"
    assert len(rows) == sum(map(len, ranks.values())), "no rank is given twice"
    check_forecasts(shop)


def check_forecasts(shop: Shop) -> None:
    assert shop.count("gold.forecasts", "mean < lo_95 OR mean > hi_95") == 0
    by_series = "SELECT store_id, product_id, count(*) AS n FROM t GROUP BY store_id, product_id"
    steps = shop.rows(by_series, t="gold.forecasts")
    assert len({row["n"] for row in steps}) == 1, "every series has every step"
    sold = shop.value("SELECT count(*) AS n FROM (SELECT DISTINCT store_id, product_id FROM t)", t="silver.sales")
    assert len(steps) >= sold


def check_orange_juice(shop: Shop) -> None:
    check_forecasts(shop)
    signs = shop.rows("SELECT estimate FROM t WHERE level = 'all'", t="gold.elasticity_estimates")
    assert signs
    own = shop.value("SELECT avg(elasticity) AS e FROM t WHERE status = 'ok'", t="gold.elasticities")
    assert -5 < own < -1.5, "orange juice reacts to its price"


def check_dataco(shop: Shop) -> None:
    check_forecasts(shop)
    check_deliveries(shop)


def check_deliveries(shop: Shop) -> None:
    assert shop.count("gold.supplier_risk") > 0
    assert shop.count("gold.delivery_risk", "p_late < 0 OR p_late > 1 OR p_late IS NULL") == 0


def check_experiments(shop: Shop) -> None:
    rows = shop.rows("SELECT status, decision, effect, effect_low, effect_high FROM t", t="gold.experiment_results")
    assert rows
    assert {row["status"] for row in rows} == {"ok"}
    assert all(row["effect_low"] <= row["effect"] <= row["effect_high"] for row in rows)


def check_cdnow(shop: Shop) -> None:
    """Counts of PROVENANCE.md."""
    assert shop.count("silver.sales") == 69_659
    assert shop.count("silver.customers") == 23_570


def check_cdnow_sample(shop: Shop) -> None:
    """The published sample: 2,357 people, of whom 1,139 had come again by the end."""
    assert shop.statuses("gold.customer_value") == {"ok": 2_349, "no_spend": 8}
    assert shop.metrics["customers"]["rmse_purchases"] <= 1.608


def check_sessions_of_diginetica(shop: Shop) -> None:
    assert shop.count("gold.sessions") == 2_986


def check_sessions_of_apache(shop: Shop) -> None:
    assert shop.count("gold.sessions") == 3_223
    assert shop.count("silver.events") == 9_999


CHECKS: dict[str, Callable[[Shop], None]] = {
    "online_retail": check_online_retail,
    "complete_journey_sample": check_forecasts,
    "dataco_orders": check_dataco,
    "dominicks_orange_juice": check_orange_juice,
    "walmart_weekly_sales": check_forecasts,
    "bakery_newsvendor": check_forecasts,
    "cookie_cats_ab": check_experiments,
    "starbucks_promotion": check_experiments,
    "cdnow": check_cdnow,
    "cdnow_sample": check_cdnow_sample,
    "scms_deliveries": check_deliveries,
    "apache_access_log": check_sessions_of_apache,
    "diginetica_views": check_sessions_of_diginetica,
}


def test_the_rows_say_what_this_source_is_known_for(shop: Shop) -> None:
    CHECKS[shop.source](shop)
