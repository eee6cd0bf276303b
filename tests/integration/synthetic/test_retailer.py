"""The made-up retailer: the same for the same seed, and its truth can be found in its exports (the house's own)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from retail_spark.config.section import section
from retail_spark.engine.job import Outcome, Run
from retail_spark.engine.progress import Progress
from retail_spark.engine.settings_layers import resolve
from retail_spark.ingest.job import JOB as INGEST
from retail_spark.ingest.job import pin_sources
from retail_spark.ingest.mapping import mapping_of
from retail_spark.lake.content_hash import content_hash
from retail_spark.lake.lake import Lake
from retail_spark.synthetic.clicks import GAP_MS
from retail_spark.synthetic.contracts import RAW, TRUTH
from retail_spark.synthetic.faults import DROPPED, FAULTS
from tests.integration.synthetic.conftest import Make, Table

pytestmark = pytest.mark.slow

Frame = Callable[[str], pd.DataFrame]
MAPPING = Path(__file__).parents[3] / "conf" / "sources" / "synthetic.yml"
GAP_SECONDS = GAP_MS / 1000
HANDFUL = {
    "size": "tiny", "stores": 2, "products": 8, "customers": 60, "weeks": 8, "sale_lines": 300, "visits": 40,
    "deliveries": 30, "exposures": 20, "suppliers": 3, "bad_rows": 1,
}  # fmt: skip


def hashes(outcome: Outcome, *names: str) -> dict[str, str]:
    """Content of the tables of these names; without names, of all."""
    assert isinstance(outcome.tables, tuple)
    chosen = [write for write in outcome.tables if not names or write.contract.name in names]
    return {write.contract.name: content_hash(write.frame) for write in chosen}


@pytest.fixture(scope="session")
def handful(make: Make) -> Outcome:
    return make(**HANDFUL)


def test_equal_seeds_make_equal_retailers_whatever_the_partitions(
    spark: SparkSession, make: Make, handful: Outcome
) -> None:
    before = spark.conf.get("spark.sql.shuffle.partitions")
    try:
        spark.conf.set("spark.sql.shuffle.partitions", "7")
        spark.conf.set("spark.sql.adaptive.enabled", "false")
        again = hashes(make(**HANDFUL))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", str(before))
        spark.conf.set("spark.sql.adaptive.enabled", "true")
    assert hashes(handful) == again
    assert set(again) == {contract.name for contract in (*RAW, *TRUTH)}


def test_another_seed_makes_another_retailer(make: Make, handful: Outcome) -> None:
    names = ("raw.sales", "raw.products", "truth.customers", "raw.deliveries")
    other, ours = hashes(make(seed=43, **HANDFUL), *names), hashes(handful, *names)
    assert len(other) == len(names)
    assert all(other[name] != ours[name] for name in names)


@pytest.fixture(scope="session")
def sold(frame: Frame) -> pd.DataFrame:
    """Good sales lines, without returns."""
    sales = frame("raw.sales")
    good = sales[~sales["line"].fillna("BAD").str.startswith("BAD")].copy()
    good["qty"] = good["qty"].astype(float)
    good["date"] = pd.to_datetime(good["sold_at"]).dt.date
    return good[good["qty"] > 0]


@pytest.fixture(scope="session")
def cells(frame: Frame, sold: pd.DataFrame) -> pd.DataFrame:
    """True demand beside units sold, and the product's truth."""
    units = sold.groupby(["store", "sku", "date"], as_index=False)["qty"].sum()
    demand = frame("truth.demand").merge(frame("truth.products"), on="product_id", suffixes=("", "_p"))
    keys = {"store": "store_id", "sku": "product_id"}
    joined = demand.merge(
        units.rename(columns=keys), on=["store_id", "product_id", "date"], how="outer", indicator=True
    )
    assert (joined["_merge"] != "right_only").all(), "a sale of what was not listed or not open"
    return joined.assign(qty=joined["qty"].fillna(0.0))


def lifts(cells: pd.DataFrame) -> pd.Series:
    return cells["feature_lift"] * cells["on_promotion"] + cells["display_lift"] * cells["on_display"]


def test_demand_answers_prices_with_the_true_elasticity(cells: pd.DataFrame) -> None:
    answer = np.log(cells["mean_units"] / cells["base_units"]) - lifts(cells)
    price = np.log(cells["unit_price"] / cells["base_price"])
    for _, rows in cells.assign(x=price, y=answer).groupby("product_id"):
        found = float((rows["x"] * rows["y"]).sum() / (rows["x"] ** 2).sum())
        assert found == pytest.approx(rows["elasticity"].iloc[0], abs=1e-6)


def test_units_sold_recover_the_elasticity(cells: pd.DataFrame) -> None:
    """Poisson regression of units on log price, all else known, within four standard errors; most within two."""
    kept = cells[~cells["is_out_of_stock"]]
    price = np.log(kept["unit_price"] / kept["base_price"])
    errors = []
    for _, rows in kept.assign(x=price, base=kept["base_units"] * np.exp(lifts(kept))).groupby("product_id"):
        x, y, base = rows["x"].to_numpy(), rows["qty"].to_numpy(), rows["base"].to_numpy()
        if y.sum() < 100:
            continue
        beta = -1.5
        for _ in range(30):
            mean = base * np.exp(beta * x)
            beta += ((y - mean) * x).sum() / (mean * x * x).sum()
        mean = base * np.exp(beta * x)
        spread = np.sqrt(((y - mean) ** 2 * x * x).sum()) / (mean * x * x).sum()
        errors.append((beta - rows["elasticity"].iloc[0]) / spread)
    assert len(errors) >= 8
    assert max(abs(e) for e in errors) < 4
    assert np.mean([abs(e) < 2 for e in errors]) > 0.8


def test_units_sold_are_what_was_wanted_and_in_stock(cells: pd.DataFrame) -> None:
    is_out = cells["is_out_of_stock"].astype(bool)
    assert 0 < is_out.mean() < 0.05
    assert cells.loc[is_out, "qty"].sum() == 0
    kept = cells[~is_out]
    assert kept["qty"].sum() / kept["mean_units"].sum() == pytest.approx(1, abs=0.05)


def test_seasons_weekdays_and_holidays_move_demand(cells: pd.DataFrame) -> None:
    dates = pd.to_datetime(cells["date"])
    by_day = cells.groupby(dates.dt.dayofweek)["mean_units"].mean()
    assert by_day[5] > by_day[0] > by_day[6]
    assert not ((dates.dt.month == 12) & (dates.dt.day == 25)).any()
    before_christmas = (dates.dt.month == 12) & dates.dt.day.between(22, 24)
    november = dates.dt.month == 11
    assert cells.loc[before_christmas, "mean_units"].mean() > cells.loc[november, "mean_units"].mean()


def test_customers_buy_what_they_like(frame: Frame, sold: pd.DataFrame) -> None:
    """Customers in the upper half of liking for a product buy most of it, beyond their activity."""
    customers, products = (
        frame("truth.customers").set_index("customer_id"),
        frame("truth.products").set_index("product_id"),
    )
    liking = np.stack(customers["factors"].to_list()) @ np.stack(products["factors"].to_list()).T
    score = pd.DataFrame(liking, index=customers.index, columns=products.index)
    rank = score.rank(axis=0, pct=True)
    known = sold[sold["card"].notna()]
    weight = customers["activity"].reindex(known["card"]).to_numpy()
    got = np.array([rank.at[card, sku] for card, sku in zip(known["card"], known["sku"], strict=True)])
    assert np.average(got, weights=1 / weight) > 0.65
    assert np.allclose(np.stack(customers["factors"].to_list()).sum(axis=1), 1)


def test_customers_come_back_for_the_same_products(sold: pd.DataFrame) -> None:
    days = sold[sold["card"].notna()].groupby(["card", "sku"])["date"].nunique()
    assert (days >= 3).mean() > 0.15
    assert 0.08 < sold["card"].isna().mean() < 0.5


def test_returns_follow_their_sale_at_its_price(frame: Frame, sold: pd.DataFrame) -> None:
    sales = frame("raw.sales")
    back = sales[sales["line"].fillna("").str.endswith("-R")]
    assert 0.005 < len(back) / len(sold) < 0.03
    pairs = back.assign(line=back["line"].str.removesuffix("-R")).merge(sold, on="line", suffixes=("", "_sale"))
    assert len(pairs) == len(back)
    assert (pairs["qty"].astype(float) == -pairs["qty_sale"]).all()
    assert (pairs["price"] == pairs["price_sale"]).all()
    assert (pairs["receipt"] == pairs["receipt_sale"]).all()
    assert (pairs["sold_at"] > pairs["sold_at_sale"]).all()


def test_plans_reach_beyond_the_last_sale_and_were_known_before(frame: Frame, sold: pd.DataFrame) -> None:
    plans = frame("raw.planned_prices")
    week, known = pd.to_datetime(plans["week_start"]), pd.to_datetime(plans["known_on"])
    assert (week.dt.dayofweek == 0).all()
    assert (known < week).all()
    last = pd.Timestamp(max(sold["date"]))
    assert week.max() == last + pd.Timedelta(days=1 + 7 * 7)
    assert known.max() <= last
    assert not plans.duplicated(["store", "sku", "week_start"]).any()


@pytest.fixture(scope="session")
def clicks(frame: Frame) -> pd.DataFrame:
    """Good events with their true session, in order."""
    joined = frame("truth.sessions").merge(frame("raw.events"), left_on="event_id", right_on="event")
    joined["at"] = pd.to_datetime(joined["occurred_at"])
    return joined.sort_values(["visitor_id", "at", "event_id"])


def test_sessions_are_those_of_the_thirty_minute_rule(clicks: pd.DataFrame) -> None:
    same_visitor = clicks["visitor_id"] == clicks["visitor_id"].shift()
    pause = clicks["at"].diff().dt.total_seconds()
    same_session = clicks["session_id"] == clicks["session_id"].shift()
    assert (pause[same_visitor & same_session] <= GAP_SECONDS).all()
    assert (pause[same_visitor & ~same_session] > GAP_SECONDS).all()
    assert (pause[same_visitor & same_session] == GAP_SECONDS).any(), "a pause of exactly 30 minutes is there to trip"
    assert (pause[same_visitor & ~same_session] < 2.1 * GAP_SECONDS).any()
    assert clicks.groupby("session_id")["visitor_id"].nunique().max() == 1


def test_robots_are_few_busy_and_mostly_declared(clicks: pd.DataFrame) -> None:
    visitors = clicks.groupby("visitor_id").agg(is_bot=("is_bot", "first"), events=("event_id", "count"))
    assert 0 < visitors["is_bot"].mean() < 0.1
    assert visitors.groupby("is_bot")["events"].mean()[True] > 5 * visitors.groupby("is_bot")["events"].mean()[False]
    assert (clicks["is_bot"] | ~clicks["is_declared_bot"]).all()
    said_so = clicks["user_agent"].str.contains("(?i)bot|python-requests")
    assert (said_so == clicks["is_declared_bot"]).all()


def test_purchases_follow_a_cart_and_carry_order_and_value(clicks: pd.DataFrame) -> None:
    bought = clicks["type"] == "purchase"
    assert bought.any()
    assert (clicks["type"].shift()[bought] == "add_to_cart").all()
    assert clicks.loc[bought, ["order_no", "value"]].notna().all().all()
    assert clicks.loc[~bought, "order_no"].isna().all()


def test_shipments_are_late_as_often_as_their_probability_says(frame: Frame) -> None:
    truth = frame("truth.deliveries").merge(frame("raw.deliveries"), left_on="delivery_id", right_on="line")
    closed = truth[truth["delivered_on"].notna()]
    assert ((closed["delivered_on"] > closed["promised_on"]) == closed["is_late"]).all()
    shipments = truth.drop_duplicates("shipment")
    assert (truth.groupby("shipment")["is_late"].nunique() == 1).all()
    for _, rows in shipments.groupby(pd.qcut(shipments["p_late"], 4), observed=True):
        spread = np.sqrt((rows["p_late"] * (1 - rows["p_late"])).sum()) / len(rows)
        assert abs(rows["is_late"].mean() - rows["p_late"].mean()) < 4 * spread
    last = "2024-12-29"
    assert (closed["recorded_on"] <= last).all()
    assert truth["delivered_on"].isna().any()


def test_suppliers_rates_bound_what_their_lines_say(frame: Frame) -> None:
    suppliers = frame("truth.suppliers")
    lines = frame("truth.deliveries").merge(frame("raw.deliveries"), left_on="delivery_id", right_on="line")
    plain = (lines["mode"] == "road") & (pd.to_datetime(lines["promised_on"]).dt.month < 10)
    joined = lines[plain].merge(suppliers, on="supplier_id")
    changed = joined["changed_on"].notna() & (
        pd.to_datetime(joined["promised_on"]) >= pd.to_datetime(joined["changed_on"])
    )
    expected = joined["late_rate_after"].where(changed, joined["late_rate"])
    assert np.allclose(joined["p_late"], expected, atol=2e-6)


def test_ingest_finds_every_bad_row_and_keeps_all_others(tiny: Lake, table: Table) -> None:
    every = resolve(files=[MAPPING], sets=[f"lake.root={tiny.root}", "ingest.max_quarantined_share=0.2"])
    faulty = {fault.table.table.parts[-1]: fault.table for fault in FAULTS}
    tables = {name: spec for name, spec in mapping_of(every).tables.items() if name in faulty}
    settings = every.model_copy(update={"tables": tables})
    run = Run(
        id="test",
        job="ingest",
        known_until=None,
        seed=42,
        spark=tiny.spark,
        lake=tiny,
        settings=settings,
        pins={contract.name: tiny.pin(contract.table) for contract in INGEST.writes},
        last_pins={},
        progress=Progress("test", quiet=True),
        sources=pin_sources(tiny, settings),
    )
    metrics = INGEST(run, section(settings, "ingest", INGEST.settings)).metrics
    expected: dict[str, int] = {}
    for bad in table("truth.bad_rows").collect():
        name = bad["table"].removeprefix("raw.")
        key = f"{name}.{DROPPED}" if bad["rule"] == DROPPED else f"{name}.quarantined.{bad['rule']}"
        expected[key] = expected.get(key, 0) + bad["rows"]
    found = {k: int(v) for k, v in metrics.items() if ".quarantined." in k or (k.endswith(DROPPED) and v)}
    assert found == expected
    for name, contract in faulty.items():
        bad = sum(rows for key, rows in expected.items() if key.startswith(f"{name}."))
        assert metrics[f"{name}.rows_in"] == table(contract.name).count()
        assert metrics[f"{name}.kept"] == metrics[f"{name}.rows_in"] - bad
