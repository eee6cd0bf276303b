"""Contracts of customers, where the shop has any."""

from __future__ import annotations

from retail_spark.lake.contract import DATE, ORIGIN, STRING, Column, Contract
from retail_spark.tables.values import DEFAULT_CUSTOMER

SUBSCRIPTIONS = Contract(
    "silver.subscriptions",
    grain="One row per subscription.",
    key=("subscription_id",),
    columns=(
        Column("subscription_id", STRING, "Identifies the subscription; a hash of the raw row where there is no id."),
        Column("customer_id", STRING, "Known customer.", subject=True, reserved=(DEFAULT_CUSTOMER,)),
        Column("started_on", DATE, "First day."),
        Column("ended_on", DATE, "Last day; NULL while it runs.", nullable=True),
        Column("cause", STRING, "Why it ended.", nullable=True),
        Column("plan", STRING, "What is subscribed to.", nullable=True),
        *ORIGIN,
    ),
    checks=(("ends_after_start", "ended_on IS NULL OR ended_on >= started_on"),),
    known_by="started_on",
)
