"""The tables that the job `elasticity` writes."""

from __future__ import annotations

from retail_spark.lake.contract import BOOLEAN, DATE, DOUBLE, LONG, STRING, Column, snapshot
from retail_spark.tables.columns import number

UNIDENTIFIED = (
    "no_price_variation", "too_few_weeks", "collinear", "not_identified", "no_valid_sales", "mixed_currency",
)  # fmt: skip
"""Why a price effect cannot be told from the data: what was found, no failure of the run."""
WORDS = {
    "no_price_variation": "the price hardly moves: its logarithm's standard deviation is below min_price_spread",
    "too_few_weeks": "fewer periods than min_periods",
    "collinear": "promotions explain the price but for collinear_share of its variance",
    "not_identified": "the effects leave nothing of the price's variance, or the standard error exceeds max_std_error",
    "no_valid_sales": "no line has units, a price that is no outlier, and the store's currency",
    "mixed_currency": "more lines than max_foreign_share are in another currency than the store's",
    "weak_instrument": "the first-stage F is not above min_first_stage_f",
    "no_instrument": "no instrument moves the price beside the controls, or it is the price itself",
    "failed": "no finite elasticity came of the fit",
}
"""Status -> what it means, as the tables say it."""
REFUSED = ("weak_instrument", "no_instrument", *UNIDENTIFIED)
LEVELS = ("all", "category", "product")


_STATUS = (
    Column("status", STRING, "ok, what keeps the price effect from being told, or failed."),
    Column("error", STRING, "Why there is no estimate; NULL where status is ok.", nullable=True),
)
_INTERVAL = (
    number("ci_low", "Lower end of the 95 % interval."),
    number("ci_high", "Upper end of the 95 % interval."),
)
_ORDERED = (("interval_ordered", "ci_low IS NULL OR ci_low <= ci_high"),)

ELASTICITIES = snapshot(
    "gold.elasticities",
    grain="One row per store and product that was sold.",
    key=("store_id", "product_id"),
    columns=(
        Column("store_id", STRING, "Store."),
        Column("product_id", STRING, "Product."),
        Column("category", STRING, "Category of the product; * where none is known."),
        Column("estimator", STRING, "log_log or poisson, with `+ instruments` where prices react to demand."),
        number("elasticity", "Percent of units per percent of price, drawn to product and category."),
        number("raw_elasticity", "The same from the store-product's own rows alone."),
        number("std_error", "Posterior standard deviation of elasticity.", "std_error >= 0"),
        number("raw_std_error", "Standard error of raw_elasticity.", "raw_std_error >= 0"),
        *_INTERVAL,
        number("shrink_weight", "Weight of the own rows, 0 (all from product and category) to 1.",
                "shrink_weight BETWEEN 0 AND 1"),
        Column("n_obs", LONG, "Periods learned from.", check="n_obs >= 0"),
        Column("outlier_lines", LONG, "Lines set aside: the price is an outlier; NULL in older runs.",
               nullable=True, check="outlier_lines >= 0"),
        Column("foreign_lines", LONG, "Lines set aside: another currency; NULL in older runs.",
               nullable=True, check="foreign_lines >= 0"),
        Column("price_points", LONG, "Different prices seen.", check="price_points >= 0"),
        number("price_spread", "Standard deviation of the log price within the store-product.", "price_spread >= 0"),
        Column("sign_ok", BOOLEAN, "The elasticity is below zero; NULL where it is not told.", nullable=True),
        *_STATUS,
    ),
    checks=_ORDERED,
    sound_statuses=UNIDENTIFIED,
)  # fmt: skip

ELASTICITY_ESTIMATES = snapshot(
    "gold.elasticity_estimates",
    grain="One row per level, member, estimator and term of its regression.",
    key=("level", "member", "estimator", "term"),
    columns=(
        Column("level", STRING, "all, category or product.", check="level IN ('all', 'category', 'product')"),
        Column("member", STRING, "Category or product; * for level all."),
        Column("estimator", STRING, "ols, iv, lags, base_discount, poisson, double_ml; shrunk, by_promotion."),
        Column("term", STRING, "price, price_promoted, price_lag_1, long_run, base_price, discount, on_promotion, ..."),
        number("estimate", "Percent of units per percent of price; of shares: log points of units."),
        number("std_error", "Clustered by store and by period; of one store by period alone.", "std_error >= 0"),
        number("std_error_store", "Clustered by store alone; NULL with one store.", "std_error_store >= 0"),
        number("std_error_plain", "Of independent errors with one variance; of by_promotion.", "std_error_plain >= 0"),
        *_INTERVAL,
        number("first_stage_f", "Cluster-robust F of the instruments in the first stage.", "first_stage_f >= 0"),
        number("endogeneity_p", "p of the test that prices do not react to demand (Durbin, Wu, Hausman).",
                "endogeneity_p BETWEEN 0 AND 1"),
        number("overidentification_p", "p of Hansen's J: small where the instruments contradict each other.",
                "overidentification_p BETWEEN 0 AND 1"),
        number("price_left", "Of categories: share of the price's variance within store-products that effects leave.",
                "price_left BETWEEN 0 AND 1"),
        Column("warning", STRING, "What to beware of, such as a category of one product.", nullable=True),
        Column("n_obs", LONG, "Rows.", check="n_obs >= 0"),
        Column("is_default", BOOLEAN, "gold.elasticities rests on this estimator."),
        *_STATUS,
    ),
    checks=_ORDERED,
    sound_statuses=REFUSED,
)  # fmt: skip

CROSS_ELASTICITIES = snapshot(
    "gold.cross_elasticities",
    grain="One row per ordered pair of best sellers of a category.",
    key=("product_id", "other_product_id"),
    columns=(
        Column("product_id", STRING, "Product whose units respond."),
        Column("other_product_id", STRING, "Product whose price moves."),
        Column("category", STRING, "Their category."),
        number("elasticity", "Percent of units per percent of the other's price, shrunk."),
        number("raw_elasticity", "The same before shrinkage."),
        number("std_error", "Posterior standard deviation.", "std_error >= 0"),
        *_INTERVAL,
        number("p_value", "Two-sided p of the raw estimate.", "p_value BETWEEN 0 AND 1"),
        number("q_value", "Smallest false discovery rate at which the pair is a finding (Benjamini, Hochberg).",
               "q_value BETWEEN 0 AND 1"),
        Column("is_significant", BOOLEAN, "q_value is within elasticity.false_discovery."),
        Column("status", STRING, "ok or failed; NULL in rows of older runs.", nullable=True),
        Column("error", STRING, "What the category raised; NULL where status is ok.", nullable=True),
    ),
    checks=_ORDERED,
)  # fmt: skip

PRICE_RECOMMENDATIONS = snapshot(
    "gold.price_recommendations",
    grain="One row per store and product on sale in the last periods.",
    key=("store_id", "product_id"),
    columns=(
        Column("store_id", STRING, "Store."),
        Column("product_id", STRING, "Product."),
        Column("current_price", DOUBLE, "Price of the last period known, shop currency.", check="current_price > 0"),
        Column("recommended_price", DOUBLE, "Price to set; the current one where nothing is recommended.",
               check="recommended_price > 0"),
        number("unit_cost", "Cost per unit, shop currency.", "unit_cost >= 0"),
        number("expected_units_change", "Expected change of units a period, share of today's."),
        number("expected_margin_change", "Expected change of margin a period, shop currency."),
        number("chance_of_gain", "Share of draws in which the margin grows.", "chance_of_gain BETWEEN 0 AND 1"),
        Column("bound_hit", STRING, "none, max_change, observed_range, min_margin, ladder or stock.",
               check="bound_hit IN ('none', 'max_change', 'observed_range', 'min_margin', 'ladder', 'stock')"),
        Column("reason", STRING, "Why this price, or why none."),
        Column("is_recommended", BOOLEAN, "A change is recommended."),
    ),
)  # fmt: skip

MARKDOWN_PLANS = snapshot(
    "gold.markdown_plans",
    grain="One row per store, product with an end date, and period until then.",
    key=("store_id", "product_id", "week"),
    columns=(
        Column("store_id", STRING, "Store."),
        Column("product_id", STRING, "Product."),
        Column("week", DATE, "First day of the period."),
        Column("price", DOUBLE, "Price to take, shop currency; never above the period before.", check="price > 0"),
        Column("discount", DOUBLE, "Share off today's price.", check="discount BETWEEN 0 AND 1"),
        Column("units_before", DOUBLE, "Units expected to be left when the period begins.", check="units_before >= 0"),
        Column("expected_units", DOUBLE, "Units expected to be sold in the period.", check="expected_units >= 0"),
    ),
)  # fmt: skip
