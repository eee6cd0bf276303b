"""Who buys: customers with latent tastes, and the lottery that gives every sales line its customer.

Customer c of store s has an activity a(c) and taste shares theta(c, k); product p has appeal shares phi(p, k).
On day t the customers of one pool g(s, t) shop, every pool once in a cycle. A line of p goes to

    P(c | p, s, t) = sum over k of phi(p, k) * a(c) * theta(c, k) / sum over c' in g(s, t) of a(c') * theta(c', k)

which is a non-negative matrix of rank `tastes`: what implicit ALS finds. Demand is drawn first and split after, so
that the split leaves the elasticity of demand as it is. The lottery of a (store, pool, taste) has a fixed number of
slots, each customer holding as many as their weight says (to within one), so that a draw is one join on a slot number.
A `repeat_share` of the lines draws with the same odds but always the same few tickets for a (store, product,
pool): these are the product's regulars, and the reason for repeat purchases beyond taste.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.synthetic.chance import Chance, draw_of, label, shares_of, uniform_of
from retail_spark.synthetic.lottery import to_slots
from retail_spark.synthetic.settings import World

REGULARS = 2
"""Tickets of a product's regulars in a store and pool."""
_EXPORTED = (
    "store_no", "store_id", "closed_day", "product_no", "product_id", "day", "line_no", "quantity", "unit_price",
    "regular_price", "discount", "unit_cost", "on_promotion", "on_display",
)  # fmt: skip
"""What travels on with a sales line once its customer is being looked up."""
_ROAMING_SHARE = 0.08
_LATE_SHARE = 0.4
"""Share of customers who were not yet known on the first day."""


def to_customers(spark: SparkSession, *, world: World, chance: Chance) -> DataFrame:
    """One row per customer_no: home store, pool, activity (mean 1), `factors` (taste shares), first_day known."""
    number, scale = F.col("customer_no"), world.scale
    customers = spark.range(scale.customers, numPartitions=max(1, scale.customers // 100_000))
    is_late = chance.happens("joins late", _LATE_SHARE, number)

    def liking(taste: Column) -> Column:
        return F.exp(F.lit(2.0) * chance.normal("liking", number, taste))

    return customers.select(F.col("id").cast("int").alias("customer_no")).select(
        "customer_no",
        label("C", number, 7).alias("customer_id"),
        (number % scale.stores).alias("store_no"),
        (F.floor(number / scale.stores) % world.pools).cast("int").alias("pool"),
        chance.lognormal("activity", 0.7, number).alias("activity"),
        F.when(is_late, chance.pick("first day", world.days * 9 // 10, number)).otherwise(F.lit(0)).alias("first_day"),
        shares_of(F.transform(F.sequence(F.lit(0), F.lit(world.settings.tastes - 1)), liking)).alias("factors"),
    )


def to_tickets(customers: DataFrame, *, world: World) -> DataFrame:
    """One row per ticket (store, pool, taste, slot), and the customer who holds it."""
    liked = customers.select("store_no", "pool", "customer_no", "first_day", "activity", F.posexplode("factors"))
    weight = F.greatest(F.round(F.col("activity") * F.col("col") * 1e6).cast("bigint"), F.lit(1))
    weighed = liked.withColumn("weight", weight).withColumnRenamed("pos", "taste").drop("activity", "col")
    held = weighed.transform(to_slots, by=("store_no", "pool", "taste"), holder="customer_no", slots=world.slots)
    ticket = _ticket(F.col("store_no"), F.col("pool"), F.col("taste"), F.col("slot"), world=world)
    return held.select(ticket.alias("ticket"), "customer_no", "first_day")


def _ticket(store: Column, pool: Column, taste: Column, slot: Column, *, world: World) -> Column:
    """One number for the four: a fast key for the join. Never NULL, or Spark would compute it twice to filter it."""
    lottery = (store.cast("bigint") * world.pools + pool) * world.settings.tastes + taste
    return F.coalesce(lottery * world.slots + slot, F.lit(-1)).cast("bigint")


def with_customer(lines: DataFrame, tickets: DataFrame, *, world: World, chance: Chance) -> DataFrame:
    """Adds customer_no to sales lines; NULL for guests and for customers who were not known yet on that day."""
    drawn = lines.transform(with_ticket, world=world, chance=chance)
    # `ticket` is the key of tickets: many to one. A store without customers has guests only.
    joined = drawn.join(tickets, on="ticket", how="left")
    is_guest = F.col("is_guest") | (F.col("first_day") > F.col("day"))
    return joined.withColumn("customer_no", F.when(~is_guest, F.col("customer_no")))


def with_ticket(lines: DataFrame, *, world: World, chance: Chance) -> DataFrame:
    """Adds the ticket that wins each line, and is_guest."""
    settings, line = world.settings, [F.col(name) for name in ("store_no", "product_no", "day", "line_no")]
    roams = (F.col("format") == "online") | chance.happens("roams", _ROAMING_SHARE, *line)
    home = F.when(roams, chance.pick("home", world.scale.stores, *line)).otherwise(F.col("store_no"))
    placed = lines.withColumns({"home_no": home, "is_guest": chance.happens("guest", settings.guest_share, *line)})
    pooled = placed.withColumn("pool", _pool_of_day(F.col("home_no"), F.col("day"), world=world, chance=chance))
    regular = (F.col("home_no"), F.col("product_no"), F.col("pool"), chance.pick("regular", REGULARS, *line))
    is_repeat = chance.happens("repeat", settings.repeat_share, *line)

    def drawn(what: str) -> Column:
        return uniform_of(
            F.when(is_repeat, chance.bits(f"{what}/regular", *regular)).otherwise(chance.bits(what, *line))
        )

    # Columns of their own, because the taste compares its draw many times.
    drawn_once = pooled.withColumns({"taste_draw": drawn("taste"), "slot": F.floor(drawn("slot") * world.slots)})
    taste = draw_of(F.col("taste_cuts"), F.col("taste_draw"), choices=settings.tastes)
    ticket = _ticket(F.col("home_no"), F.col("pool"), taste, F.col("slot"), world=world)
    return drawn_once.withColumn("ticket", ticket).select(*_EXPORTED, "ticket", "is_guest")


def _pool_of_day(store: Column, day: Column, *, world: World, chance: Chance) -> Column:
    """Every pool once a cycle, in an order that turns from cycle to cycle."""
    cycle = F.floor(day / world.pools)
    return ((day + chance.pick("pool turn", world.pools, store, cycle)) % world.pools).cast("int")
