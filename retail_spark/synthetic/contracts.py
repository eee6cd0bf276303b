"""What the retailer exports (schema raw: texts only, some rows bad) and the truth behind it (schema truth)."""

from __future__ import annotations

from pyspark.sql import types as T

from retail_spark.lake.contract import BOOLEAN, DATE, DOUBLE, INT, LONG, STRING, Column, Contract

DOUBLES = T.ArrayType(DOUBLE)
RETAILER = Column("retailer", STRING, "Name of the made-up retailer; a run replaces all its rows.")
_SUBJECTS = ("card", "visitor", "user_agent")


def _raw(table: str, grain: str, **columns: str) -> Contract:
    """An export: every column a text that may be missing, and no key, because rows may be bad."""
    texts = [Column(n, STRING, f"{says}", nullable=True, subject=n in _SUBJECTS) for n, says in columns.items()]
    return Contract(f"raw.{table}", grain=grain, key=(), columns=(RETAILER, *texts))


RAW_SALES = _raw(
    "sales",
    "One row per line of a receipt or return slip, as the tills export it.",
    line="Till line.",
    receipt="Receipt; a return carries the receipt of the sale.",
    sold_at="Time, yyyy-MM-dd HH:mm:ss, UTC.",
    store="Store.",
    sku="Product.",
    card="Loyalty card, missing for guests.",
    qty="Units; negative for a return.",
    price="Price paid per unit.",
    regular_price="Price per unit before the discount.",
    cost="Cost per unit.",
    advertised="1 when in the leaflet.",
    displayed="1 when on a second display.",
    deal="1 when the price is cut.",
)
RAW_PRODUCTS = _raw(
    "products",
    "One row per product.",
    sku="Product.",
    name="Name.",
    category="Category.",
    subcategory="Subcategory.",
    brand="Brand.",
    cost="Cost per unit.",
    first_day="First day in range; missing when it was there before the data.",
    last_day="Last day in range; missing when it still is.",
)
RAW_STORES = _raw("stores", "One row per store.", store="Store.", name="Name.", region="Region.", format="Format.")
RAW_CUSTOMERS = _raw(
    "customers",
    "One row per loyalty card.",
    card="Loyalty card.",
    home_store="Store where it was handed out.",
    region="Region of that store.",
    joined="Day it was handed out.",
)
RAW_CALENDAR = _raw(
    "calendar",
    "One row per day, and one more where a region has a holiday of its own.",
    day="Day.",
    region="Region, * for all.",
    event="Holiday or campaign.",
    holiday="Y or N.",
)
RAW_PLANNED_PRICES = _raw(
    "planned_prices",
    "One row per store, product and week: the price list, some weeks ahead of the last sale.",
    store="Store.",
    sku="Product.",
    week_start="Monday.",
    price="Price per unit.",
    advertised="1 when in the leaflet.",
    displayed="1 when on a second display.",
    deal="1 when the price is cut.",
    known_on="Day the price was fixed.",
)
RAW_INVENTORY = _raw(
    "inventory",
    "One row per store, product and counted day: every Sunday, and every day of a stock-out.",
    store="Store.",
    sku="Product.",
    day="Day, counted at its end.",
    on_hand="Units on hand; 0 in a stock-out.",
)
RAW_EVENTS = _raw(
    "events",
    "One row per event of the web shop.",
    event="Event.",
    occurred_at="Time, yyyy-MM-dd HH:mm:ss.SSS, UTC.",
    received_at="Time the collector got it.",
    visitor="Browser cookie.",
    card="Loyalty card, when signed in.",
    type="page_view, product_view, add_to_cart or purchase.",
    page="Address of the page.",
    sku="Product.",
    order_no="Web order.",
    value="Value of the web order.",
    referrer="Page that led here; on the first event of a session.",
    utm_source="Campaign source.",
    utm_medium="Campaign medium.",
    utm_campaign="Campaign name.",
    user_agent="Browser.",
)
RAW_EXPOSURES = _raw(
    "exposures",
    "One row per product shown to a customer in the weekly mail.",
    exposure="Exposure.",
    shown_at="Time, yyyy-MM-dd HH:mm:ss, UTC.",
    card="Loyalty card.",
    sku="Product.",
    place="Place in the mail, 1 for the first.",
    propensity="Probability that the product was put there.",
)
RAW_SUPPLIERS = _raw("suppliers", "One row per supplier.", supplier="Supplier.", name="Name.", country="Country.")
RAW_DELIVERIES = _raw(
    "deliveries",
    "One row per line of a purchase order.",
    line="Line.",
    po="Purchase order.",
    shipment="Shipment; its lines arrive together.",
    supplier="Supplier.",
    sku="Product.",
    category="Category.",
    ordered_at="Time of the order, yyyy-MM-dd HH:mm:ss, UTC.",
    promised_on="Day promised.",
    delivered_on="Day delivered; missing while open.",
    recorded_on="Day the delivery was keyed in.",
    qty_ordered="Units ordered.",
    qty_received="Units received.",
    qty_rejected="Units rejected.",
    value="Value of the line.",
    mode="road, sea or air.",
    origin="Country sent from.",
    destination="Country sent to.",
    incoterm="Trade term.",
)
RAW_MARKETING_SPEND = _raw(
    "marketing_spend",
    "One row per day and marketing channel.",
    booking="Booking.",
    day="Day.",
    channel="Marketing channel, such as Paid Search.",
    campaign="Campaign; missing where money is spent all year round.",
    amount="Money spent.",
)
RAW = (
    RAW_SALES,
    RAW_PRODUCTS,
    RAW_STORES,
    RAW_CUSTOMERS,
    RAW_CALENDAR,
    RAW_PLANNED_PRICES,
    RAW_INVENTORY,
    RAW_EVENTS,
    RAW_EXPOSURES,
    RAW_SUPPLIERS,
    RAW_DELIVERIES,
    RAW_MARKETING_SPEND,
)


def _truth(table: str, grain: str, key: tuple[str, ...], *columns: Column) -> Contract:
    return Contract(f"truth.{table}", grain=grain, key=("retailer", *key), columns=(RETAILER, *columns))


TRUE_PRODUCTS = _truth(
    "products",
    "One row per product.",
    ("product_id",),
    Column("product_id", STRING, "Product."),
    Column("elasticity", DOUBLE, "Percent of demand per percent of price, the same in all stores."),
    Column("factors", DOUBLES, "Share of each taste in the product's appeal; adds up to 1."),
    Column("demand_class", STRING, "regular, new or intermittent."),
    Column("base_price", DOUBLE, "Price at which demand is base demand, shop currency."),
    Column("units_per_line", DOUBLE, "Mean units of a sales line."),
    Column("feature_lift", DOUBLE, "Lift of log demand when advertised."),
    Column("display_lift", DOUBLE, "Lift of log demand when displayed."),
    Column("season_strength", DOUBLE, "Amplitude of the yearly wave of log demand."),
    Column("season_peak_day", INT, "Day of the year of its peak."),
    Column("yearly_trend", DOUBLE, "Growth of log demand a year."),
    Column("supplier_id", STRING, "Supplier."),
)
TRUE_CUSTOMERS = _truth(
    "customers",
    "One row per customer.",
    ("customer_id",),
    Column("customer_id", STRING, "Customer.", subject=True),
    Column("home_store_id", STRING, "Store of nearly all purchases."),
    Column("activity", DOUBLE, "Purchases relative to the mean customer."),
    Column("factors", DOUBLES, "Taste shares; add up to 1."),
)
TRUE_STORES = _truth(
    "stores",
    "One row per store.",
    ("store_id",),
    Column("store_id", STRING, "Store."),
    Column("store_size", DOUBLE, "Demand relative to a plain store."),
    Column("opened_on", DATE, "First day open."),
    Column("closed_on", DATE, "Last day open; NULL when it still is.", nullable=True),
)
TRUE_DEMAND = _truth(
    "demand",
    "One row per store, product and day of history while listed and open.",
    ("store_id", "product_id", "date"),
    Column("store_id", STRING, "Store."),
    Column("product_id", STRING, "Product."),
    Column("date", DATE, "Day."),
    Column("mean_units", DOUBLE, "Mean demand, units; what would have been sold on average were it in stock."),
    Column("base_units", DOUBLE, "Mean demand at base price and without promotion, units."),
    Column("unit_price", DOUBLE, "Price per unit."),
    Column("on_promotion", BOOLEAN, "Advertised."),
    Column("on_display", BOOLEAN, "Displayed."),
    Column("is_out_of_stock", BOOLEAN, "Nothing could be sold."),
)
TRUE_SESSIONS = _truth(
    "sessions",
    "One row per event, with its session.",
    ("event_id",),
    Column("event_id", STRING, "Event."),
    Column("session_id", STRING, "Session: a visitor's events with no pause above 30 minutes."),
    Column("visitor_id", STRING, "Visitor.", subject=True),
    Column("customer_id", STRING, "Customer behind the visitor, signed in or not.", nullable=True, subject=True),
    Column("is_bot", BOOLEAN, "The visitor is a robot."),
    Column("is_declared_bot", BOOLEAN, "The robot says so in its user agent."),
)
TRUE_SUPPLIERS = _truth(
    "suppliers",
    "One row per supplier.",
    ("supplier_id",),
    Column("supplier_id", STRING, "Supplier."),
    Column("late_rate", DOUBLE, "Probability that a shipment is late before any change, by road, outside autumn."),
    Column("changed_on", DATE, "Day from which the supplier is later; NULL without one.", nullable=True),
    Column("late_rate_after", DOUBLE, "The same probability from that day on.", nullable=True),
    Column("lead_time_days", DOUBLE, "Days from order to promise."),
)
TRUE_DELIVERIES = _truth(
    "deliveries",
    "One row per line of a purchase order.",
    ("delivery_id",),
    Column("delivery_id", STRING, "Line."),
    Column("supplier_id", STRING, "Supplier."),
    Column("p_late", DOUBLE, "Probability that its shipment is late.", check="p_late BETWEEN 0 AND 1"),
    Column("is_late", BOOLEAN, "Whether it is, known or not yet."),
)
TRUE_BAD_ROWS = _truth(
    "bad_rows",
    "One row per raw table and kind of bad row.",
    ("table", "kind"),
    Column("table", STRING, "Raw table."),
    Column("kind", STRING, "What is wrong."),
    Column("rule", STRING, "Rule under which ingest must file it."),
    Column("rows", LONG, "Rows to be quarantined or dropped."),
)
TRUTH = (
    TRUE_PRODUCTS,
    TRUE_CUSTOMERS,
    TRUE_STORES,
    TRUE_DEMAND,
    TRUE_SESSIONS,
    TRUE_SUPPLIERS,
    TRUE_DELIVERIES,
    TRUE_BAD_ROWS,
)

RAW_MARKET_SALES = _raw(
    "market_sales",
    "One row per market, store, product and week with a sale: a market whose prices react to demand, and its twin.",
    market="confounded or twin.",
    store="Store.",
    region="Region of the store.",
    sku="Product.",
    category="Category of the product.",
    week_start="Monday.",
    qty="Units.",
    price="Price paid per unit.",
    cost="Cost per unit.",
)
TRUE_MARKET_ELASTICITIES = _truth(
    "market_elasticities",
    "One row per ordered pair of products of a category of the market, own prices included.",
    ("product_id", "other_product_id"),
    Column("product_id", STRING, "Product whose units respond."),
    Column("other_product_id", STRING, "Product whose price moves."),
    Column("elasticity", DOUBLE, "Percent of units per percent of that price, the same in both markets."),
)
TRUE_MARKET_SCENARIOS = _truth(
    "market_scenarios",
    "One row per market, store, product and week.",
    ("market", "store_id", "product_id", "week_start"),
    Column("market", STRING, "confounded or twin."),
    Column("store_id", STRING, "Store."),
    Column("product_id", STRING, "Product."),
    Column("week_start", DATE, "Monday."),
    Column("mean_units", DOUBLE, "Mean demand at the price that was asked, units."),
    Column("units_up", DOUBLE, "Mean demand with this product's price ten percent up, units."),
)
MARKET = (RAW_MARKET_SALES, TRUE_MARKET_ELASTICITIES, TRUE_MARKET_SCENARIOS)
"""Written only where `synthetic.market` asks for it."""
