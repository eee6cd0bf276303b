"""Counterfactuals on a market whose prices react to demand, and on its twin where they do not.

Every product's price goes up ten percent; the published scorer of CausalDemand (package causaldemand) judges the
proportional change of units, and the own and cross elasticities. The job's default estimate stands beside least
squares by product, two-stage least squares, double machine learning and gradient boosting.

    python -m tests.benchmarks.elasticity_counterfactual [--categories 4] [--stores 16] [--weeks 104]
"""

from __future__ import annotations

import argparse
import tempfile

import numpy as np
import pandas as pd
from causaldemand.metrics.elasticity import elasticity_scores
from causaldemand.metrics.panel_scorer import score_scenarios, summarize
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.elasticity.cross import to_cross
from retail_spark.elasticity.learning import Inputs, Panel, first_stages, to_elasticities, to_estimates, to_panel
from retail_spark.elasticity.pooled import CONTROL
from retail_spark.elasticity.settings import JobSettings
from retail_spark.elasticity.transforms import SHARES, period_of
from retail_spark.elasticity.units import unit_columns, with_control
from retail_spark.lake.store import Lake
from retail_spark.session import get_session
from retail_spark.settings import LakeSettings, Settings
from retail_spark.synthetic.chance import Chance
from retail_spark.synthetic.market import MARKETS, SCENARIO_CHANGE, MarketSize, to_market, to_true_elasticities
from tests.benchmarks.made_up_market import answer_key, matrix, products, sales, stores

KEYS = ["store_id", "product_id"]
OURS = "the job's default"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--categories", type=int, default=4)
    arguments.add_argument("--stores", type=int, default=16)
    arguments.add_argument("--weeks", type=int, default=104)
    given = arguments.parse_args()
    size, chance = MarketSize(given.categories, given.stores, given.weeks), Chance(42)
    errors: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(lake=LakeSettings(root=folder))
        spark = get_session(settings)
        lake = Lake.open(spark, settings.lake)
        truth = to_true_elasticities(spark, size=size, chance=chance).toPandas()
        for market in MARKETS:
            cells = lake.stage(market, "cells", to_market(spark, market=market, size=size, chance=chance))
            errors[market] = judge(market, lake, cells, truth)
        spark.stop()
    verdicts(errors)


def judge(market: str, lake: Lake, cells: DataFrame, truth: pd.DataFrame) -> dict[str, float]:
    """Prints every estimator's scores; gives the counterfactual errors."""
    settings = JobSettings()
    inputs = Inputs(sales(cells), products(cells), stores(cells))
    last = inputs.sales.agg(F.max(period_of(F.to_date("sold_at"), days=7)).alias("last")).collect()[0]["last"]
    panel = to_panel(inputs, settings, last_period=last, stage=lambda n, f: lake.stage(market, n, f))
    assert panel is not None
    estimates = to_estimates(panel, settings, seed=42, stage=lambda n, f: lake.stage(market, n, f))
    shown = estimates[(estimates["level"] == "category") & (estimates["term"] == "price")]
    print(f"{market}: {shown['n_obs'].max():,} rows a category")
    names = ["member", "estimator", "estimate", "std_error", "first_stage_f", "endogeneity_p", "overidentification_p",
             "is_default"]  # fmt: skip
    print(shown[names].round(4).to_string(index=False), flush=True)
    stages = first_stages(estimates)
    told = to_elasticities(panel, settings, stages=stages).toPandas()
    units = told[told["level"] == "unit"].set_index(KEYS)["elasticity"]
    waves = [f"own_{n}" for n in unit_columns(settings) if n.startswith("season_")]
    pairs = to_cross(panel.net.transform(with_control, stages), controls=(*SHARES, *waves, CONTROL),
                     most=settings.cross_products, false_discovery=0.1).toPandas()  # fmt: skip
    rows = cells.toPandas()
    own = rivals(panel, shown, rows) | {OURS: units}
    ratios = {name: ratio_of(value, rows) for name, value in own.items()}
    ratios["gradient boosting"] = boosted(rows)
    found = {}
    for name, ratio in ratios.items():
        found[name] = counterfactual_error(rows, ratio)
        by_product = np.log(ratio).groupby(rows["product_id"]).mean() / np.log(1 + SCENARIO_CHANGE)
        cross = pairs if name == OURS else pairs.assign(elasticity=0.0)
        scores = scored(by_product, cross, truth, rows)
        print(f"  {name:28} counterfactual WMAPE {found[name]:.4f}; own: {scores['own']}; cross: {scores['cross']}",
              flush=True)  # fmt: skip
    return found


def ratio_of(elasticity: pd.Series, rows: pd.DataFrame) -> pd.Series:
    """Units at the scenario's price over units at today's, by row; elasticities by store-product."""
    value = elasticity.reindex(pd.MultiIndex.from_frame(rows[KEYS])).to_numpy()
    return pd.Series((1 + SCENARIO_CHANGE) ** value, rows.index)


def counterfactual_error(rows: pd.DataFrame, ratio: pd.Series) -> float:
    """Mean counterfactual WMAPE over the scenarios, by the published scorer."""
    key = answer_key(rows)
    predicted = rows[["product_id", "store_id", "week"]].assign(predicted_units=rows["mean_units"])
    changes = predicted.assign(
        intervention_id=predicted["product_id"], predicted_delta_units=predicted["predicted_units"] * (ratio - 1)
    )
    return float(summarize(score_scenarios(key, predicted, changes))["mean_accuracy_cf_wmape"])


def scored(own: pd.Series, pairs: pd.DataFrame, truth: pd.DataFrame, rows: pd.DataFrame) -> dict[str, str]:
    """Own and cross elasticities by the published scorer."""
    diagonal = pd.DataFrame({"product_id": own.index, "other_product_id": own.index, "elasticity": own.to_numpy()})
    hat = matrix(pd.concat([pairs[["product_id", "other_product_id", "elasticity"]], diagonal]))
    star = matrix(truth)
    weights = (rows["price"] * rows["units"]).groupby(rows["product_id"]).sum()
    found = elasticity_scores(hat, star, weights / weights.sum(), support=star.notna())
    one, all_pairs = found["own_price"], found["cross_price"]["all_pairs"]
    return {
        "own": f"WMAPE {one['wmape']:.3f} bias {one['mean_signed_error']:+.3f}",
        "cross": f"WMAPE {all_pairs['wmape']:.3f} nDCG {found['cross_price']['ndcg']:.3f}",
    }


def rivals(panel: Panel, shown: pd.DataFrame, rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Elasticities by store-product of the other estimators."""
    net = panel.net.select("category", *KEYS, "period", "y", "price", "cost").toPandas()
    sums = net.assign(xx=net["price"] ** 2, xy=net["price"] * net["y"], zx=net["cost"] * net["price"],
                      zy=net["cost"] * net["y"]).groupby("product_id")[["xx", "xy", "zx", "zy"]].sum()  # fmt: skip
    plain = rows[rows["units"] > 0].assign(y=lambda f: np.log(f["units"]), x=lambda f: np.log(f["price"]))
    centred = plain[["x", "y"]] - plain.groupby(KEYS)[["x", "y"]].transform("mean")
    by = plain["product_id"]
    slope = (centred["x"] * centred["y"]).groupby(by).sum() / (centred["x"] ** 2).groupby(by).sum()
    index = pd.MultiIndex.from_frame(rows[KEYS].drop_duplicates())
    category = rows.drop_duplicates("product_id").set_index("product_id")["category"]

    def spread(by_product: pd.Series) -> pd.Series:
        return pd.Series(by_product.reindex(index.get_level_values(1)).to_numpy(), index)

    def of(estimator: str) -> pd.Series:
        found = shown[shown["estimator"] == estimator].set_index("member")["estimate"]
        return spread(category.map(found))

    return {
        "OLS, stores": spread(slope),
        "OLS, stores and weeks": spread(sums["xy"] / sums["xx"]),
        "2SLS by product, cost": spread(sums["zy"] / sums["zx"]),
        "OLS by category": of("ols"),
        "2SLS by category": of("iv"),
        "double ML by category": of("double_ml"),
    }


def boosted(rows: pd.DataFrame) -> pd.Series:
    """Gradient boosting on price, product, store, week, season and rivals' prices; asked again at the new price."""
    import xgboost

    features = pd.DataFrame({
        "price": np.log(rows["price"]), "product": pd.factorize(rows["product_id"])[0],
        "store": pd.factorize(rows["store_id"])[0], "week": rows["week"], "season": rows["week"] % 52,
        "relative": np.log(rows["price"]) - np.log(rows["price"]).groupby(rows["product_id"]).transform("mean"),
        "rivals": np.log(rows["price"]).groupby([rows["category"], rows["store_id"], rows["week"]]).transform("mean"),
    })  # fmt: skip
    parameters = {"max_depth": 7, "eta": 0.08, "subsample": 0.8, "nthread": 2, "seed": 42, "objective": "count:poisson"}
    booster = xgboost.train(parameters, xgboost.DMatrix(features, rows["units"]), num_boost_round=500)
    up = np.log(1 + SCENARIO_CHANGE)
    changed = features.assign(price=features["price"] + up, relative=features["relative"] + up)
    now, then = booster.predict(xgboost.DMatrix(features)), booster.predict(xgboost.DMatrix(changed))
    return pd.Series(then / now, rows.index)


def verdicts(errors: dict[str, dict[str, float]]) -> None:
    """The bars, against the better of the two regressions."""
    confounded, twin = errors["confounded"], errors["twin"]
    ours = confounded[OURS]
    for rival in ("OLS, stores", "OLS, stores and weeks", "gradient boosting"):
        verdict = "reached" if ours <= confounded[rival] / 2 else "missed"
        print(f"confounded: {ours:.4f}, at most half of {rival} ({confounded[rival]:.4f}): {verdict}")
    for rival in ("OLS, stores", "OLS, stores and weeks"):
        verdict = "reached" if twin[OURS] <= twin[rival] else "missed"
        print(f"twin: {twin[OURS]:.4f}, no worse than {rival} ({twin[rival]:.4f}): {verdict}")


if __name__ == "__main__":
    main()
