"""The tables that the job `recommend` writes."""

from __future__ import annotations

from retail_spark.lake.contract import DOUBLE, INT, LINEAGE, LONG, STRING, Column, Contract, snapshot
from retail_spark.tables.columns import one_of
from retail_spark.tables.values import LISTS, STRATEGIES

BY_FACTORS, BY_CUSTOMERS, BY_BASKETS = SIMILAR_BY = ("factors", "co_purchase", "bought_together")


RECOMMENDATIONS = snapshot(
    "gold.recommendations",
    grain="One row per list, customer and rank; customer_id * holds the default for strangers.",
    key=("list", "customer_id", "rank"),
    columns=(
        Column("list", STRING, "all (may repeat purchases) or discover (nothing bought before).",
               check=one_of("list", LISTS)),
        Column("customer_id", STRING, "Known customer, or * for strangers.", subject=True),
        Column("rank", INT, "Place in the list, 1 for the first.", check="rank >= 1"),
        Column("product_id", STRING, "Product (SKU)."),
        Column("score", DOUBLE, "What the list is ordered by, explored products apart, which come last; comparable "
               "within one list of one customer only.", check="score >= 0"),
        Column("strategy", STRING, f"What made the row: {', '.join(STRATEGIES)}.",
               check=one_of("strategy", STRATEGIES)),
        Column("store_id", STRING, "Home store whose popular products these are; NULL for other strategies.",
               nullable=True),
    ),
)  # fmt: skip

SIMILAR_PRODUCTS = snapshot(
    "gold.similar_products",
    grain="One row per method, product and rank.",
    key=("method", "product_id", "rank"),
    columns=(
        Column("method", STRING, "factors (cosine of ALS factors), co_purchase (bought by the same customers) or "
               "bought_together (in one basket).", check=one_of("method", SIMILAR_BY)),
        Column("product_id", STRING, "Product (SKU)."),
        Column("rank", INT, "1 for the most similar.", check="rank >= 1"),
        Column("similar_product_id", STRING, "The similar product."),
        Column("similarity", DOUBLE, "Cosine, 0..1: of the factors, or of who (which basket) bought either.",
               check="similarity >= 0"),
        Column("lift", DOUBLE, "Times more often together than by chance; NULL for factors.", nullable=True,
               check="lift >= 0"),
        Column("support", LONG, "Customers or baskets with both; for factors the buyers of the rarer one.",
               check="support >= 1"),
    ),
)  # fmt: skip


def _numbers(what: str, *, is_subject: bool) -> Contract:
    return Contract(
        f"ids.{what}s",
        grain=f"One row per {what} that a model has met; a {what} keeps its number for ever.",
        key=(f"{what}_id",),
        columns=(
            Column(f"{what}_id", STRING, f"The {what}.", subject=is_subject),
            Column(f"{what}_no", INT, "Its number in models, unique.", check=f"{what}_no >= 0"),
            LINEAGE[0],
        ),
        cluster_by=(f"{what}_id",),
    )


CUSTOMER_NUMBERS = _numbers("customer", is_subject=True)
PRODUCT_NUMBERS = _numbers("product", is_subject=False)
