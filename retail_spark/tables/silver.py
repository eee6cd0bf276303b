"""The canonical tables: what every source is mapped to, and what every domain reads.

Timestamps are UTC. Money is in the shop's currency, units are pieces (or the source's own unit). Ids are strings,
shares lie in 0..1. A negative quantity is a return.
"""

from __future__ import annotations

from retail_spark.lake.contract import (
    BOOLEAN,
    DATE,
    DOUBLE,
    INT,
    ORIGIN,
    STRING,
    TEXT_MAP,
    TIMESTAMP,
    Column,
    Contract,
)
from retail_spark.tables.assignments import ASSIGNMENTS, OUTCOMES
from retail_spark.tables.columns import optional, optional_share
from retail_spark.tables.marketing import MARKETING_SPEND
from retail_spark.tables.subscriptions import SUBSCRIPTIONS
from retail_spark.tables.values import DEFAULT_CUSTOMER

EVERYBODY_ELSE = DEFAULT_CUSTOMER
"""The customer_id of what holds for customers without rows of their own; no customer may have it."""


def _customer(comment: str = "Known customer.", *, nullable: bool = False) -> Column:
    return Column("customer_id", STRING, comment, nullable=nullable, subject=True, reserved=(EVERYBODY_ELSE,))


SALES = Contract(
    "silver.sales",
    grain="One row per line of a receipt or invoice, or per store, product and period where the source is aggregated.",
    key=("sale_id",),
    columns=(
        Column("sale_id", STRING, "Identifies the line; a hash of the raw row where the source has no id."),
        optional("order_id", STRING, "Receipt, invoice or basket."),
        Column("sold_at", TIMESTAMP, "Time of sale, UTC; the start of the period where aggregated."),
        Column("store_id", STRING, "Store or sales channel."),
        Column("product_id", STRING, "Product as sold (SKU)."),
        _customer(nullable=True),
        Column("quantity", DOUBLE, "Units; negative for a return."),
        Column("unit_price", DOUBLE, "Price paid per unit, shop currency.", check="unit_price >= 0"),
        optional("list_price", DOUBLE, "Price per unit before discounts, shop currency.", "list_price >= 0"),
        optional("unit_cost", DOUBLE, "Cost per unit, shop currency.", "unit_cost >= 0"),
        optional("currency", STRING, "ISO 4217 code."),
        optional_share("on_promotion", "Advertised"),
        optional_share("on_display", "On display"),
        optional_share("on_deal", "On deal (price cut or coupon)"),
        *ORIGIN,
    ),
    cluster_by=("sold_at", "store_id"),
    known_by="sold_at",
)

PRODUCTS = Contract(
    "silver.products",
    grain="One row per product.",
    key=("product_id",),
    columns=(
        Column("product_id", STRING, "Product (SKU)."),
        optional("product_name", STRING, "Name on the shelf."),
        optional("category", STRING, "First level of the assortment."),
        optional("subcategory", STRING, "Second level of the assortment."),
        optional("brand", STRING, "Brand."),
        optional("unit_cost", DOUBLE, "Cost per unit, shop currency.", "unit_cost >= 0"),
        optional("introduced_on", DATE, "First day in range."),
        optional("discontinued_on", DATE, "Last day in range."),
        *ORIGIN,
    ),
    cluster_by=("product_id",),
)

STORES = Contract(
    "silver.stores",
    grain="One row per store or sales channel.",
    key=("store_id",),
    columns=(
        Column("store_id", STRING, "Store or sales channel."),
        optional("store_name", STRING, "Name."),
        optional("region", STRING, "Region or country."),
        optional("format", STRING, "Format, such as online, convenience, hypermarket."),
        *ORIGIN,
    ),
)

CUSTOMERS = Contract(
    "silver.customers",
    grain="One row per known customer.",
    key=("customer_id",),
    columns=(
        _customer(),
        optional("home_store_id", STRING, "Store the customer belongs to."),
        optional("region", STRING, "Region or country."),
        optional("first_seen_on", DATE, "First day known."),
        *ORIGIN,
    ),
    cluster_by=("customer_id",),
)

CALENDAR = Contract(
    "silver.calendar",
    grain="One row per date and region.",
    key=("date", "region"),
    columns=(
        Column("date", DATE, "Day."),
        Column("region", STRING, "Region, or * for all; any name that is unique where store_id is set."),
        optional("store_id", STRING, "Store whose own day it is, and of no other."),
        optional("event_name", STRING, "Holiday or event."),
        Column("is_holiday", BOOLEAN, "True on a holiday, or in a holiday week where data is weekly."),
        optional("is_closed", BOOLEAN, "True where shops do not open on that day; NULL: the calendar does not say."),
        *ORIGIN,
    ),
)

PLANNED_PRICES = Contract(
    "silver.planned_prices",
    grain="One row per store, product and date: the price in force or planned, also on days without a sale.",
    key=("store_id", "product_id", "date"),
    columns=(
        Column("store_id", STRING, "Store or sales channel."),
        Column("product_id", STRING, "Product (SKU)."),
        Column("date", DATE, "Day, or the first day of the week where data is weekly."),
        optional("unit_price", DOUBLE, "Price per unit, shop currency.", "unit_price >= 0"),
        optional_share("on_promotion", "Advertised"),
        optional_share("on_display", "On display"),
        optional_share("on_deal", "On deal"),
        Column("known_on", DATE, "Day from which the plan was known."),
        *ORIGIN,
    ),
    cluster_by=("date", "store_id"),
    known_by="known_on",
)

INVENTORY = Contract(
    "silver.inventory",
    grain="One row per store, product and date.",
    key=("store_id", "product_id", "date"),
    columns=(
        Column("store_id", STRING, "Store or warehouse."),
        Column("product_id", STRING, "Product (SKU)."),
        Column("date", DATE, "Day, counted at its end."),
        Column("on_hand", DOUBLE, "Units on hand."),
        *ORIGIN,
    ),
    cluster_by=("date", "store_id"),
    known_by="date",
)

EVENTS = Contract(
    "silver.events",
    grain="One row per event of a clickstream.",
    key=("event_id",),
    columns=(
        Column("event_id", STRING, "Identifies the event; a hash of the raw row where the source has no id."),
        Column("occurred_at", TIMESTAMP, "Time of the event, UTC."),
        Column("visitor_id", STRING, "Browser, device or address that made the event.", subject=True),
        _customer(nullable=True),
        optional("client_session_id", STRING, "The tracker's own session."),
        Column("event_type", STRING, "page_view, product_view, add_to_cart, purchase or the source's own."),
        optional("page_url", STRING, "Page."),
        optional("product_id", STRING, "Product."),
        optional("order_id", STRING, "Order of a purchase."),
        optional("revenue", DOUBLE, "Value of a purchase, shop currency."),
        optional("referrer", STRING, "Page that led here."),
        optional("utm_source", STRING, "Campaign source."),
        optional("utm_medium", STRING, "Campaign medium."),
        optional("utm_campaign", STRING, "Campaign name."),
        optional("user_agent", STRING, "Browser's own description.", subject=True),
        *ORIGIN,
    ),
    cluster_by=("occurred_at", "visitor_id"),
    known_by="occurred_at",
    change_feed=True,
)

EXPOSURES = Contract(
    "silver.exposures",
    grain="One row per product shown to a customer at a position.",
    key=("exposure_id",),
    columns=(
        Column("exposure_id", STRING, "Identifies the exposure."),
        Column("shown_at", TIMESTAMP, "Time shown, UTC."),
        _customer(),
        Column("product_id", STRING, "Product (SKU)."),
        Column("position", INT, "Place in the list, 1 for the first.", check="position >= 1"),
        optional_share("propensity", "Probability that the policy showed it there"),
        *ORIGIN,
    ),
    cluster_by=("shown_at", "customer_id"),
    known_by="shown_at",
)

SUPPLIERS = Contract(
    "silver.suppliers",
    grain="One row per supplier.",
    key=("supplier_id",),
    columns=(
        Column("supplier_id", STRING, "Supplier."),
        optional("supplier_name", STRING, "Name."),
        optional("country", STRING, "Country."),
        *ORIGIN,
    ),
)

DELIVERIES = Contract(
    "silver.deliveries",
    grain="One row per line of a purchase order as promised and delivered, or per receipt of one (order_line_id).",
    key=("delivery_id",),
    columns=(
        Column("delivery_id", STRING, "Identifies the line; a hash of the raw row where the source has no id."),
        Column("purchase_order_id", STRING, "Purchase order."),
        optional(
            "order_line_id", STRING, "Line of the purchase order, where it may come in parts: a row is a receipt."
        ),
        optional("shipment_id", STRING, "A supplier's shipment; its lines travel and arrive together."),
        Column("supplier_id", STRING, "Supplier."),
        optional("product_id", STRING, "Product (SKU)."),
        optional("category", STRING, "Product group."),
        optional("ordered_at", TIMESTAMP, "Time of the order, UTC."),
        optional("recorded_on", DATE, "Day on which the delivery was recorded."),
        Column("promised_on", DATE, "Day promised; the last promise where it was moved."),
        optional("first_promised_on", DATE, "Day promised at first, where the promise may have been moved."),
        optional("delivered_on", DATE, "Day delivered; NULL while open."),
        optional(
            "line_status",
            STRING,
            "open, delivered or cancelled; NULL where the dates say it all.",
            "line_status IN ('open', 'delivered', 'cancelled')",
        ),
        optional("cancelled_on", DATE, "Day on which the line was cancelled."),
        Column("quantity_ordered", DOUBLE, "Units ordered, of the whole line.", check="quantity_ordered >= 0"),
        optional("quantity_received", DOUBLE, "Units received.", "quantity_received >= 0"),
        optional("quantity_rejected", DOUBLE, "Units rejected.", "quantity_rejected >= 0"),
        optional("order_value", DOUBLE, "Value of the whole line, shop currency."),
        optional("ship_mode", STRING, "Mode of transport or service class."),
        optional("origin_country", STRING, "Country sent from."),
        optional("destination_country", STRING, "Country sent to."),
        optional("attributes", TEXT_MAP, "What else the source knows at order time."),
        *ORIGIN,
    ),
    cluster_by=("promised_on", "supplier_id"),
    # No known_by: a line is known from its order on, its outcome later. The job that reads it hides what came later.
    dated_by=("ordered_at", "delivered_on", "recorded_on"),
)

SILVER: tuple[Contract, ...] = (
    SALES,
    PRODUCTS,
    STORES,
    CUSTOMERS,
    CALENDAR,
    PLANNED_PRICES,
    INVENTORY,
    EVENTS,
    EXPOSURES,
    SUPPLIERS,
    DELIVERIES,
    MARKETING_SPEND,
    ASSIGNMENTS,
    OUTCOMES,
    SUBSCRIPTIONS,
)


def quarantine_of(contract: Contract) -> Contract:
    """The quarantine of a canonical table: every raw row that broke a rule, with the rule."""
    return Contract(
        f"{contract.name}_quarantine",
        grain=f"One row per raw row that could not become a row of {contract.name}.",
        key=(),
        columns=(
            ORIGIN[0],
            ORIGIN[1],
            Column("rule", STRING, "Rule that the row broke, such as null_key or bad_value:sold_at."),
            Column("detail", STRING, "The value or values at fault.", nullable=True, subject=True),
            Column("raw", STRING, "The raw row, JSON.", subject=True),
            ORIGIN[3],
            Column("run_id", STRING, "Run that quarantined the row; see ops.job_runs."),
        ),
        cluster_by=("source", "rule"),
    )
