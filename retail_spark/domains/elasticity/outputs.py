"""The output tables from what was learned: who speaks for a store-product, with which status."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.elasticity.estimate.estimate_rows import ESTIMATE_SCHEMA
from retail_spark.domains.elasticity.panel.build import Panel
from retail_spark.domains.elasticity.panel.cells import UNIT
from retail_spark.domains.elasticity.settings import JobSettings
from retail_spark.frames.batches import fitted_to
from retail_spark.lake.contract import DOUBLE, Contract
from retail_spark.tables.elasticity import ELASTICITIES, ELASTICITY_ESTIMATES, WORDS

_NORMAL = 1.96
_DECIMALS = 9
_TOLD = ("elasticity", "raw_elasticity", "std_error", "raw_std_error", "shrink_weight")


def settled(frame: DataFrame, contract: Contract) -> DataFrame:
    """The contract's columns, numbers to nine decimals: sums of rows in another order differ in the last bits."""
    chosen = contract.select(frame)
    names = [c.name for c in contract.columns if c.type == DOUBLE and c.name in chosen.columns]
    return chosen.withColumns({name: F.round(name, _DECIMALS) for name in names})


def to_status(settings: JobSettings) -> Column:
    """Why a price effect cannot be told, else ok, else failed where there is no number all the same."""
    return (
        F.when(F.col("is_mixed"), "mixed_currency")
        .when(F.col("valid_lines") == 0, "no_valid_sales")
        .when(F.coalesce("n_obs", F.lit(0)) < settings.min_periods, "too_few_weeks")
        .when(F.col("price_spread") < settings.min_price_spread, "no_price_variation")
        .when(F.col("left_by_effects") <= settings.collinear_share, "not_identified")
        .when(F.least("left_by_shares", F.coalesce("left", F.lit(1.0))) <= settings.collinear_share, "collinear")
        .when(~is_finite("elasticity") | ~is_finite("std_error"), "failed")
        .when(F.col("std_error") > settings.max_std_error, "not_identified")
        .otherwise("ok")
    )


def is_finite(name: str) -> Column:
    """A number that is there, and neither NaN nor infinite."""
    return F.coalesce(F.abs(F.col(name)) < F.lit(float("inf")), F.lit(False))


def in_words(status: Column, *, failed: Column) -> Column:
    """The column error: what the status means; of failed rows what was raised, where that is known."""
    words = F.lit(None).cast("string")
    for name, text in WORDS.items():
        told = F.coalesce(failed, F.lit(text)) if name == "failed" else F.lit(text)
        words = F.when(status == name, told).otherwise(words)
    return words


def to_answers(
    panel: Panel,
    facts: DataFrame,
    units: DataFrame,
    settings: JobSettings,
    *,
    with_instruments: Mapping[str, Mapping[str, float]],
) -> DataFrame:
    """All columns of gold.elasticities, one row per store and product with any line, whatever became of it.

    `facts` holds what the panel's rows say of a unit, `units` the posterior by store and product.
    """
    posterior = units.select(*UNIT, "left", *_TOLD, F.col("error").alias("_raised"))
    joined = panel.sold.join(facts, on=list(UNIT), how="left").join(posterior, on=list(UNIT), how="left")
    judged = joined.withColumn("status", to_status(settings))
    is_ok = F.col("status") == "ok"
    method = F.when(F.col("is_sparse"), "poisson").otherwise("log_log")
    method = F.when(F.col("category").isin(*with_instruments), F.concat(method, F.lit(" + instruments"))).otherwise(
        method
    )
    told = judged.withColumns({name: F.when(is_ok, F.nanvl(F.col(name), F.lit(None).cast("double"))) for name in _TOLD})
    return told.withColumns(
        {
            "category": F.coalesce("category", F.lit("*")),
            "estimator": F.coalesce(method, F.lit("log_log")),
            "ci_low": F.col("elasticity") - _NORMAL * F.col("std_error"),
            "ci_high": F.col("elasticity") + _NORMAL * F.col("std_error"),
            "n_obs": F.coalesce("n_obs", F.lit(0)),
            "price_points": F.coalesce("price_points", F.lit(0)),
            "sign_ok": F.col("elasticity") < 0,
            "error": in_words(F.col("status"), failed=F.col("_raised")),
        }
    ).transform(settled, contract=ELASTICITIES)


def only_units(shrunk: DataFrame) -> DataFrame:
    """The candidate's own answer, by store and product."""
    return shrunk.where("level = 'unit'")


def by_category(shrunk: DataFrame) -> DataFrame:
    """The baseline: every unit has its category's elasticity."""
    centre = shrunk.where("level = 'category'").select(
        "category", F.col("elasticity").alias("_elasticity"), F.col("std_error").alias("_std_error")
    )
    return _replaced(only_units(shrunk).join(F.broadcast(centre), on="category", how="inner"))


def by_champion(shrunk: DataFrame, known: pd.DataFrame) -> DataFrame:
    """The champion's answer: its elasticity of the product, else of the category.

    `known` has level, member, elasticity and std_error.
    """
    spark = shrunk.sparkSession
    told = spark.createDataFrame(known[["level", "member", "elasticity", "std_error"]])

    def side(level: str, key: str, prefix: str) -> DataFrame:
        some = told.where(F.col("level") == level)
        names = {"member": key, "elasticity": f"{prefix}_elasticity", "std_error": f"{prefix}_std_error"}
        return F.broadcast(some.select(*[F.col(a).alias(b) for a, b in names.items()]))

    units = only_units(shrunk).join(side("product", "product_id", "_p"), on="product_id", how="left")
    units = units.join(side("category", "category", "_c"), on="category", how="left")
    chosen = {f"_{n}": F.coalesce(f"_p_{n}", f"_c_{n}", n) for n in ("elasticity", "std_error")}
    return _replaced(units.withColumns(chosen))


def _replaced(units: DataFrame) -> DataFrame:
    return units.withColumns(
        {"elasticity": F.col("_elasticity"), "std_error": F.col("_std_error"), "shrink_weight": F.lit(0.0)}
    )


def to_estimate_table(pooled: pd.DataFrame, shrunk: DataFrame, facts: DataFrame, settings: JobSettings) -> DataFrame:
    """All rows of gold.elasticity_estimates: pooled ones, and the posterior of every product."""
    spark = shrunk.sparkSession
    fixed = spark.createDataFrame(fitted_to(pooled, ESTIMATE_SCHEMA), ESTIMATE_SCHEMA)
    none = F.lit(None).cast("double")
    whole = fixed.unionByName(_to_products(shrunk, facts, settings), allowMissingColumns=True)
    numbers = [column.name for column in ELASTICITY_ESTIMATES.columns if column.type == DOUBLE]
    found = whole.withColumns({name: F.nanvl(F.col(name), none) for name in numbers})
    found = found.withColumn("error", in_words(F.col("status"), failed=F.col("error")))
    return found.transform(settled, contract=ELASTICITY_ESTIMATES)


def _to_products(shrunk: DataFrame, facts: DataFrame, settings: JobSettings) -> DataFrame:
    """Rows of the products: what their store-products say together, and whether that is anything."""
    rows = facts.groupBy("product_id").agg(
        F.sum("n_obs").alias("n_obs"),
        F.max("n_obs").alias("longest"),
        F.max("price_spread").alias("price_spread"),
        F.max("left_by_effects").alias("left_by_effects"),
    )
    products = shrunk.where("level = 'product'").join(rows, on="product_id", how="left")
    is_told = is_finite("elasticity") & is_finite("std_error")
    status = (
        F.when(F.col("error").isNotNull(), "failed")
        .when(F.col("longest") < settings.min_periods, "too_few_weeks")
        .when(F.col("price_spread") < settings.min_price_spread, "no_price_variation")
        .when(F.col("left_by_effects") <= settings.collinear_share, "not_identified")
        .when(~is_finite("raw_elasticity"), "no_price_variation")
        .when(~is_told, "failed")
        .when(F.col("std_error") > settings.max_std_error, "not_identified")
        .otherwise("ok")
    )
    judged = products.withColumn("status", status)
    is_ok = F.col("status") == "ok"
    judged = judged.withColumns({n: F.when(is_ok, F.col(n)) for n in ("elasticity", "std_error")})
    reach = _NORMAL * F.col("std_error")
    return judged.select(
        F.lit("product").alias("level"), F.col("product_id").alias("member"), F.lit("shrunk").alias("estimator"),
        F.lit("price").alias("term"), F.col("elasticity").alias("estimate"), "std_error",
        (F.col("elasticity") - reach).alias("ci_low"), (F.col("elasticity") + reach).alias("ci_high"),
        F.coalesce("n_obs", F.lit(0)).alias("n_obs"), F.lit(True).alias("is_default"), "status", "error",
    )  # fmt: skip
