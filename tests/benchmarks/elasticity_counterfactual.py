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

from retail_spark.config.section import LakeSettings, Settings
from retail_spark.domains.elasticity.estimate.category import COLUMNS, CONTROL, Rules, estimate_rows
from retail_spark.domains.elasticity.estimate.cross_price import cross_rows
from retail_spark.domains.elasticity.estimate.double_ml import double_ml_rows
from retail_spark.domains.elasticity.estimate.posterior import unit_columns
from retail_spark.domains.elasticity.estimate.run import first_stages
from retail_spark.domains.elasticity.panel.cells import SHARES
from retail_spark.domains.elasticity.settings import JobSettings
from retail_spark.spark.session import get_session
from retail_spark.synthetic.chance import Chance
from retail_spark.synthetic.market import MARKETS, SCENARIO_CHANGE, MarketSize, to_market, to_true_elasticities
from tests.benchmarks.in_memory import cells_of, net_of_effects, shrunk_of

KEYS = ["store_id", "product_id"]
OURS = "the job's default"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--categories", type=int, default=4)
    arguments.add_argument("--stores", type=int, default=16)
    arguments.add_argument("--weeks", type=int, default=104)
    given = arguments.parse_args()
    size, chance = MarketSize(given.categories, given.stores, given.weeks), Chance(42)
    with tempfile.TemporaryDirectory() as folder:
        spark = get_session(Settings(lake=LakeSettings(root=folder)))
        truth = to_true_elasticities(spark, size=size, chance=chance).toPandas()
        cells = {name: to_market(spark, market=name, size=size, chance=chance).toPandas() for name in MARKETS}
        spark.stop()
    verdicts({name: judge(name, rows, truth) for name, rows in cells.items()})


def panel_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The job's panel of the cells with a sale: the columns of its panel/cells.py, by pandas."""
    panel = rows[rows["units"] > 0].sort_values([*KEYS, "week"]).reset_index(drop=True)
    relative = np.log(panel["price"]) - np.log(panel["price"]).groupby([panel[k] for k in KEYS]).transform("mean")
    panel = panel.assign(period=panel["week"], y=np.log(panel["units"]), cost=np.log(panel["unit_cost"]),
                         price=np.log(panel["price"]), discount=0.0, relative=relative)  # fmt: skip
    everywhere = panel.groupby(["product_id", "week"])["relative"].agg(["sum", "size"])
    here = panel.groupby(["product_id", "region", "week"])["relative"].agg(["sum", "size"])
    shelf = panel.groupby(["store_id", "category", "week"])["relative"].agg(["sum", "size"])

    def of(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
        return table.reindex(pd.MultiIndex.from_frame(panel[keys])).reset_index(drop=True)

    total, own = of(everywhere, ["product_id", "week"]), of(here, ["product_id", "region", "week"])
    rivals = of(shelf, ["store_id", "category", "week"])
    angle = 2 * np.pi * 7 / 365.25 * panel["week"]
    centred = {f"own_{n}": panel[n] - panel.groupby(KEYS)[n].transform("mean") for n in ("y", "price")}
    return panel.assign(
        base_price=panel["price"], **dict.fromkeys(SHARES, 0.0),
        other_markets=(total["sum"] - own["sum"]) / (total["size"] - own["size"]),
        rival_price=(rivals["sum"] - panel["relative"]) / (rivals["size"] - 1).clip(lower=1),
        season_cos_1=np.cos(angle), season_sin_1=np.sin(angle), own_season_cos_1=np.cos(angle),
        own_season_sin_1=np.sin(angle), **centred,
    )  # fmt: skip


def estimates_of(net: pd.DataFrame, settings: JobSettings) -> pd.DataFrame:
    """Pooled rows of every category."""
    found = []
    for _, some in net.groupby("category"):
        cells = cells_of(some, COLUMNS)
        found.append(estimate_rows(cells, columns=COLUMNS, rules=Rules.of(settings)))
        controls = ("rival_price", *SHARES)
        found.append(double_ml_rows(some, controls=controls, settings=settings, seed=42))
    return pd.concat(found, ignore_index=True)


def judge(market: str, rows: pd.DataFrame, truth: pd.DataFrame) -> dict[str, float]:
    """Prints every estimator's scores; gives the counterfactual errors."""
    settings = JobSettings()
    waves = ("season_cos_1", "season_sin_1")
    net = net_of_effects(panel_of(rows), (*COLUMNS, "rival_price", *waves), periods=True)
    estimates = estimates_of(net, settings)
    shown = estimates[estimates["term"] == "price"]
    names = ["member", "estimator", "estimate", "std_error", "first_stage_f", "endogeneity_p", "overidentification_p",
             "is_default"]  # fmt: skip
    print(f"{market}\n{shown[names].round(4).to_string(index=False)}", flush=True)
    net[CONTROL] = 0.0
    for category, coefficients in first_stages(estimates).items():
        explained = sum(net[name] * value for name, value in coefficients.items())
        net[CONTROL] = np.where(net["category"] == category, net["price"] - explained, net[CONTROL])
    told = shrunk_of(net, unit_columns(settings))
    units = told[told["level"] == "unit"].set_index(KEYS)["elasticity"]
    controls = (*SHARES, *[f"own_{wave}" for wave in waves], CONTROL)
    pairs = pd.concat([cross_rows(some, controls=controls, false_discovery=0.1) for _, some in net.groupby("category")])
    own = rivals(net, shown, rows) | {OURS: units}
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
    significant = pairs[pairs["is_significant"]].merge(truth, on=["product_id", "other_product_id"])
    rivals_found = int((significant["elasticity_y"] > 0).sum())
    print(
        f"  cross pairs called significant at 10 %: {len(significant)}, of them true rivals {rivals_found}", flush=True
    )
    return found


def answer_key(cells: pd.DataFrame) -> pd.DataFrame:
    """Counterfactual ground truth: a scenario a product, its price ten percent up in every store and week."""
    return pd.DataFrame({
        "intervention_id": cells["product_id"], "product_id": cells["product_id"], "store_id": cells["store_id"],
        "week": cells["week"], "q": cells["mean_units"], "q_cf": cells["units_up"], "scope": "product",
        "direction": "up",
    })  # fmt: skip


def matrix(pairs: pd.DataFrame) -> pd.DataFrame:
    """Elasticities as a square: rows respond, columns are priced; pairs of different categories are missing."""
    return pairs.pivot(index="product_id", columns="other_product_id", values="elasticity").sort_index(axis=1)


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


def rivals(net: pd.DataFrame, shown: pd.DataFrame, rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Elasticities by store-product of the other estimators."""
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
