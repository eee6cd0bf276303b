"""The job on some hundred made-up customers: every table, every status, and the registered model without Spark."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import mlflow
import numpy as np
import pytest

from retail_spark.config.section import LakeSettings
from retail_spark.errors import InputError
from retail_spark.lake.lake import Lake
from retail_spark.tables.customers import (
    CHURN_RISK,
    COHORT_RETENTION,
    CUSTOMER_MODELS,
    CUSTOMER_SEGMENTS_TABLE,
    CUSTOMER_VALUE,
    SURVIVAL_CURVES,
)
from retail_spark.tables.silver import SALES
from retail_spark.tables.subscriptions import SUBSCRIPTIONS
from tests.unit.customers.worlds import TRUE
from tests.worlds import put, rows_of, run

START, AS_OF = date(2023, 1, 2), date(2024, 2, 26)


def sale(customer: str | None, day: date, quantity: float = 1.0, price: float = 20.0, **more: Any) -> dict[str, Any]:
    sold_at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return {"sold_at": sold_at, "store_id": "s1", "product_id": "p", "quantity": quantity, "unit_price": price,
            "customer_id": customer, "currency": "EUR", **more}  # fmt: skip


def shoppers(count: int) -> list[dict[str, Any]]:
    """Customers who buy and leave as BG/NBD says, from their first day in the first 20 weeks on."""
    rng = np.random.default_rng(11)
    lines = []
    for n in range(count):
        day, mean = START + timedelta(days=int(rng.integers(140))), float(rng.gamma(3.0, 10.0))
        rate, leaves = rng.gamma(TRUE.r, 1 / TRUE.alpha), rng.beta(TRUE.a, TRUE.b)
        while day <= AS_OF:
            lines.append(sale(f"c{n:03}", day, price=round(float(rng.gamma(4.0, mean / 4)), 2), store_id=f"s{n % 2}"))
            if rng.random() < leaves:
                break
            day += timedelta(days=max(1, round(7 * rng.exponential(1 / rate))))
    return lines


ODD = [
    sale("returner", date(2023, 5, 1), 2, 30.0), sale("returner", date(2023, 5, 9), -2, 30.0),
    sale("dollars", date(2023, 6, 1), currency="USD"), sale("dollars", date(2023, 8, 1), currency="USD"),
    sale("today", AS_OF), sale("today", AS_OF), sale("gift", date(2023, 6, 1), 1, 0.0),
    sale("only_returns", date(2023, 6, 1), -1), sale(None, date(2023, 6, 1), 1, 1e6),
]  # fmt: skip


@pytest.fixture(scope="module")
def lake(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    found = Lake.open(spark, LakeSettings(root=str(tmp_path_factory.mktemp("customers") / "lake")))
    put(found, SALES, *({**line, "sale_id": f"l{n}"} for n, line in enumerate([*shoppers(700), *ODD])))
    runs = [("a", date(2023, 1, 2), None), ("b", date(2023, 1, 2), date(2023, 3, 1)), ("c", date(2024, 1, 1), None)]
    put(found, SUBSCRIPTIONS, *({"subscription_id": i, "customer_id": i, "started_on": s, "ended_on": e, "plan": "gold"}
                                for i, s, e in runs))  # fmt: skip
    return found


@pytest.fixture(scope="module")
def first(lake: Lake) -> Any:
    return run(lake, "customers", fit={"bootstrap": 3}, value={"horizon_days": 182})


def one(lake: Lake, contract: Any, customer: str) -> dict[str, Any]:
    (row,) = rows_of(lake, contract, customer_id=customer, as_of=AS_OF)
    return row


def test_the_model_passes_its_gate_and_every_customer_has_a_row(lake: Lake, first: Any) -> None:
    assert (first.status, first.as_of, first.model) == ("done", "2024-02-26", "retail_spark_customers/1")
    assert first.metrics["rmse_purchases"] < first.metrics["rmse_purchases_naive"]
    assert abs(first.metrics["bias_purchases"]) < 0.25
    assert first.tables["gold.customer_value"]["rows"] == 704
    models = {row["model"] for row in rows_of(lake, CUSTOMER_MODELS) if row["is_used"]}
    assert "gamma_gamma" in models
    assert models & {"bg_nbd", "mbg_nbd"}


def test_values_are_purchases_times_worth_within_their_intervals(lake: Lake, first: Any) -> None:
    rows = [row for row in rows_of(lake, CUSTOMER_VALUE) if row["status"] == "ok"]
    assert all(
        row["expected_value"] == pytest.approx(row["expected_purchases"] * row["purchase_value"]) for row in rows
    )
    assert all(row["purchases_low"] <= row["purchases_high"] for row in rows)
    assert all(0 <= row["discounted_value"] <= row["expected_value"] + 1e-9 for row in rows)


def test_who_gave_back_or_paid_in_other_money_has_no_value_but_purchases(lake: Lake, first: Any) -> None:
    for name in ("returner", "dollars", "gift"):
        row = one(lake, CUSTOMER_VALUE, name)
        assert (row["status"], row["expected_value"]) == ("no_spend", None)
        assert row["expected_purchases"] >= 0
        assert row["error"]
    assert one(lake, CUSTOMER_VALUE, "dollars")["purchases"] == 2


def test_guests_and_returns_alone_are_no_customers(lake: Lake, first: Any) -> None:
    names = {row["customer_id"] for row in rows_of(lake, CUSTOMER_VALUE)}
    assert not names & {None, "only_returns"}


def test_who_came_today_has_an_age_of_zero_and_one_purchase(lake: Lake, first: Any) -> None:
    row = one(lake, CUSTOMER_VALUE, "today")
    assert (row["purchases"], row["age_days"], row["quiet_days"], row["mean_days_between"]) == (1, 0, 0, None)
    assert row["expected_purchases"] > 0
    assert one(lake, CUSTOMER_SEGMENTS_TABLE, "today")["segment"] == "new"


def test_churn_has_a_band_and_a_reason(lake: Lake, first: Any) -> None:
    rows = rows_of(lake, CHURN_RISK)
    assert {row["risk_band"] for row in rows} <= {"high", "medium", "low"}
    assert all(row["p_purchase_30"] <= row["p_purchase_60"] <= row["p_purchase_90"] <= row["p_alive"] for row in rows)
    assert one(lake, CHURN_RISK, "gift")["reason"] == "bought once, 270 days ago"
    assert one(lake, CHURN_RISK, "dollars")["reason"] == "bought every 61 days, now 209 days quiet"


def test_cohorts_begin_whole_and_have_every_month(lake: Lake, first: Any) -> None:
    rows = rows_of(lake, COHORT_RETENTION, "months_since", cohort=date(2023, 1, 1))
    assert [row["months_since"] for row in rows] == list(range(14))
    assert (rows[0]["retention"], rows[-1]["is_complete"], rows[-2]["is_complete"]) == (1.0, False, True)
    total = sum(row["revenue"] for row in rows) / rows[0]["customers"]
    assert rows[-1]["cumulative_revenue_per_customer"] == pytest.approx(total)


def test_curves_of_coming_again_and_of_subscriptions(lake: Lake, first: Any) -> None:
    again = rows_of(lake, SURVIVAL_CURVES, "week", curve="second_purchase", member="*")
    assert again[0]["at_risk"] == 704
    assert [row["survival"] for row in again] == sorted((row["survival"] for row in again), reverse=True)
    (ended,) = rows_of(lake, SURVIVAL_CURVES, "week", curve="subscription", member="gold", events=1)
    assert (ended["week"], ended["at_risk"]) == (8, 3)


def test_a_past_day_sees_nothing_later_and_few_customers_go_on_as_they_did(lake: Lake, first: Any) -> None:
    early = date(2023, 1, 20)
    result = run(lake, "customers", as_of=early)
    assert (result.status, result.model) == ("done", None)
    rows = rows_of(lake, CUSTOMER_VALUE, as_of=early)
    assert rows
    assert max(row["last_day"] for row in rows) <= early
    assert {(row["status"], row["model"]) for row in rows} == {("too_few_customers", "naive")}
    assert {row["risk_band"] for row in rows_of(lake, CHURN_RISK, as_of=early)} == {"unknown"}
    with pytest.raises(InputError, match="no purchase of a known customer"):
        run(lake, "customers", as_of=date(2022, 1, 1))


def test_the_registered_model_gives_the_values_of_the_table(lake: Lake, first: Any) -> None:
    from retail_spark.engine.settings_layers import resolve
    from retail_spark.registry.connection import Connection

    with Connection.of(resolve(sets=[f"lake.root={lake.root}"])).talking():
        model = mlflow.pyfunc.load_model("models:/retail_spark_customers@champion")
    rows = [row for row in rows_of(lake, CUSTOMER_VALUE, "customer_id", as_of=AS_OF) if row["purchases"] == 1][:5]
    asked = model.input_example.iloc[[0] * len(rows)].reset_index(drop=True)
    asked = asked.assign(
        x=0.0, t_x_days=0.0, age_days=[float(row["age_days"]) for row in rows], mean_repeat_spend=np.nan
    )
    found = model.predict(asked)
    assert found["expected_purchases"].tolist() == pytest.approx([row["expected_purchases"] for row in rows])
