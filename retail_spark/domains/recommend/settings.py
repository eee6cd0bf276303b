"""Settings of the job `recommend`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from retail_spark.config.section import Section, setting
from retail_spark.domains.recommend.models.blend import POWERS, Blend, Recipe

# Chosen on three windows of Online Retail that end before the held-out one (31 days each, from 2011-08-08, 09-08 and
# 10-09), by tests/benchmarks/recommend_online_retail.py --choose: the powers are the weights of a logistic regression
# of "bought again within the window" on the logarithms of the features; of 0.25, 0.5 and 0.75 as power of the trend and
# of 0, 0.003, 0.01 and 0.02 as weight of ALS in list all, the best mean nDCG@10 was taken. ALS itself: nine settings of
# half-life (60, 120 days, none), rank (32 to 128), reg_param (0.03 to 0.3), alpha (4 to 40) on the last two windows.
_POWERS = {
    "decayed": 0.36, "orders": 0.43, "als": 0.63, "trend": 0.40, "recent": 0.18, "buyers": -0.36, "repeat_rate": 0.32,
}  # fmt: skip


class JobSettings(Section):
    """What the lists hold, what is learned, and how the lists are blended."""

    k: int = setting(10, "length of a list", unit="products", ge=1, le=1000)
    metric_k: int = setting(10, "length at which lists are measured", unit="products", ge=1, le=1000)
    test_days: int = setting(28, "held-out window: this many days before the last purchase", unit="days", ge=1)
    min_test_customers: int = setting(
        10,
        "customers that the held-out window must have; with fewer, nothing is learned and the baseline makes the lists",
        unit="customers",
        ge=1,
    )  # fmt: skip
    returns: Literal["ignore", "net"] = setting(
        "ignore", "ignore: a return undoes nothing, who bought it wanted it; net: it undoes the latest purchase"
    )
    feedback: Literal["implicit", "explicit"] = setting(
        "implicit",
        "implicit: orders are confidence in a preference; explicit: they are ratings to be predicted, best with "
        "order_weight: quantity and a half_life_days without decay, such as 1e9",
    )
    confidence: Literal["counts", "log", "bm25"] = setting(
        "counts", "what ALS makes of decayed orders: as they are, log(1 + x), or BM25 over customers"
    )
    order_weight: Literal["one", "quantity"] = setting(
        "one",
        "what an order adds to the orders that ALS learns from: 1, or its quantity; for ratings mapped to quantity, "
        "which are then confidence (implicit) or predicted (explicit)",
    )
    reward_days: int = setting(
        7, "with silver.exposures: a product shown earns when it is bought within", unit="days", ge=0
    )
    replicates: int = setting(200, "bootstrap replicates behind the intervals", unit="replicates", ge=20, le=10_000)

    rank: int = setting(64, "length of a factor", unit="numbers", ge=1, le=512)
    iterations: int = setting(10, "alternations of ALS", unit="iterations", ge=1, le=100)
    reg_param: float = setting(0.3, "ridge of ALS, times the number of ratings of a customer or product", ge=0)
    alpha: float = setting(10.0, "confidence that one fresh order adds to ALS", gt=0)
    blocks: int = setting(
        4, "blocks of customers and of products in ALS; changes the factors, so size it to the data, not the machine",
        unit="blocks", ge=1,
    )  # fmt: skip
    checkpoint_interval: int = setting(
        10, "ALS cuts its lineage after every so many iterations; needs a checkpoint folder", unit="iterations", ge=1
    )
    half_life_days: float = setting(120.0, "an order counts half after", unit="days", gt=0)
    recent_days: int = setting(30, "window of recent popularity", unit="days", ge=1)
    trend_half_life_days: float = setting(7.0, "a buyer counts half for a product's trend after", unit="days", gt=0)

    search_trials: int = setting(
        0,
        "recipes of ALS tried on the window before the held-out one, beside the one set here; 0: none",
        unit="trials",
        ge=0,
        le=500,
    )
    search_ranks: tuple[int, ...] = setting((32, 64, 128), "trials: ranks to draw from", unit="numbers")
    search_reg_params: tuple[float, ...] = setting((0.03, 0.1, 0.3, 1.0), "trials: ridges to draw from")
    search_alphas: tuple[float, ...] = setting((1.0, 4.0, 10.0, 40.0), "trials: confidences to draw from")
    search_half_lives_days: tuple[float, ...] = setting((60.0, 120.0, 1e4), "trials: half-lives", unit="days")
    search_confidences: tuple[Literal["counts", "log", "bm25"], ...] = setting(
        ("counts", "log", "bm25"), "trials: confidences to draw from"
    )
    chooses_blend: bool = setting(
        True, "choose how lists are blended on the window before the held-out one; the blend set here is one of them"
    )
    choice_customers: int = setting(
        20_000, "customers at most, drawn by hash, that recipes and blends are chosen on", unit="customers", ge=10
    )

    repurchase_powers: dict[str, float] = setting(
        _POWERS,
        f"list all: powers of the features of a product bought before ({', '.join(POWERS)}); "
        "defaults fitted on windows before the held-out one",
    )
    repurchase_scale: float = setting(0.57, "list all: weight of what was bought before", ge=0)
    all_als_scale: float = setting(0.003, "list all: weight of ALS times trend", ge=0)
    discover_als_scale: float = setting(1.0, "list discover: weight of ALS times trend", ge=0)
    als_trend_power: float = setting(0.25, "both lists: power of the trend that ALS is multiplied by", ge=0, le=2)
    popularity_scale: float = setting(1e-4, "both lists: weight of recent popularity, which fills lists up", gt=0)

    only_in_range: bool = setting(True, "leave out products that silver.products says are not (yet or still) in range")
    only_in_stock: bool = setting(False, "leave out products of which no store has stock, by silver.inventory")
    excluded_categories: tuple[str, ...] = setting((), "categories of silver.products that no list may show")
    min_margin: float | None = setting(
        None,
        "leave out products that earn less: (price - unit cost) / price, at the last price paid; "
        "unknown cost: left out; empty: no such rule",
        unit="share of the price",
        lt=1,
    )
    max_per_category: int | None = setting(
        None, "products of one category in a list, at most; empty: any number", unit="products", ge=1
    )
    explored: int = setting(
        1, "last places of list discover that go to products nobody has bought yet; 0: none", unit="products", ge=0
    )
    content_neighbours: int = setting(
        10,
        "products alike in category, brand and name that lend a new product their factors; 0: none",
        unit="products",
        ge=0,
        le=200,
    )
    min_place_customers: int = setting(
        20, "buyers that a store or region needs before its popular products stand for it", unit="customers", ge=1
    )
    similar_k: int = setting(10, "similar products kept per product and method", unit="products", ge=1, le=1000)
    min_support: int = setting(5, "customers or baskets that must have both of two similar products", ge=1)
    max_basket_products: int = setting(
        100,
        "products of a basket, or of a customer, that pairs are counted over; of more, some are drawn by hash",
        unit="products",
        ge=2,
    )

    customer_block: int = setting(4096, "customers scored in one matrix product", unit="customers", ge=1)
    product_block: int = setting(32_768, "products scored in one matrix product", unit="products", ge=1)
    served_customers: int = setting(
        50_000, "customers whose factors travel inside the registered model; the most active are taken",
        unit="customers", ge=0,
    )  # fmt: skip
    served_products: int = setting(
        200_000, "products whose factors travel inside the registered model; the best sold are taken",
        unit="products", ge=1,
    )  # fmt: skip

    @model_validator(mode="after")
    def _powers_are_known(self) -> Self:
        unknown = sorted(set(self.repurchase_powers) - set(POWERS))
        if unknown:
            raise ValueError(f"repurchase_powers has no feature {', '.join(unknown)}; use {', '.join(POWERS)}")
        return self

    def recipe(self) -> Recipe:
        """What the model is learned and scored by."""
        return Recipe(
            rank=self.rank,
            reg_param=self.reg_param,
            alpha=self.alpha,
            iterations=self.iterations,
            blocks=self.blocks,
            half_life_days=self.half_life_days,
            recent_days=self.recent_days,
            trend_half_life_days=self.trend_half_life_days,
            is_explicit=self.feedback == "explicit",
            confidence=self.confidence,
            nets_returns=self.returns == "net",
            order_weight=self.order_weight,
            all=Blend(
                repurchase_powers=dict(self.repurchase_powers),
                repurchase_scale=self.repurchase_scale,
                als_scale=self.all_als_scale,
                als_trend_power=self.als_trend_power,
                popularity_scale=self.popularity_scale,
            ),
            discover=Blend(
                als_scale=self.discover_als_scale,
                als_trend_power=self.als_trend_power,
                popularity_scale=self.popularity_scale,
            ),
        )
