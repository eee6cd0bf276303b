"""The job `elasticity`: what a price does to units, how sure that is, and the prices that follow from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.elasticity.estimate.category import CONTROL
from retail_spark.domains.elasticity.estimate.cross_price import to_cross
from retail_spark.domains.elasticity.estimate.posterior import unit_columns, with_control
from retail_spark.domains.elasticity.estimate.run import (
    Inputs,
    Panel,
    first_stages,
    to_elasticities,
    to_estimates,
    to_facts,
    to_panel,
)
from retail_spark.domains.elasticity.evaluate import Errors, errors_of, to_errors
from retail_spark.domains.elasticity.figures import forest_figure, margin_figure, shrinkage_figure
from retail_spark.domains.elasticity.outputs import (
    by_category,
    by_champion,
    only_units,
    settled,
    to_answers,
    to_estimate_table,
)
from retail_spark.domains.elasticity.panel.cells import SHARES, UNIT
from retail_spark.domains.elasticity.panel.identification import warnings_of
from retail_spark.domains.elasticity.pricing.items import to_advice, to_items, to_plans
from retail_spark.domains.elasticity.pricing.optimise import Item, PriceRules, recommend
from retail_spark.domains.elasticity.served import DemandModel
from retail_spark.domains.elasticity.settings import JobSettings
from retail_spark.domains.elasticity.to_served import to_candidate, to_model
from retail_spark.engine.job import Job, Outcome, Run, job
from retail_spark.errors import InputError
from retail_spark.lake.contract import Contract
from retail_spark.lake.write import Write, replace_slice
from retail_spark.modelling.gate import Difference, Gate, Verdict
from retail_spark.tables.elasticity import (
    CROSS_ELASTICITIES,
    ELASTICITIES,
    ELASTICITY_ESTIMATES,
    MARKDOWN_PLANS,
    PRICE_RECOMMENDATIONS,
)
from retail_spark.tables.silver import CALENDAR, INVENTORY, PLANNED_PRICES, PRODUCTS, SALES, STORES

_MONDAY = date(1970, 1, 5)
_SHOWN_UNITS = 2000
_SHOWN_WARNINGS = 5
_RECIPE = ("period_days", "effects", "season_harmonics", "sparse_units", "sparse_zero_share", "instruments")


def elasticity(run: Run, settings: JobSettings) -> Outcome:
    """Makes the panel, estimates, measures on the last periods, and prices every item on sale.

    Raises InputError when no sale has a price and units above zero.
    """
    inputs = _inputs(run)
    last = (run.as_of - _MONDAY).days // settings.period_days
    with run.progress.step("panel"):
        panel = to_panel(inputs, settings, last_period=last, stage=run.stage)
    if panel is None:
        raise InputError(f"{SALES.name} holds no sale with price and units above zero.", fix="look at the mapping")
    set_aside = _told(run, panel, settings)
    with run.progress.step("estimates"):
        estimates = to_estimates(panel, settings, seed=run.seed, stage=run.stage)
    stages = first_stages(estimates)
    with run.progress.step("evaluate"):
        errors = _errors(run, panel, settings, stages)
    with run.progress.step("elasticities"):
        shrunk = run.stage("shrunk", to_elasticities(panel, settings, stages=stages))
        model = to_model(shrunk, most=settings.served_products, max_std_error=settings.max_std_error)
    scorers = {"candidate": lambda: only_units(shrunk), "baseline": lambda: by_category(shrunk),
               "champion": lambda: by_champion(shrunk, _champion(run).known)}  # fmt: skip

    def tables(verdict: Verdict) -> tuple[Write, ...]:
        facts = run.stage("facts", to_facts(panel))
        answers = to_answers(panel, facts, scorers[verdict.scorer](), settings, with_instruments=stages)
        table = to_estimate_table(estimates, shrunk, facts, settings)
        return _tables(run, panel, inputs, table, answers, stages, settings=settings)

    figures = {"elasticities.png": forest_figure(estimates), "shrinkage.png": shrinkage_figure(_some(shrunk))}
    example = _example(panel, model, settings, seed=run.seed)
    if example is not None:
        figures["margin.png"] = example
    recipe = {name: getattr(settings, name) for name in _RECIPE}
    can_learn = errors is not None and (model.known["level"] == "product").any()
    return Outcome(
        tables=tables,
        metrics=_metrics(estimates, errors, panel, set_aside),
        model=to_candidate(model, recipe=recipe, gate=gate_of(errors)) if can_learn and errors is not None else None,
        figures=figures,
    )


JOB: Job = job(
    "elasticity",
    settings=JobSettings,
    reads=(SALES,),
    optional=(PRODUCTS, STORES, PLANNED_PRICES, INVENTORY, CALENDAR),
    writes=(ELASTICITIES, ELASTICITY_ESTIMATES, CROSS_ELASTICITIES, PRICE_RECOMMENDATIONS, MARKDOWN_PLANS),
    learns=True,
)(elasticity)


def _inputs(run: Run) -> Inputs:
    def there(contract: Contract) -> DataFrame | None:
        return run.read(contract) if run.has(contract) else None

    return Inputs(run.read(SALES), there(PRODUCTS), there(STORES), there(PLANNED_PRICES), there(INVENTORY))


def _told(run: Run, panel: Panel, settings: JobSettings) -> dict[str, float]:
    """Lines set aside, as metrics; what a reader must beware of is said aloud."""
    counts = panel.sold.agg(
        F.sum("outlier_lines").alias("price_outlier_lines"), F.sum("foreign_lines").alias("foreign_currency_lines")
    )
    found = {name: float(value or 0) for name, value in counts.collect()[0].asDict().items()}
    for name, count in found.items():
        if count:
            run.progress.note(f"{count:,.0f} lines are set aside ({name}; counted in {ELASTICITIES.name})")
    warnings = warnings_of(panel.left, least=settings.min_price_left)
    for category, text in sorted(warnings.items())[:_SHOWN_WARNINGS]:
        run.progress.note(f"{category}: {text}")
    if len(warnings) > _SHOWN_WARNINGS:
        run.progress.note(f"{len(warnings)} categories carry such a warning: see {ELASTICITY_ESTIMATES.name}")
    return found


def _champion(run: Run) -> DemandModel:
    if run.champion is None:
        raise ValueError("there is no champion")
    return DemandModel.load(run.champion.artifacts)


def _errors(run: Run, panel: Panel, settings: JobSettings, stages: Mapping[str, Mapping[str, float]]) -> Errors | None:
    """Errors on the last periods of slopes learned before them; None where the history is too short for both."""
    cut = panel.last_period - settings.holdout_periods + 1
    if cut - panel.first_period < settings.min_periods:
        return None
    columns = unit_columns(settings)
    before = run.stage("before", to_elasticities(panel, settings, stages=stages, before=cut))
    centre = before.where("level = 'category'").select("category", F.col("slopes").alias("pooled"))
    known = only_units(before).select(*UNIT, "category", F.col("slopes").alias("candidate"))
    known = known.join(F.broadcast(centre), on="category", how="inner")
    flat = F.transform("pooled", lambda slope: F.lit(0.0))
    without = F.concat(F.array(F.lit(0.0)), F.slice("pooled", 2, len(columns)))
    rivals = {"candidate": F.col("candidate"), "pooled": F.col("pooled"), "no_price": without, "mean": flat}
    if run.champion is not None:
        theirs = by_champion(before, _champion(run).known).select(*UNIT, F.col("elasticity").alias("_theirs"))
        known = known.join(theirs, on=list(UNIT), how="inner")
        rest = F.slice("candidate", 2, len(columns))
        rivals["champion"] = F.concat(F.array(F.col("_theirs")), rest)
    predictions = known.select(*UNIT, *[slopes.alias(name) for name, slopes in rivals.items()])
    rows = panel.net.transform(with_control, stages)
    found = to_errors(rows, predictions, cut=cut, columns=columns, rivals=list(rivals)).toPandas()  # a row a period
    return errors_of(found, list(rivals))


def gate_of(errors: Errors) -> Gate:
    """Squared error on held-out periods against slopes without the price, and against the champion."""
    has_champion = "champion" in errors.squares
    return Gate(
        metric="rmse",
        score=errors.rmse("candidate"),
        baselines={"no price effect": Difference(*errors.gain("no_price"))},
        champion=Difference(*errors.gain("champion")) if has_champion else None,
        champion_score=errors.rmse("champion") if has_champion else None,
    )


def _tables(
    run: Run, panel: Panel, inputs: Inputs, estimates: DataFrame, answers: DataFrame,
    stages: Mapping[str, Mapping[str, float]], *, settings: JobSettings,
) -> tuple[Write, ...]:  # fmt: skip
    answers = run.stage("answers", answers)
    waves = [f"own_{name}" for name in unit_columns(settings) if name.startswith("season_")]
    cross = to_cross(
        panel.net.transform(with_control, stages),
        controls=(*SHARES, *waves, CONTROL),
        most=settings.cross_products,
        false_discovery=settings.false_discovery,
    )
    items = run.stage("items", to_items(panel.rows, answers, inputs.inventory, inputs.products))
    return (
        replace_slice(ELASTICITIES, answers, staged=False),
        replace_slice(ELASTICITY_ESTIMATES, estimates),
        replace_slice(CROSS_ELASTICITIES, cross.transform(settled, contract=CROSS_ELASTICITIES)),
        replace_slice(
            PRICE_RECOMMENDATIONS,
            to_advice(items, settings=settings, seed=run.seed).transform(settled, contract=PRICE_RECOMMENDATIONS),
        ),
        replace_slice(
            MARKDOWN_PLANS,
            to_plans(items, as_of=run.as_of, settings=settings).transform(settled, contract=MARKDOWN_PLANS),
        ),
    )


def _metrics(
    estimates: pd.DataFrame, errors: Errors | None, panel: Panel, counts: Mapping[str, float]
) -> dict[str, float]:
    """Pooled estimates over all, what they rest on, and errors on held-out periods; what is not told is left out."""
    everything = estimates[estimates["level"] == "all"].set_index(["estimator", "term"])
    asked = {
        "pooled_elasticity": ("ols", "price", "estimate"),
        "pooled_std_error_two_way": ("ols", "price", "std_error"),
        "pooled_std_error_store": ("ols", "price", "std_error_store"),
        "pooled_rows": ("ols", "price", "n_obs"),
        "iv_elasticity": ("iv", "price", "estimate"),
        "iv_std_error_two_way": ("iv", "price", "std_error"),
        "iv_first_stage_f": ("iv", "price", "first_stage_f"),
        "iv_endogeneity_p": ("iv", "price", "endogeneity_p"),
        "lags_same_period_elasticity": ("lags", "price", "estimate"),
        "lags_long_run_elasticity": ("lags", "long_run", "estimate"),
        "lags_long_run_std_error_two_way": ("lags", "long_run", "std_error"),
        "lags_rows": ("lags", "price", "n_obs"),
        "base_price_elasticity": ("base_discount", "base_price", "estimate"),
        "discount_elasticity": ("base_discount", "discount", "estimate"),
    }
    found = {
        name: float(everything[value].to_dict()[estimator, term])
        for name, (estimator, term, value) in asked.items()
        if (estimator, term) in everything.index
    }
    found["categories"] = float(len(panel.sparsity))
    found["sparse_categories"] = float(panel.sparsity["is_sparse"].sum())
    found["not_identified_categories"] = float(
        estimates.loc[estimates["status"] == "not_identified", "member"].nunique()
    )
    found |= counts
    if errors is not None:
        found |= {f"rmse_{rival}": errors.rmse(rival) for rival in errors.squares.columns if rival != "candidate"}
        found["rmse"] = errors.rmse("candidate")
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _some(shrunk: DataFrame) -> pd.DataFrame:
    """Some units for the figure, the same every time."""
    units = only_units(shrunk).select(*UNIT, "raw_elasticity", "elasticity", "shrink_weight")
    return units.orderBy(F.xxhash64(*UNIT), *UNIT).limit(_SHOWN_UNITS).toPandas()


def _example(panel: Panel, model: DemandModel, settings: JobSettings, *, seed: int) -> Figure | None:
    """The margin curve of the product whose elasticity is known best; None where it has no cost."""
    best = model.known[model.known["level"] == "product"].sort_values(["std_error", "member"]).head(1)
    if best.empty:
        return None
    paid = F.coalesce("price_paid", "planned_price")
    of_best = panel.rows.where(F.col("product_id") == best["member"].iloc[0])
    row = of_best.agg(
        F.avg(paid).alias("price"), F.avg("unit_cost").alias("cost"), F.avg("units").alias("units"),
        F.min(paid).alias("lowest"), F.max(paid).alias("highest"),
    ).collect()[0]  # fmt: skip
    if row["cost"] is None or row["price"] is None:
        return None
    value, error = float(best["elasticity"].iloc[0]), float(best["std_error"].iloc[0])
    item = Item(
        row["price"], row["cost"], row["units"], value, error, value + 1.96 * error, row["lowest"], row["highest"]
    )
    normals = np.random.default_rng(seed).standard_normal(settings.draws)
    rules = PriceRules(settings.max_change, settings.min_margin, (), settings.price_step, settings.horizon_periods)
    return margin_figure(item, recommend(item, rules, normals).price, normals)
