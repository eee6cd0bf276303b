"""Stores, the category tree, products, and what lies in which store: the fixed part of the retailer."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.synthetic.chance import Chance, cuts_of, label, one_of, shares_of
from retail_spark.synthetic.settings import World

REGIONS = ("North", "East", "South", "West")
FORMATS = ("hypermarket", "supermarket", "supermarket", "convenience", "online")
FORMAT_SIZE = (2.0, 1.0, 1.0, 0.5, 0.8)
FORMAT_PRICE = (0.97, 1.0, 1.0, 1.08, 1.0)
CATEGORIES = ("Dairy", "Bakery", "Produce", "Meat", "Frozen", "Drinks", "Snacks", "Pantry", "Household", "Care")
CATEGORY_PRICE = (2.2, 2.0, 2.5, 6.5, 4.0, 3.0, 2.8, 3.2, 5.5, 4.8)
SUBCATEGORIES = ("Classic", "Organic", "Family", "Premium")
BRANDS = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Gingko", "Hazel", "Ivy", "Juniper", "Kauri", "Larch")
COUNTRIES = ("DE", "FR", "PL", "IT", "CN", "TR", "VN", "NL")
NEW_PRODUCT_SHARE = 0.12
DISCONTINUED_SHARE = 0.05
_SOLD_BY = (
    "product_no", "product_id", "taste_cuts", "base_price", "elasticity", "unit_cost", "price_block_weeks",
    "introduced_day", "ended_day", "demand_class", "popularity", "units_per_line", "yearly_trend", "season_strength",
    "season_peak_day", "holiday_lift", "feature_lift", "display_lift",
)  # fmt: skip
"""What the sales of a product depend on; names and the rest do not travel with every cell."""
INTERMITTENT_SHARE = 0.25


def to_stores(spark: SparkSession, *, world: World, chance: Chance) -> DataFrame:
    """One row per store_no. Every tenth store opens late, every tenth closes early (days count from 0)."""
    number = F.col("store_no")
    kind = number % len(FORMATS)
    stores = spark.range(world.scale.stores, numPartitions=1).select(F.col("id").cast("int").alias("store_no"))
    opens = F.when(number % 10 == 9, F.lit(world.days // 4)).otherwise(F.lit(0))
    closes = F.when(number % 10 == 8, F.lit(world.days * 9 // 10)).otherwise(F.lit(world.days * 2))
    return stores.select(
        "store_no",
        label("S", number, 4).alias("store_id"),
        one_of(REGIONS, number % len(REGIONS)).alias("region"),
        one_of(FORMATS, kind).alias("format"),
        _around_one(_choice(FORMAT_SIZE, kind) * chance.lognormal("store size", 0.3, number)).alias("store_size"),
        (_choice(FORMAT_PRICE, kind)).alias("price_index"),
        opens.cast("int").alias("opened_day"),
        closes.cast("int").alias("closed_day"),
    )


def to_products(spark: SparkSession, *, world: World, chance: Chance) -> DataFrame:
    """One row per product_no, with everything that decides how it sells.

    log(mean units) = log(lines_per_day * units_per_line) + elasticity * log(price / base_price) + season + ...;
    `factors` is the share of each taste in the product's appeal and adds up to 1.
    """
    number = F.col("product_no")
    products = spark.range(world.scale.products, numPartitions=1).select(F.col("id").cast("int").alias("product_no"))
    placed = products.select(
        "product_no",
        label("P", number, 6).alias("product_id"),
        _category_no(number, chance).alias("category_no"),
        chance.pick("subcategory", len(SUBCATEGORIES), number).alias("subcategory_no"),
        (number % world.scale.suppliers).alias("supplier_no"),
    )
    return (
        placed.transform(_with_names, chance=chance)
        .transform(_with_prices, chance=chance)
        .transform(_with_demand, world=world, chance=chance)
        .withColumn("factors", _appeal(world, chance))
        .withColumn("taste_cuts", cuts_of(F.col("factors")))
    )


def category_name(product_no: Column, *, chance: Chance) -> Column:
    """The category of a product, from its number alone."""
    return one_of(CATEGORIES, _category_no(product_no, chance))


def _category_no(product_no: Column, chance: Chance) -> Column:
    return chance.pick("category", len(CATEGORIES), product_no)


def _with_names(products: DataFrame, *, chance: Chance) -> DataFrame:
    brand = one_of(BRANDS, chance.pick("brand", len(BRANDS), F.col("product_no")))
    category = one_of(CATEGORIES, F.col("category_no"))
    subcategory = F.concat_ws(" ", one_of(SUBCATEGORIES, F.col("subcategory_no")), category)
    name = F.concat_ws(" ", brand, subcategory, F.col("product_no").cast("string"))
    return products.withColumns(
        {"category": category, "subcategory": subcategory, "brand": brand, "product_name": name}
    )


def _with_prices(products: DataFrame, *, chance: Chance) -> DataFrame:
    number, category = F.col("product_no"), F.col("category_no")
    base = F.round(_choice(CATEGORY_PRICE, category) * chance.lognormal("base price", 0.45, number), 2)
    typical = F.lit(-1.2) - F.lit(1.4) * chance.uniform("category elasticity", category)
    elasticity = F.least(typical + F.lit(0.35) * chance.normal("elasticity", number), F.lit(-0.3))
    priced = products.withColumns({"base_price": F.greatest(base, F.lit(0.6)), "elasticity": F.round(elasticity, 4)})
    cost = F.round(F.col("base_price") * (F.lit(0.45) + F.lit(0.25) * chance.uniform("cost", number)), 2)
    return priced.withColumns({"unit_cost": cost, "price_block_weeks": F.lit(4) + chance.pick("block", 6, number)})


def _with_demand(products: DataFrame, *, world: World, chance: Chance) -> DataFrame:
    number, category = F.col("product_no"), F.col("category_no")
    is_new = chance.happens("is new", NEW_PRODUCT_SHARE, number)
    ends = chance.happens("ends", DISCONTINUED_SHARE, number) & ~is_new
    introduced = F.when(is_new, chance.pick("introduced", world.days - 14, number) + 7).otherwise(F.lit(0))
    ended = F.when(ends, F.lit(world.days // 3) + chance.pick("ended", world.days // 2, number))
    is_intermittent = chance.happens("is intermittent", INTERMITTENT_SHARE, number)
    demand_class = F.when(is_intermittent, "intermittent").otherwise(F.when(is_new, "new").otherwise("regular"))
    scale = F.when(is_intermittent, F.lit(0.25)).otherwise(F.lit(1.25))
    return products.withColumns(
        {
            "introduced_day": introduced.cast("int"),
            "ended_day": F.coalesce(ended, F.lit(world.days * 2)).cast("int"),
            "demand_class": demand_class,
            "popularity": _around_one(scale * chance.lognormal("popularity", 0.8, number)),
            "units_per_line": F.lit(1.05) + F.lit(0.9) * chance.uniform("units per line", number),
            "yearly_trend": F.lit(0.12) * chance.normal("trend", number),
            "season_strength": F.lit(0.1) + F.lit(0.35) * chance.uniform("season", category),
            "season_peak_day": chance.pick("season peak", 365, category),
            "holiday_lift": F.lit(0.2) + F.lit(0.6) * chance.uniform("holiday lift", category),
            "feature_lift": F.round(F.lit(0.2) + F.lit(0.3) * chance.uniform("feature lift", number), 4),
            "display_lift": F.round(F.lit(0.1) + F.lit(0.25) * chance.uniform("display lift", number), 4),
        }
    )


def _appeal(world: World, chance: Chance) -> Column:
    """A softmax over tastes: half of it belongs to the shelf (subcategory of the category), half to the product."""
    number, shelf = F.col("product_no"), F.col("category_no") * len(SUBCATEGORIES) + F.col("subcategory_no")

    def strength(taste: Column) -> Column:
        of_shelf = chance.normal("shelf taste", shelf, taste)
        return F.exp(F.lit(1.5) * of_shelf + F.lit(1.2) * chance.normal("product taste", number, taste))

    return shares_of(F.transform(F.sequence(F.lit(0), F.lit(world.settings.tastes - 1)), strength))


def to_listings(stores: DataFrame, products: DataFrame, *, world: World, chance: Chance) -> DataFrame:
    """One row per (store_no, product_no) that the store lists; both sides are small, the product is the output.

    `lines_per_day` is the mean number of sales lines at base price on an average day.
    """
    is_listed = chance.happens("is listed", world.settings.listed_share, F.col("store_no"), F.col("product_no"))
    local = chance.lognormal("local taste", 0.3, F.col("store_no"), F.col("product_no"))
    size = F.col("store_size") * F.col("popularity") * local
    listed = stores.crossJoin(F.broadcast(products.select(*_SOLD_BY))).where(is_listed)
    sized = listed.withColumn("lines_per_day", F.lit(world.lines_per_cell) * size).drop("store_size", "popularity")
    return sized.repartition(world.cell_partitions, "store_no", "product_no")


def _around_one(weight: Column) -> Column:
    """The weight over the mean weight. The sum is of whole numbers: exact, whatever the order of rows."""
    whole = F.round(weight * 1e6).cast("bigint")
    everyone = W.partitionBy(F.lit(0))
    return whole * F.count(F.lit(1)).over(everyone) / F.sum(whole).over(everyone)


def _choice(values: tuple[float, ...], index: Column) -> Column:
    return F.element_at(F.array(*[F.lit(value) for value in values]), index.cast("int") + F.lit(1))
