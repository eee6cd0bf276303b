"""The tables that the job `recommend` writes."""

from __future__ import annotations

from retail_spark.lake.contracts import DOUBLE, INT, STRING, Column, snapshot

STRANGER = "*"
"""The customer_id of the rows for customers that the run did not know."""
LISTS = ("all", "discover")

RECOMMENDATIONS = snapshot(
    "gold.recommendations",
    grain="One row per list, customer and rank; customer_id * holds the default for strangers.",
    key=("list", "customer_id", "rank"),
    columns=(
        Column("list", STRING, "all (may repeat purchases) or discover (nothing bought before).",
               check="list IN ('all', 'discover')"),
        Column("customer_id", STRING, "Known customer, or * for strangers.", subject=True),
        Column("rank", INT, "Place in the list, 1 for the first.", check="rank >= 1"),
        Column("product_id", STRING, "Product (SKU)."),
        Column("score", DOUBLE, "What the list is ordered by; comparable within one list of one customer only.",
               check="score >= 0"),
        Column("strategy", STRING, "What made the row: repurchase, als or popular.",
               check="strategy IN ('repurchase', 'als', 'popular')"),
        Column("store_id", STRING, "Store that the list is made for; NULL for all.", nullable=True),
    ),
)  # fmt: skip
