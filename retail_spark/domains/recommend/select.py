"""Choosing a recipe and its blends on a window that ends where the held-out one begins: the test sees none of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.recommend.evaluate import count_people, to_customer_metrics, to_truth
from retail_spark.domains.recommend.models.blend import ALS_FLOOR, POWERS, PRODUCT_FLOORS, Blend, Recipe
from retail_spark.domains.recommend.scoring.lists import Wanted
from retail_spark.domains.recommend.settings import JobSettings
from retail_spark.domains.recommend.train import BASELINES, Data, Learned, count, with_factors

_MIN_LABELS = 30
_RIDGE = 1e-4
_SIMPLE_POWERS: tuple[Mapping[str, float], ...] = (
    {"orders": 1.0}, {"decayed": 1.0}, {"decayed": 1.0, "recent": 1.0}, {"decayed": 1.0, "trend": 0.5},
)  # fmt: skip
_ALS_SHARES = (0.0, 1.0, 10.0)
_TREND_POWERS = (0.0, 0.25, 0.5, 1.0)
_POPULARITY_SCALES = (0.01, 0.1, 1.0)


@dataclass(frozen=True)
class Choice:
    """The recipe to go on with, and the params and metrics of each trial, as MLflow child runs take them."""

    recipe: Recipe
    trials: tuple[Mapping[str, Mapping[str, Any]], ...] = ()


@dataclass(frozen=True)
class Nested:
    """The window on which is chosen: what was known at its begin, and what was bought in it."""

    data: Data
    until: date
    truth: DataFrame
    can_discover: bool = True
    """False where too few customers bought anything new to choose list discover on: it keeps the settings' blend."""

    def ndcg(self, lists: DataFrame, *, relevance: str) -> dict[str, float]:
        """List -> mean nDCG over the window's customers."""
        scored = to_customer_metrics(lists, self.truth, relevance=relevance, k=self.data.settings.metric_k)
        return {
            row["list"]: float(row["ndcg"]) for row in scored.groupBy("list").agg(F.avg("ndcg").alias("ndcg")).collect()
        }

    def lists(self, learned: Learned, wanted: Sequence[Wanted]) -> DataFrame:
        """The lists of the window's customers."""
        settings = self.data.settings
        people = self.truth.select("customer_id").distinct()
        return learned.lists(wanted, k=settings.metric_k, settings=settings, customers=people)


def choose(data: Data, *, cut: date, first: date) -> Choice:
    """The recipe whose ALS ranks new products best, then the blends that rank best, on the window up to `cut`.

    The settings' own recipe and blends are among the candidates, and win ties; they are kept where the log is too
    short, or too few customers came back, to choose on.
    """
    settings = data.settings
    own = settings.recipe()
    until = cut - timedelta(days=settings.test_days)
    if until < first or not (settings.search_trials or settings.chooses_blend):
        return Choice(own)
    counted = count(data, until=until, recipe=own, name="nested")
    nested = _nested(data, counted, until=until, cut=cut)
    if nested is None:
        return Choice(own)
    recipe, learned, trials = _best_recipe(nested, counted)
    if not settings.chooses_blend:
        return Choice(recipe, trials)
    ranked = [
        *(Wanted(f"all/{at}", blend, only_new=False, quota=settings.max_per_category)
          for at, blend in enumerate(_all_blends(recipe.all, _fitted_powers(nested, learned)))),
        *(Wanted(f"discover/{at}", blend, only_new=True, quota=settings.max_per_category)
          for at, blend in enumerate(_discover_blends(recipe.discover))),
    ]  # fmt: skip
    lists = data.run.stage("choice_lists", nested.lists(learned, ranked))
    kinds = ("any", "new") if nested.can_discover else ("any",)
    blends, tried = _best_blends(ranked, {kind: nested.ndcg(lists, relevance=kind) for kind in kinds})
    return Choice(recipe.with_blends(blends), (*trials, *tried))


def _best_blends(
    ranked: Sequence[Wanted], scores: Mapping[str, Mapping[str, float]]
) -> tuple[dict[str, Blend], tuple[Mapping[str, Mapping[str, Any]], ...]]:
    """The best blend of each list, the first of equals, and all that were tried, by relevance -> list -> nDCG.

    What was ranked for discover is, judged by everything bought, a list all that leaves out what a customer has: where
    nobody buys a thing twice that is the only list all worth showing.
    """
    best: dict[str, tuple[float, Blend]] = {}
    tried: list[Mapping[str, Mapping[str, Any]]] = []
    entered = [("all", want.blend, scores["any"].get(want.name, 0.0)) for want in ranked if not want.only_new]
    for want in ranked:
        if want.only_new:
            if "new" in scores:
                entered.append(("discover", want.blend, scores["new"].get(want.name, 0.0)))
            blend = replace(want.blend, leaves_out_bought=True)
            entered.append(("all", blend, scores["any"].get(want.name, 0.0)))
    for name, blend, score in entered:
        tried.append({"params": {"list": name, **asdict(blend)}, "metrics": {f"ndcg_{name}": score}})
        if name not in best or score > best[name][0]:
            best[name] = (score, blend)
    return {name: blend for name, (_, blend) in best.items()}, tuple(tried)


def drawn_recipes(settings: JobSettings, *, seed: int) -> list[Recipe]:
    """The settings' own recipe, then `search_trials` others drawn without repetition."""
    own = settings.recipe()
    grid = [
        replace(own, rank=rank, reg_param=ridge, alpha=alpha, half_life_days=half_life, confidence=confidence)
        for rank in settings.search_ranks
        for ridge in settings.search_reg_params
        for alpha in settings.search_alphas
        for half_life in settings.search_half_lives_days
        for confidence in settings.search_confidences
    ]
    others = [recipe for recipe in grid if recipe != own]
    order = np.random.default_rng(seed).permutation(len(others))[: settings.search_trials]
    return [own, *(others[at] for at in order)]


def _nested(data: Data, counted: Learned, *, until: date, cut: date) -> Nested | None:
    settings = data.settings
    window = data.lines.where(
        (F.col("bought") > 0) & F.col("day").between(F.lit(until + timedelta(days=1)), F.lit(cut))
    )
    truth = data.run.stage("nested_truth", to_truth(window, counted.history))
    people = count_people(truth)
    if people[0] < settings.min_test_customers:
        return None
    if people[0] > settings.choice_customers:
        share = int(1e6 * settings.choice_customers / people[0])
        truth = truth.where(F.pmod(F.xxhash64("customer_id", F.lit(data.run.seed)), F.lit(1_000_000)) < share)
    return Nested(data, until, truth, can_discover=people[1] >= settings.min_test_customers)


def _best_recipe(
    nested: Nested, counted: Learned
) -> tuple[Recipe, Learned, tuple[Mapping[str, Mapping[str, Any]], ...]]:
    data = nested.data
    recipes = drawn_recipes(data.settings, seed=data.run.seed)
    best: tuple[float, Recipe, Learned] | None = None
    trials: list[Mapping[str, Mapping[str, Any]]] = []
    for at, recipe in enumerate(recipes):
        with data.run.progress.step("choose", f"trial {at + 1} of {len(recipes)}"):
            base = counted if at == 0 else count(data, until=nested.until, recipe=recipe, name=f"trial{at}")
            learned = with_factors(base, data=data)
            score = 0.0
            if len(recipes) > 1:
                wanted = Wanted("discover", replace(recipe.discover, popularity_scale=1e-9), only_new=True)
                score = nested.ndcg(nested.lists(learned, [wanted]), relevance="new").get("discover", 0.0)
                shown = {key: value for key, value in recipe.to_json().items() if key not in ("all", "discover")}
                trials.append({"params": shown, "metrics": {"ndcg_als": score}})
        if best is None or score > best[0]:
            best = (score, recipe, learned)
    if best is None:
        raise ValueError("there is always the settings' own recipe")
    return best[1], best[2], tuple(trials)


def _all_blends(own: Blend, fitted: Blend | None) -> list[Blend]:
    """The blend of the settings, fitted and simple powers, each with less and more of ALS; then popularity alone."""
    simple = [replace(own, repurchase_powers=powers, repurchase_scale=1.0) for powers in _SIMPLE_POWERS]
    bases = [own, *([fitted] if fitted is not None else []), *simple]
    shares = [1.0, *(share for share in _ALS_SHARES if share != 1.0)]
    blends = [replace(base, als_scale=base.als_scale * share) for base in bases for share in shares]
    return [*blends, *BASELINES["all"].values()]


def _discover_blends(own: Blend) -> list[Blend]:
    """The blend of the settings, ALS with more or less of the trend and of popularity, then popularity alone."""
    others = [
        replace(own, als_trend_power=power, popularity_scale=scale)
        for power in (own.als_trend_power, *_TREND_POWERS)
        for scale in (own.popularity_scale, *_POPULARITY_SCALES)
    ]
    unlike = [blend for at, blend in enumerate(others) if blend != own and blend not in others[:at]]
    return [own, *unlike, *BASELINES["discover"].values()]


def _fitted_powers(nested: Nested, learned: Learned) -> Blend | None:
    """The weights of a logistic regression of "bought again in the window" on the logarithms of the features.

    Rounded to hundredths, so that the order of a sum on a cluster decides nothing. None with too few of either kind.
    """
    if learned.factors is None:
        raise ValueError("a recipe is chosen with factors")
    rows = _entries(nested, learned)
    kinds = rows.agg(F.count_if("again").alias("yes"), F.count_if(~F.col("again")).alias("no")).collect()[0]
    if min(kinds["yes"], kinds["no"]) < _MIN_LABELS:
        return None
    logs = [F.log(_floored(name)).alias(name) for name in POWERS]
    table = rows.select(F.col("again").cast("double").alias("label"), *logs)
    vectors = VectorAssembler(inputCols=list(POWERS), outputCol="features").transform(table)
    model = LogisticRegression(maxIter=30, regParam=_RIDGE, tol=1e-6).fit(
        vectors.repartition(1).sortWithinPartitions("label", *POWERS)
    )
    powers = {name: round(float(weight), 2) for name, weight in zip(POWERS, model.coefficients.toArray(), strict=True)}
    scale = round(float(np.exp(np.clip(model.intercept, -8.0, 8.0))), 4)
    return replace(learned.recipe.all, repurchase_powers=powers, repurchase_scale=max(scale, 1e-4))


def _entries(nested: Nested, learned: Learned) -> DataFrame:
    """One row per product bought before by a customer of the window: the features, and whether it was bought again."""
    if learned.factors is None:
        raise ValueError("a recipe is chosen with factors")
    people = nested.truth.select("customer_id").distinct()
    again = nested.truth.where(~F.col("is_new")).select("customer_id", "product_id", F.lit(True).alias("again"))
    rows = learned.history.join(people, "customer_id", how="left_semi").join(
        again, ["customer_id", "product_id"], how="left"
    )
    rows = rows.join(learned.products.drop("product_no"), "product_id", how="inner")
    for factors, number, side in (
        (learned.factors.customers, "customer_no", "_mine"),
        (learned.factors.products, "product_no", "_theirs"),
    ):
        named = factors.select(F.col("id").alias(number), F.col("features").alias(side))
        rows = rows.join(named, number, how="inner")
    products = F.zip_with("_mine", "_theirs", lambda a, b: a.cast("double") * b.cast("double"))
    affinity = F.aggregate(products, F.lit(0.0), lambda total, x: total + x)
    return rows.select(
        F.coalesce("again", F.lit(False)).alias("again"), affinity.alias("als"), *[n for n in POWERS if n != "als"]
    )


def _floored(name: str) -> Column:
    """A feature as `rank_products` takes its logarithm."""
    if name == "als":
        return F.greatest(F.col("als"), F.lit(ALS_FLOOR))
    return F.greatest(F.col(name) + F.lit(PRODUCT_FLOORS.get(name, 0.0)), F.lit(1e-12))
