"""The tables that the job `sessionize` writes."""

from __future__ import annotations

from pyspark.sql import types as T

from retail_spark.lake.contract import (
    BOOLEAN,
    DATE,
    DOUBLE,
    INT,
    LINEAGE,
    LONG,
    STRING,
    TIMESTAMP,
    Column,
    Contract,
)
from retail_spark.tables.columns import optional

STEPS = T.MapType(STRING, INT)
CHANNELS = (
    "Direct", "Cross-network", "Paid Shopping", "Paid Search", "Paid Social", "Paid Video", "Display", "Paid Other",
    "Organic Shopping", "Organic Social", "Organic Video", "Organic Search", "Referral", "Email", "Affiliates", "Audio",
    "SMS", "Mobile Push Notifications", "Unassigned",
)  # fmt: skip


def _count(name: str, comment: str, kind: T.DataType = INT) -> Column:
    return Column(name, kind, comment, check=f"{name} >= 0")


_VISITOR = Column("visitor_id", STRING, "Browser, device or address.", subject=True)

SESSION_EVENTS = Contract(
    "gold.session_events",
    grain="One row per event, with its session.",
    key=("event_id",),
    columns=(
        Column("event_id", STRING, "Event of silver.events."),
        _VISITOR,
        Column("occurred_at", TIMESTAMP, "Time of the event, UTC."),
        Column("session_id", STRING, "Session of gold.sessions."),
        Column("event_number", LONG, "Place in the session, 1 for the first.", check="event_number >= 1"),
        *LINEAGE,
    ),
    cluster_by=("occurred_at", "visitor_id"),
)

SESSIONS = Contract(
    "gold.sessions",
    grain="One row per session: a visitor's events with no pause longer than the gap.",
    key=("session_id",),
    columns=(
        Column("session_id", STRING, "Hash of visitor_id and started_at (or of the tracker's own session)."),
        _VISITOR,
        optional("client_session_id", STRING, "The tracker's own session, the first where it holds several."),
        optional("customer_id", STRING, "Last known customer of the session.", subject=True),
        Column("chain_id", STRING, "Hash of visitor_id and the start of the events without a pause above the gap (or "
               "of the tracker's own session)."),
        Column("session_number", LONG, "1 for the visitor's first session.", check="session_number >= 1"),
        Column("started_at", TIMESTAMP, "First event, UTC."),
        Column("ended_at", TIMESTAMP, "Last event, UTC."),
        Column("duration_seconds", DOUBLE, "Last event minus first, seconds.", check="duration_seconds >= 0"),
        Column("dwell_seconds", DOUBLE, "Pauses, each up to sessionize.dwell_seconds, seconds.",
               check="dwell_seconds BETWEEN 0 AND duration_seconds"),
        Column("events", LONG, "Events.", check="events >= 1"),
        _count("page_views", "Events of type page_view.", LONG),
        _count("product_views", "Events of type product_view.", LONG),
        _count("cart_adds", "Events of type add_to_cart.", LONG),
        _count("purchases", "Orders; purchase events without order_id count each.", LONG),
        Column("revenue", DOUBLE, "Value of the orders, each once, shop currency."),
        optional("entry_page", STRING, "First page that is known."),
        optional("exit_page", STRING, "Last page that is known."),
        optional("referrer", STRING, "First referrer outside the shop."),
        optional("utm_source", STRING, "Source of the first campaign."),
        optional("utm_medium", STRING, "Medium of the first campaign."),
        optional("utm_campaign", STRING, "Name of the first campaign."),
        Column("channel", STRING, "Default channel group of GA4.", check=f"channel IN {CHANNELS}"),
        optional("last_non_direct_channel", STRING,
                  "Channel, or where it is Direct the visitor's last other one within look_back_days."),
        Column("is_bounce", BOOLEAN, "The session has one event."),
        Column("is_converted", BOOLEAN, "The session has a purchase."),
        Column("is_engaged", BOOLEAN, "Longer than engaged_seconds, or a key event, or engaged_views views."),
        Column("is_bot", BOOLEAN, "A robot by its user agent or behaviour."),
        Column("bot_reason", STRING, "user_agent, rate, no_dwell or breadth; NULL for people.", nullable=True,
               check="bot_reason IN ('user_agent', 'rate', 'no_dwell', 'breadth')"),
        _count("customers", "Different known customers in the session.", LONG),
        optional("identified_at", TIMESTAMP, "Last event with a known customer, UTC."),
        _count("identified_events", "Events that carry customer_id.", LONG),
        optional("funnel_steps", STEPS, "Funnel -> steps completed, for funnels that were entered."),
        *LINEAGE,
    ),
    cluster_by=("started_at",),
    checks=(("ends_after_start", "ended_at >= started_at"),),
)  # fmt: skip

SESSION_REDIRECTS = Contract(
    "gold.session_redirects",
    grain="One row per session_id that was once given and is no more.",
    key=("old_session_id",),
    columns=(
        Column("old_session_id", STRING, "Session id that late events have dissolved."),
        Column("session_id", STRING, "Session that now holds its first moment."),
        *LINEAGE,
    ),
)

VISITOR_IDENTITIES = Contract(
    "gold.visitor_identities",
    grain="One row per visitor that is known to be a customer; shared devices are none.",
    key=("visitor_id",),
    columns=(
        _VISITOR,
        Column("customer_id", STRING, "Last known customer of the visitor.", subject=True),
        Column("linked_at", TIMESTAMP, "Last event that tied the two, UTC."),
        Column("events", LONG, "Events that carry the customer.", check="events >= 1"),
        *LINEAGE,
    ),
    cluster_by=("customer_id",),
)

FUNNELS = Contract(
    "gold.funnels",
    grain="One row per date, funnel and step, robots left out.",
    key=("date", "funnel", "step"),
    columns=(
        Column("date", DATE, "Day on which the sessions began, in sessionize.time_zone."),
        Column("funnel", STRING, "Funnel."),
        Column("step", INT, "Step, 1 for the first.", check="step >= 1"),
        Column("step_name", STRING, "Name of the step."),
        _count("visitors", "Visitors with a session that completed the step.", LONG),
        _count("sessions", "Sessions that completed the step.", LONG),
        Column("conversion_from_previous", DOUBLE, "Share of the sessions of the step before.", nullable=True,
               check="conversion_from_previous BETWEEN 0 AND 1"),
        Column("conversion_from_start", DOUBLE, "Share of the sessions of the first step.",
               check="conversion_from_start BETWEEN 0 AND 1"),
        *LINEAGE,
    ),
    cluster_by=("date",),
)  # fmt: skip

SESSION_DEAD_LETTERS = Contract(
    "gold.session_dead_letters",
    grain="One row per event that is part of no session.",
    key=("event_id",),
    columns=(
        Column("event_id", STRING, "Event of silver.events."),
        _VISITOR,
        Column("occurred_at", TIMESTAMP, "Time of the event, UTC."),
        optional("received_at", TIMESTAMP, "When the source delivered it, UTC."),
        Column("reason", STRING, "late or ahead.", check="reason IN ('late', 'ahead')"),
        *LINEAGE,
    ),
    cluster_by=("occurred_at",),
)

STREAMS = Contract(
    "ops.streams",
    grain="One row per stream that feeds a job.",
    key=("application_id",),
    columns=(
        Column("application_id", STRING, "Name of the stream."),
        Column("checkpoint_id", STRING, "Identity of the checkpoint that remembers its place."),
        Column("batch_id", LONG, "Last micro-batch."),
    ),
)
