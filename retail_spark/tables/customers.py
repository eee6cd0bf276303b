"""The tables that the job `customers` writes."""

from __future__ import annotations

from retail_spark.lake.contract import BOOLEAN, DATE, DOUBLE, INT, LONG, STRING, Column, snapshot
from retail_spark.tables.columns import number, one_of, optional_share
from retail_spark.tables.values import CUSTOMER_SEGMENTS


def _score(name: str, comment: str) -> Column:
    return Column(name, INT, comment, check=f"{name} BETWEEN 1 AND 5")


CUSTOMER = Column("customer_id", STRING, "Known customer.", subject=True)
STATUSES = ("ok", "no_spend", "too_few_customers")

CUSTOMER_VALUE = snapshot(
    "gold.customer_value",
    grain="One row per customer who has bought.",
    key=("customer_id",),
    columns=(
        CUSTOMER,
        Column("first_day", DATE, "Day of the first purchase."),
        Column("last_day", DATE, "Day of the last purchase."),
        Column("purchases", LONG, "Days on which the customer bought.", check="purchases >= 1"),
        Column("age_days", LONG, "Days from the first purchase to as_of.", check="age_days >= 0"),
        Column("quiet_days", LONG, "Days from the last purchase to as_of.", check="quiet_days >= 0"),
        number("mean_days_between", "Days between purchases so far; NULL after one.", "mean_days_between > 0"),
        Column("spend", DOUBLE, "What the customer has spent, returns taken off, in the currency of most lines."),
        Column("purchase_value", DOUBLE, "Expected value of a purchase to come, shrunk to that of all customers.",
               nullable=True, check="purchase_value >= 0"),
        Column("expected_purchases", DOUBLE, "Purchase days expected within customers.value.horizon_days.",
               check="expected_purchases >= 0"),
        number("purchases_low", "Lower end of the 80 % interval of these.", "purchases_low >= 0"),
        number("purchases_high", "Upper end of the 80 % interval of these.", "purchases_high >= purchases_low"),
        number("expected_value", "expected_purchases times purchase_value.", "expected_value >= 0"),
        number("value_low", "purchases_low times purchase_value.", "value_low >= 0"),
        number("value_high", "purchases_high times purchase_value.", "value_high >= value_low"),
        number("discounted_value", "expected_value, discounted to as_of by customers.value.discount_per_year.",
                  "discounted_value BETWEEN 0 AND expected_value + 1e-9"),
        Column("model", STRING, "What expects: bg_nbd, mbg_nbd, or naive (the customer's own rate goes on)."),
        Column("status", STRING, "ok; no_spend: nothing is left of the spend after returns, and no value is given; "
               "too_few_customers: too few came again to fit a model, and naive expects.",
               check=one_of("status", STATUSES)),
        Column("error", STRING, "Why the status is not ok.", nullable=True),
    ),
    sound_statuses=("no_spend", "too_few_customers"),
)  # fmt: skip

CHURN_RISK = snapshot(
    "gold.churn_risk",
    grain="One row per customer who has bought.",
    key=("customer_id",),
    columns=(
        CUSTOMER,
        optional_share("p_alive", "Chance that the customer still buys here; NULL where no model passed its gate"),
        optional_share("p_purchase_30", "Chance of a purchase within 30 days"),
        optional_share("p_purchase_60", "Chance of a purchase within 60 days"),
        optional_share("p_purchase_90", "Chance of a purchase within 90 days"),
        number("median_days_to_next", "Days within which the next purchase comes with a chance of one half; NULL "
                  "where it may never come.", "median_days_to_next >= 0"),
        Column("risk_band", STRING, "high: p_alive below .3; medium: below .7; low; unknown without a model.",
               check="risk_band IN ('high', 'medium', 'low', 'unknown')"),
        Column("reason", STRING, "Why, in words."),
    ),
)  # fmt: skip

CUSTOMER_SEGMENTS_TABLE = snapshot(
    "gold.customer_segments",
    grain="One row per customer who has bought.",
    key=("customer_id",),
    columns=(
        CUSTOMER,
        _score("recency_score", "5 for the fifth of customers who bought last."),
        _score("frequency_score", "5 for the fifth with most purchases."),
        _score("monetary_score", "5 for the fifth with the highest spend."),
        Column("segment", STRING, "By the rules of the documentation, the first that holds.",
               check=one_of("segment", CUSTOMER_SEGMENTS)),
    ),
)  # fmt: skip

COHORT_RETENTION = snapshot(
    "gold.cohort_retention",
    grain="One row per month of first purchase and month since.",
    key=("cohort", "months_since"),
    columns=(
        Column("cohort", DATE, "First day of the month of the first purchase."),
        Column("months_since", INT, "Months since; 0 is the month itself.", check="months_since >= 0"),
        Column("customers", LONG, "Customers of the cohort.", check="customers >= 1"),
        Column("active_customers", LONG, "Of these, those who bought in the month.", check="active_customers >= 0"),
        optional_share("retention", "active_customers by customers"),
        Column("revenue", DOUBLE, "Their spend in the month, returns taken off."),
        Column("revenue_per_customer", DOUBLE, "Revenue of the month by customers of the cohort."),
        Column("cumulative_revenue_per_customer", DOUBLE, "The same from month 0 up to this one."),
        Column("is_complete", BOOLEAN, "The month is over at as_of."),
    ),
)

SURVIVAL_CURVES = snapshot(
    "gold.survival_curves",
    grain="One row per curve, group and week.",
    key=("curve", "member", "week"),
    columns=(
        Column("curve", STRING, "second_purchase: until a customer comes again; subscription: until it ends.",
               check="curve IN ('second_purchase', 'subscription')"),
        Column("member", STRING, "Store of the first purchase, or plan; * for all."),
        Column("week", INT, "Weeks since the first purchase or the start.", check="week >= 0"),
        Column("at_risk", LONG, "Who had waited as long.", check="at_risk >= 0"),
        Column("events", LONG, "Who came again, or ended, in this week.", check="events >= 0"),
        optional_share("survival", "Kaplan-Meier estimate of those who wait longer"),
        optional_share("survival_low", "Lower end of its 95 % interval"),
        optional_share("survival_high", "Upper end of its 95 % interval"),
    ),
)  # fmt: skip

CUSTOMER_MODELS = snapshot(
    "gold.customer_models",
    grain="One row per model and parameter.",
    key=("model", "parameter"),
    columns=(
        Column("model", STRING, "bg_nbd, mbg_nbd, pareto_nbd or gamma_gamma."),
        Column("parameter", STRING, "Its name in the papers; time is in weeks."),
        Column("estimate", DOUBLE, "Of highest likelihood."),
        number("std_error", "By bootstrap of customers; NULL where the model is for comparison only."),
        Column("log_likelihood", DOUBLE, "Of the model, over all its customers."),
        Column("customers", LONG, "Customers that it was fitted to."),
        Column("is_used", BOOLEAN, "The model has a part in gold.customer_value."),
    ),
)
