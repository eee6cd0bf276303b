"""What the page shows of each job's tables: the rows that somebody would act on first.

The SQL is the part that Spark and DataFusion share: a table stands in braces, {newest} is the newest as_of of the
first.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Excerpt:
    """Ten rows of a job's tables, and what they answer."""

    title: str
    tables: tuple[str, ...]
    sql: str


EXCERPTS: dict[str, tuple[Excerpt, ...]] = {
    "ingest": (
        Excerpt(
            "Sales by store",
            ("silver.sales",),
            "SELECT store_id, count(*) AS lines, sum(quantity) AS units, sum(quantity * unit_price) AS takings "
            "FROM {silver.sales} GROUP BY store_id ORDER BY takings DESC, store_id LIMIT 10",
        ),
    ),
    "kpis": (
        Excerpt(
            "The last ten weeks",
            ("gold.kpis_weekly",),
            "SELECT week, currency, revenue, orders, customers, new_customers, average_order_value, gross_margin, "
            "return_rate FROM {gold.kpis_weekly} WHERE as_of = {newest} AND level = 'all' "
            "ORDER BY week DESC, currency LIMIT 10",
        ),
    ),
    "experiments": (
        Excerpt(
            "What each experiment says",
            ("gold.experiment_results",),
            "SELECT experiment_id, metric, variant, effect, effect_low, effect_high, lift, adjusted_p_value, decision, "
            "reason FROM {gold.experiment_results} WHERE as_of = {newest} "
            "ORDER BY experiment_id, metric, variant LIMIT 10",
        ),
    ),
    "customers": (
        Excerpt(
            "Good customers who may have left: whom to write",
            ("gold.customer_value", "gold.churn_risk"),
            "SELECT v.customer_id, v.spend, v.purchases, v.quiet_days, c.p_alive, c.reason "
            "FROM {gold.customer_value} v JOIN {gold.churn_risk} c ON v.customer_id = c.customer_id "
            "AND v.as_of = c.as_of WHERE v.as_of = {newest} AND c.risk_band = 'medium' AND v.purchases > 2 "
            "ORDER BY v.spend DESC, v.customer_id LIMIT 10",
        ),
        Excerpt(
            "What first purchases of a month became",
            ("gold.cohort_retention",),
            "SELECT cohort, months_since, customers, retention, cumulative_revenue_per_customer "
            "FROM {gold.cohort_retention} WHERE as_of = {newest} AND months_since IN (1, 3, 6) AND is_complete "
            "ORDER BY cohort DESC, months_since LIMIT 10",
        ),
    ),
    "recommend": (
        Excerpt(
            "What a new customer is offered first",
            ("gold.recommendations",),
            "SELECT rank, product_id, strategy, score FROM {gold.recommendations} "
            "WHERE as_of = {newest} AND customer_id = '*' AND list = 'all' ORDER BY rank LIMIT 10",
        ),
    ),
    "forecast": (
        Excerpt(
            "What to have in stock next period",
            ("gold.forecasts",),
            "SELECT store_id, product_id, date, mean, p10, p90, model FROM {gold.forecasts} "
            "WHERE as_of = {newest} AND step = 1 ORDER BY mean DESC, store_id, product_id LIMIT 10",
        ),
    ),
    "elasticity": (
        Excerpt(
            "Prices to change",
            ("gold.price_recommendations",),
            "SELECT store_id, product_id, current_price, recommended_price, expected_margin_change, chance_of_gain "
            "FROM {gold.price_recommendations} WHERE as_of = {newest} AND is_recommended "
            "ORDER BY expected_margin_change DESC, store_id, product_id LIMIT 10",
        ),
    ),
    "supplier_risk": (
        Excerpt(
            "Suppliers to call",
            ("gold.supplier_risk",),
            "SELECT supplier_id, risk_band, risk_score, p_late, open_deliveries, trend FROM {gold.supplier_risk} "
            "WHERE as_of = {newest} ORDER BY risk_score DESC, supplier_id LIMIT 10",
        ),
        Excerpt(
            "Open lines that will most likely be late",
            ("gold.delivery_risk",),
            "SELECT delivery_id, p_late, delay_p50_days, delay_p90_days FROM {gold.delivery_risk} "
            "WHERE as_of = {newest} AND NOT is_overdue ORDER BY p_late DESC, delivery_id LIMIT 10",
        ),
    ),
    "sessionize": (
        Excerpt(
            "Where visits come from",
            ("gold.sessions",),
            "SELECT channel, count(*) AS sessions, avg(CASE WHEN is_bounce THEN 1.0 ELSE 0.0 END) AS bounce_share, "
            "avg(CASE WHEN is_converted THEN 1.0 ELSE 0.0 END) AS converted_share, sum(revenue) AS revenue "
            "FROM {gold.sessions} WHERE NOT is_bot GROUP BY channel ORDER BY sessions DESC, channel LIMIT 10",
        ),
    ),
}
"""Job -> what is shown of it, in order."""
