"""Learning a recipe on the purchases up to a date, and making lists from what was learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.recommend.als import Factors, learn_factors
from retail_spark.domains.recommend.models.blend import Blend, Recipe
from retail_spark.domains.recommend.purchases import only_purchases, to_history, to_products, with_confidence
from retail_spark.domains.recommend.scoring.blocks import blocks_of, pack_customers, pack_products
from retail_spark.domains.recommend.scoring.lists import Wanted, to_lists
from retail_spark.domains.recommend.settings import JobSettings
from retail_spark.engine.job import Run

FALLBACK_ALL = Blend(repurchase_powers={"decayed": 1.0}, repurchase_scale=1.0, popularity_scale=0.1)
"""What makes list all where nothing can be measured: decayed personal frequency, recent popularity behind it."""
BASELINES: Mapping[str, Mapping[str, Blend]] = {
    "all": {
        "popular": Blend(),
        "popular_ever": Blend(popularity="popular_ever"),
        "popular_new": Blend(leaves_out_bought=True),
        "personal": Blend(repurchase_powers={"orders": 1.0}, repurchase_scale=1.0, popularity_scale=0.1),
        "decayed": FALLBACK_ALL,
    },
    "discover": {"popular": Blend(), "popular_ever": Blend(popularity="popular_ever")},
}
"""List -> name -> what the candidate must beat there, and what makes the list where it does not; needs no factors."""
FALLBACK = {"all": "decayed", "discover": "popular"}


@dataclass(frozen=True)
class Data:
    """What a run learns from: `lines` as of to_lines, one row per id with its number, and silver.products if any.

    `allowed` has one row per product_id that lists may show; None: no rule forbids anything.
    """

    run: Run
    settings: JobSettings
    lines: DataFrame
    customer_numbers: DataFrame
    product_numbers: DataFrame
    catalogue: DataFrame | None = None
    allowed: DataFrame | None = None


@dataclass(frozen=True)
class Learned:
    """What is known of customers and products up to a date; factors are None for a baseline, which needs none.

    history: one row per (customer_id, product_id) with customer_no, product_no, orders, decayed, age, rating;
    products: one row per product_id with product_no and its features.
    """

    recipe: Recipe
    history: DataFrame
    products: DataFrame
    factors: Factors | None

    def lists(
        self, wanted: Sequence[Wanted], *, k: int, settings: JobSettings, customers: DataFrame | None = None
    ) -> DataFrame:
        """One row per (list, customer_id, rank), for every customer of the history, or for those in `customers`."""
        history = self.history
        if customers is not None:
            history = history.join(customers.select("customer_id"), "customer_id", how="left_semi")
        customer_factors = self.factors.customers if self.factors else _no_factors(self.history, "customer_no")
        product_factors = self.factors.products if self.factors else _no_factors(self.products, "product_no")
        people = blocks_of(self.customers, size=settings.customer_block)
        goods = blocks_of(self._products, size=settings.product_block)
        packed = pack_products(self.products, product_factors, blocks=goods)
        return to_lists(
            pack_customers(history, customer_factors, blocks=people), packed, wanted=wanted, k=k, product_blocks=goods
        )

    @cached_property
    def customers(self) -> int:
        """About how many customers the history has."""
        return int(self.history.agg(F.approx_count_distinct("customer_no")).collect()[0][0])

    @cached_property
    def _products(self) -> int:
        return self.products.count()


def learn(data: Data, *, until: date, recipe: Recipe, name: str) -> Learned:
    """Histories, products and factors from the purchases up to the end of `until`; `name` keeps stages apart."""
    return with_factors(count(data, until=until, recipe=recipe, name=name), data=data)


def with_factors(counted: Learned, *, data: Data) -> Learned:
    """Adds ALS factors to what was counted."""
    interval = data.settings.checkpoint_interval
    factors = learn_factors(counted.history, recipe=counted.recipe, seed=data.run.seed, checkpoint_interval=interval)
    return replace(counted, factors=factors)


def count(data: Data, *, until: date, recipe: Recipe, name: str) -> Learned:
    """Histories and products without factors: all that the baselines need."""
    purchases = only_purchases(data.lines, until=until, nets_returns=recipe.nets_returns)
    counted = to_history(purchases, until=until, half_life_days=recipe.half_life_days, order_weight=recipe.order_weight)
    history = data.run.stage(f"{name}_counts", counted)
    features = history.transform(
        to_products, recent_days=recipe.recent_days, trend_half_life_days=recipe.trend_half_life_days
    )
    described = features.join(data.product_numbers, "product_id", how="inner").withColumn("is_content", F.lit(False))
    if data.catalogue is None:
        described = described.withColumn("category", F.lit(None).cast("string"))
    else:
        described = described.join(data.catalogue.select("product_id", "category"), "product_id", how="left")
    products = data.run.stage(f"{name}_products", described)
    numbered = history.join(data.customer_numbers, "customer_id", how="inner").join(
        products.select("product_id", "product_no"), "product_id", how="inner"
    )
    rated = numbered.transform(with_confidence, confidence=recipe.confidence)
    return Learned(recipe, data.run.stage(f"{name}_history", rated), products, None)


def _no_factors(frame: DataFrame, number: str) -> DataFrame:
    nothing = F.array(F.lit(0.0).cast("float")).alias("features")
    return frame.select(F.col(number).alias("id")).distinct().select("id", nothing)
