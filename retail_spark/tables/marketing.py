"""What the shop spends on marketing."""

from __future__ import annotations

from retail_spark.lake.contract import DATE, DOUBLE, ORIGIN, STRING, Column, Contract

MARKETING_SPEND = Contract(
    "silver.marketing_spend",
    grain="One row per date, channel, campaign and currency.",
    key=("spend_id",),
    columns=(
        Column("spend_id", STRING, "Identifies the row; a hash of the raw row where the source has no id."),
        Column("date", DATE, "Day on which the money was spent."),
        Column("channel", STRING, "Marketing channel, such as Paid Search."),
        Column("campaign", STRING, "Campaign.", nullable=True),
        Column("amount", DOUBLE, "Money spent; a credit note is negative."),
        Column("currency", STRING, "ISO 4217 code.", nullable=True),
        *ORIGIN,
    ),
    cluster_by=("date",),
    known_by="date",
)
