"""The web shop: visits of people and robots, with known sessions.

Time is cut into slots of twelve hours, and a visitor makes at most one visit in a slot, in its first eleven and a
half hours; so two visits lie more than 30 minutes apart. Within a visit pauses stay at ten minutes or less, but for
one special pause in some visits: exactly 30 minutes (the session goes on) or between one millisecond and an hour
more (a new session begins). All times are whole milliseconds.
"""

from __future__ import annotations

from datetime import UTC, datetime, time

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.synthetic.chance import Chance, cuts_of, draw_of, label, one_of
from retail_spark.synthetic.lottery import to_slots
from retail_spark.synthetic.settings import World

GAP_MS = 30 * 60 * 1000
_SLOT_MS = 12 * 3600 * 1000
_FIRST_SLOT_MS = 7 * 3600 * 1000
_START_MS = 5 * 3600 * 1000 + 25 * 60 * 1000
_LONGEST_PAUSE_MS = 10 * 60 * 1000
_LONGEST_BREAK_MS = 60 * 60 * 1000
_MOST_EVENTS = 25
_VISITS_PER_VISITOR = 2.5
_TICKETS_PER_PRODUCT = 16
_WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1"
_CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0"
BROWSERS = (
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 13; Pixel 7) {_CHROME} Mobile Safari/537.36",
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Safari/605.1.15",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) {_WEBKIT} Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
)
ROBOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "python-requests/2.31.0",
)
# referrer, utm_source, utm_medium, utm_campaign
CHANNELS = (
    (None, None, None, None),
    ("https://www.google.com/", None, None, None),
    ("https://www.google.com/", "google", "cpc", "brand"),
    (None, "newsletter", "email", "weekly"),
    ("https://www.facebook.com/", "facebook", "social", None),
    ("https://prices.example/", None, None, None),
)


def to_visitors(spark: SparkSession, customers: DataFrame, *, world: World, chance: Chance) -> DataFrame:
    """One row per visitor_no. Each has the tastes of some customer; three in five people are that customer."""
    number = F.col("visitor_no")
    count = max(1, round(world.scale.visits / _VISITS_PER_VISITOR))
    visitors = spark.range(count, numPartitions=max(2, count // 100_000)).select(F.col("id").alias("visitor_no"))
    is_bot = chance.happens("bot", world.settings.bot_share, number)
    described = visitors.select(
        "visitor_no",
        is_bot.alias("is_bot"),
        (is_bot & chance.happens("declared", 0.7, number)).alias("is_declared_bot"),
        chance.pick("like", world.scale.customers, number).alias("customer_no"),
        chance.happens("linked", 0.6, number).alias("is_linked"),
        F.least(F.lit(1) + chance.geometric("visits", _VISITS_PER_VISITOR - 1, number), F.lit(200)).alias("visits"),
    )
    # customer_no is the key of customers: many to one.
    known_from = F.col("first_day").alias("known_from")
    tastes = customers.select("customer_no", "customer_id", cuts_of(F.col("factors")).alias("taste_cuts"), known_from)
    joined = described.join(tastes, on="customer_no", how="inner")
    is_customer = F.col("is_linked") & ~F.col("is_bot")
    robot = one_of(ROBOTS, chance.pick("robot", len(ROBOTS), number))
    agent = F.when(F.col("is_declared_bot"), robot).otherwise(
        one_of(BROWSERS, chance.pick("browser", len(BROWSERS), number))
    )
    return joined.withColumns({"customer_id": F.when(is_customer, F.col("customer_id")), "user_agent": agent}).drop(
        "customer_no", "is_linked"
    )


def to_visits(visitors: DataFrame, *, world: World, chance: Chance) -> DataFrame:
    """One row per (visitor_no, visit_no), with start, number of events, and the place and length of its long pause."""
    visit = (F.col("visitor_no"), F.col("visit_no"))
    slots = 2 * world.days - 1
    made = F.least(F.col("visits"), F.lit(slots))
    stratum = F.floor(F.lit(slots) / made).cast("int")
    exploded = visitors.select("*", F.explode(F.sequence(F.lit(0), made - 1)).alias("visit_no"))
    slot = F.col("visit_no") * stratum + chance.pick("slot", stratum, *visit)
    starts_at = slot.cast("bigint") * _SLOT_MS + _FIRST_SLOT_MS + chance.pick("start", _START_MS, *visit)
    of_people = F.when(chance.happens("bounce", 0.35, *visit), F.lit(1)).otherwise(
        F.least(F.lit(2) + chance.geometric("events", 5.0, *visit), F.lit(_MOST_EVENTS))
    )
    events = F.when(F.col("is_bot"), F.lit(40) + chance.pick("robot events", 160, *visit)).otherwise(of_people)
    special = chance.uniform("special pause", *visit)
    long_pause = F.when(special < 0.02, F.lit(GAP_MS)).when(
        special < 0.08, F.lit(GAP_MS + 1) + chance.pick("break", _LONGEST_BREAK_MS, *visit)
    )
    timed = exploded.withColumns({"starts_at": starts_at, "events": events, "long_pause": long_pause})
    return timed.withColumns(
        {
            "long_pause_at": F.lit(1) + chance.pick("pause at", F.greatest(F.col("events") - 1, F.lit(1)), *visit),
            "converts": ~F.col("is_bot") & (F.col("events") >= 5) & chance.happens("converts", 0.12, *visit),
            "channel": F.when(F.col("is_bot"), F.lit(0)).otherwise(chance.pick("channel", len(CHANNELS), *visit)),
            "signed_in": F.col("customer_id").isNotNull()
            & chance.happens("signed in", 0.5, *visit)
            & (F.col("known_from") <= F.floor(F.col("starts_at") / (2 * _SLOT_MS))),
        }
    )


def to_events(visits: DataFrame, products: DataFrame, *, world: World, chance: Chance) -> DataFrame:
    """One row per (visitor_no, visit_no, event_no), with time, session, type and product."""
    return (
        visits.select("*", F.explode(F.sequence(F.lit(0), F.col("events") - 1)).alias("event_no"))
        .transform(_with_time, chance=chance)
        .transform(_with_type, world=world, chance=chance)
        .transform(_with_product, products, world=world)
    )


def _with_time(events: DataFrame, *, chance: Chance) -> DataFrame:
    event = (F.col("visitor_no"), F.col("visit_no"), F.col("event_no"))
    typical = F.lit(35_000.0) * F.exp(F.lit(1.1) * chance.normal("pause", *event))
    of_people = F.least(F.greatest(typical, F.lit(500.0)), F.lit(float(_LONGEST_PAUSE_MS))).cast("bigint")
    of_robots = F.lit(600).cast("bigint") + chance.pick("robot pause", 1800, *event)
    is_long = (F.col("event_no") == F.col("long_pause_at")) & F.col("long_pause").isNotNull() & ~F.col("is_bot")
    pause = F.when(F.col("is_bot"), of_robots).when(is_long, F.col("long_pause")).otherwise(of_people)
    paused = events.withColumn("pause", F.when(F.col("event_no") == 0, F.lit(0)).otherwise(pause).cast("bigint"))
    so_far = W.partitionBy("visitor_no", "visit_no").orderBy("event_no").rowsBetween(W.unboundedPreceding, W.currentRow)
    return paused.withColumns(
        {
            "at": F.col("starts_at") + F.sum("pause").over(so_far),
            "session_no": F.sum((F.col("pause") > GAP_MS).cast("int")).over(so_far),
        }
    )


def _with_type(events: DataFrame, *, world: World, chance: Chance) -> DataFrame:
    """Adds the type, and the ticket of its product: a cart takes the product seen before, a purchase the cart's."""
    key = (F.col("visitor_no"), F.col("visit_no"))
    number, last, drawn = F.col("event_no"), F.col("events") - 1, chance.uniform("type", *key, F.col("event_no"))
    is_closing = F.col("converts") & (number >= last - 2)
    closing = F.when(number == last, "purchase").when(number == last - 1, "add_to_cart").otherwise("product_view")
    is_seen = drawn < 0.6
    is_carted = (drawn >= 0.6) & (drawn < 0.7) & (number > 1) & ~F.col("is_bot")
    typed = events.withColumn(
        "type",
        F.when(is_closing, closing)
        .when(is_seen, F.lit("product_view"))
        .when(is_carted, F.lit("add_to_cart"))
        .otherwise(F.lit("page_view")),
    )
    back = F.when(F.col("type") == "add_to_cart", 1).when(F.col("type") == "purchase", 2).otherwise(0)
    seen = typed.withColumn("seen_no", number - back)
    shown = seen.withColumns(
        {
            "taste_draw": chance.uniform("click taste", *key, F.col("seen_no")),
            "slot": F.floor(chance.uniform("click product", *key, F.col("seen_no")) * _slots(world)),
        }
    )
    taste = draw_of(F.col("taste_cuts"), F.col("taste_draw"), choices=world.settings.tastes)
    ticket = F.coalesce(taste.cast("bigint") * _slots(world) + F.col("slot"), F.lit(-1))
    return shown.withColumn("ticket", ticket.cast("bigint")).drop("taste_cuts", "taste_draw", "slot", "seen_no")


def _slots(world: World) -> int:
    return world.scale.products * _TICKETS_PER_PRODUCT


def to_product_tickets(products: DataFrame, *, world: World) -> DataFrame:
    """One row per ticket (taste, slot), held by products as their appeal times popularity says."""
    slots = _slots(world)
    appealing = products.select("*", F.posexplode("factors").alias("taste", "share"))
    weight = F.greatest(F.round(F.col("popularity") * F.col("share") * 1e6).cast("bigint"), F.lit(1))
    each = appealing.withColumn("weight", weight).transform(to_slots, by=["taste"], holder="product_no", slots=slots)
    ticket = F.col("taste").cast("bigint") * slots + F.col("slot")
    return each.select(ticket.alias("ticket"), "product_id", "base_price", "introduced_day", "ended_day")


def _with_product(events: DataFrame, products: DataFrame, *, world: World) -> DataFrame:
    """A product that is not in range that day is not shown: the event is a plain page view."""
    # `ticket` is the key of the tickets: many to one.
    joined = events.join(to_product_tickets(products, world=world), on="ticket", how="left")
    day = F.floor(F.col("at") / (2 * _SLOT_MS))
    is_shown = day.between(F.col("introduced_day"), F.col("ended_day")) & (F.col("type") != "page_view")
    is_shown = F.coalesce(is_shown, F.lit(False))
    return joined.withColumns(
        {
            "type": F.when(is_shown, F.col("type")).otherwise(F.lit("page_view")),
            "product_id": F.when(is_shown, F.col("product_id")),
        }
    )


def to_event_log(events: DataFrame, *, world: World, chance: Chance) -> DataFrame:
    """One row per event as the collector exports it."""
    key = (F.col("visitor_no"), F.col("visit_no"), F.col("event_no"))
    is_first = F.col("event_no") == 0
    is_purchase = F.col("type") == "purchase"
    delay = F.when(chance.happens("late", 0.02, *key), chance.pick("late by", 3 * 24 * 3600 * 1000, *key)).otherwise(
        chance.pick("delay", 5000, *key)
    )
    page = F.when(F.col("product_id").isNotNull(), F.concat(F.lit("/p/"), F.col("product_id"))).otherwise(F.lit("/"))
    order = F.concat(F.lit("W"), F.col("visitor_no"), F.lit("-"), F.col("visit_no"))
    channel = [
        F.when(is_first, one_of(tuple(row[part] for row in CHANNELS), F.col("channel"))).alias(name)
        for part, name in enumerate(("referrer", "utm_source", "utm_medium", "utm_campaign"))
    ]
    return events.select(
        event_id().alias("event"),
        moment_text(F.col("at"), world=world).alias("occurred_at"),
        moment_text(F.col("at") + delay, world=world).alias("received_at"),
        label("V", F.col("visitor_no"), 8).alias("visitor"),
        F.when(F.col("signed_in"), F.col("customer_id")).alias("card"),
        "type",
        F.concat(F.lit("https://shop.example"), page).alias("page"),
        F.when(~is_purchase, F.col("product_id")).alias("sku"),
        F.when(is_purchase, order).alias("order_no"),
        F.when(is_purchase, F.col("base_price").cast("decimal(18,2)").cast("string")).alias("value"),
        *channel,
        "user_agent",
    )


def to_true_sessions(events: DataFrame) -> DataFrame:
    """One row per event_id with its session."""
    visit = F.concat_ws("-", "visitor_no", "visit_no", "session_no")
    return events.select(
        event_id().alias("event_id"),
        F.concat(F.lit("T"), visit).alias("session_id"),
        label("V", F.col("visitor_no"), 8).alias("visitor_id"),
        "customer_id",
        "is_bot",
        "is_declared_bot",
    )


def event_id() -> Column:
    """The id of an event, from its numbers."""
    return F.concat(F.lit("E"), F.concat_ws("-", "visitor_no", "visit_no", "event_no"))


def moment_text(at: Column, *, world: World) -> Column:
    """yyyy-MM-dd HH:mm:ss.SSS of milliseconds since day 0."""
    start = int(datetime.combine(world.start_on, time(), tzinfo=UTC).timestamp()) * 1000
    return F.date_format(F.timestamp_millis(at + F.lit(start)), "yyyy-MM-dd HH:mm:ss.SSS")
