"""The held-out window: the candidate, the baselines and the champion on the same customers, and what the gate sees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import reduce

from matplotlib.figure import Figure
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.recommend.cold_start import to_default_list
from retail_spark.domains.recommend.evaluate import (
    Means,
    count_people,
    to_activity_deciles,
    to_cold_truth,
    to_coverage_curve,
    to_customer_metrics,
    to_means,
    to_spread,
    to_truth,
)
from retail_spark.domains.recommend.figures import coverage_figure, deciles_figure, rivals_figure
from retail_spark.domains.recommend.models.blend import Recipe
from retail_spark.domains.recommend.off_policy import to_off_policy
from retail_spark.domains.recommend.scoring.lists import Wanted
from retail_spark.domains.recommend.train import (
    BASELINES,
    FALLBACK,
    Data,
    Learned,
    count,
    learn,
    with_factors,
)
from retail_spark.errors import UsageError
from retail_spark.modelling.gate import Difference, Gate, scorer_of, stand_in
from retail_spark.tables.silver import EXPOSURES
from retail_spark.tables.values import LISTS

SPREAD = ("coverage", "gini", "novelty", "popularity_share")
OFF_POLICY = ("snips", "naive", "matched", "effective")
RELEVANCE = {"all": "any", "discover": "new"}


@dataclass(frozen=True)
class HeldOut:
    """What the held-out window says of every list/rival, such as all/candidate.

    Beside the two lists, `repeat/candidate` is list all measured on what was bought before alone, and
    `cold/candidate` what customers without any purchase before are shown.
    """

    means: Means
    spread: Mapping[str, Mapping[str, float]]
    k: int
    off_policy: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    min_customers: int = 1
    """A list that fewer customers can be measured on has no figure to be judged by: a baseline makes it."""

    def metrics(self) -> dict[str, float]:
        """Flat names: ndcg_at_10 (list all, candidate), ndcg_at_10_discover, ndcg_at_10_popular, ..."""
        found: dict[str, float] = {}
        for name, values in self.means.means.items():
            found |= {f"{metric}_at_{self.k}{_ending(name)}": value for metric, value in values.items()}
            if name.endswith("/candidate"):
                low, high = self.means.interval(name)
                found |= {f"ndcg_at_{self.k}{_ending(name)}_low": low, f"ndcg_at_{self.k}{_ending(name)}_high": high}
                found[f"test_customers{_ending(name)}"] = float(self.means.customers[name])
        for told in (self.spread, self.off_policy):
            for name, figures in told.items():
                found |= {f"{figure}{_ending(name)}": value for figure, value in figures.items()}
        return found

    def gate(self) -> Gate:
        """A gate on nDCG for each list, against the baselines of that list and the champion; these decide."""
        own = self._gate("all")
        return replace(own, parts={name: self._gate(name) for name in LISTS})

    def served(self, *, tolerance: float) -> dict[str, float]:
        """What the rows of each list are worth, by who makes them: ndcg_at_10_served, ndcg_at_10_discover_served."""
        found = {}
        for name in LISTS:
            gate = self._gate(name)
            if math.isnan(gate.score):
                continue
            by = scorer_of(gate, tolerance=tolerance, has_champion=gate.champion is not None)
            found[f"ndcg_at_{self.k}{_ending(f'{name}/served')}"] = self.means.means[f"{name}/{by}"]["ndcg"]
        return found

    def best_baseline(self, name: str) -> str:
        """The baseline that ranks best in a list on the held-out window."""
        return stand_in(self._gate(name), has_champion=False)

    def composed(self, recipe: Recipe) -> Recipe:
        """The recipe, with the best baseline's blend for each list in which it is not clearly better than all of them.

        What is registered thus makes each list by what held-out time allows, and the served model as the tables do.
        """
        weak = [name for name in LISTS if any(not rival.low > 0 for rival in self._gate(name).baselines.values())]
        return recipe.with_blends({name: BASELINES[name][self.best_baseline(name)] for name in weak})

    def _gate(self, name: str) -> Gate:
        means, own, champion = self.means, f"{name}/candidate", f"{name}/champion"
        if means.customers.get(own, 0) < self.min_customers:
            return Gate(f"ndcg_at_{self.k}", math.nan, {FALLBACK[name]: Difference(math.nan, math.nan, math.nan)})
        has_champion = champion in means.means
        return Gate(
            metric=f"ndcg_at_{self.k}",
            score=means.means[own]["ndcg"],
            baselines={rival: means.difference(own, f"{name}/{rival}") for rival in BASELINES[name]},
            champion=means.difference(own, champion) if has_champion else None,
            champion_score=means.means[champion]["ndcg"] if has_champion else None,
        )


@dataclass(frozen=True)
class Window:
    """The held-out window: what was bought in it, and what of that counts for warm and for cold customers."""

    cut: date
    test: DataFrame
    truth: DataFrame
    cold: DataFrame


def measure(data: Data, *, cut: date, recipe: Recipe, others: Sequence[Wanted] = ()) -> HeldOut | None:
    """Learns up to the end of `cut` and ranks all products for who bought after it; None when too few did.

    `others` are further blends to compare, named `all/<rival>` or `discover/<rival>`.
    """
    run, settings = data.run, data.settings
    with run.progress.step("count"):
        counted = count(data, until=cut, recipe=recipe, name="test")
        test = data.lines.where((F.col("bought") > 0) & (F.col("day") > F.lit(cut)))
        truth = run.stage("truth", to_truth(test, counted.history))
    if count_people(truth)[0] < settings.min_test_customers:
        return None
    with run.progress.step("train"):
        learned = with_factors(counted, data=data)
    quota = settings.max_per_category
    rivals = [*wanted_of(recipe, rival="candidate", quota=quota), *_baselines(quota), *others]
    rival = rival_recipe(data, recipe)
    has_same_factors = rival is not None and recipe.with_blends({name: rival.blend(name) for name in LISTS}) == rival
    if rival is not None and has_same_factors:
        rivals += wanted_of(rival, rival="champion", quota=quota)
    with run.progress.step("evaluate"):
        lists = learned.lists(rivals, k=settings.metric_k, settings=settings)
        if rival is not None and not has_same_factors:
            other = learn(data, until=cut, recipe=rival, name="rival")
            theirs = wanted_of(rival, rival="champion", quota=quota)
            lists = lists.unionByName(other.lists(theirs, k=settings.metric_k, settings=settings))
        stored = run.stage("test_lists", lists)
        cold = run.stage("cold_truth", to_cold_truth(test, counted.history))
        return _compared(data, stored, learned, window=Window(cut, test, truth, cold))


def wanted_of(recipe: Recipe, *, rival: str = "", quota: int | None = None) -> tuple[Wanted, ...]:
    """The two lists of a recipe; named `all/<rival>` and `discover/<rival>` where several are compared."""
    ending = f"/{rival}" if rival else ""
    return (
        Wanted(f"all{ending}", recipe.all, only_new=False, quota=quota),
        Wanted(f"discover{ending}", recipe.discover, only_new=True, quota=quota),
    )


def _baselines(quota: int | None) -> list[Wanted]:
    """The baselines of both lists, under the same quota as the candidate."""
    return [
        Wanted(f"{name}/{rival}", blend, only_new=name == "discover", quota=quota)
        for name, blends in BASELINES.items()
        for rival, blend in blends.items()
    ]


def rival_recipe(data: Data, recipe: Recipe) -> Recipe | None:
    """The champion's recipe when it is another one: the same recipe on the same window differs by nothing."""
    champion = data.run.champion
    if champion is None:
        return None
    try:
        theirs = Recipe.from_json(champion.recipe)
    except ValueError as error:
        raise UsageError(
            f"the champion (version {champion.version}) was registered by another version of this package: {error}.",
            fix="run the version that registered it, or take the alias champion away from it",
        ) from error
    return None if theirs == recipe else theirs


def _compared(data: Data, lists: DataFrame, learned: Learned, *, window: Window) -> HeldOut:
    """Metrics of every rival of both lists; a champion of the same recipe stands there as the candidate's equal."""
    run, settings = data.run, data.settings
    per_customer = run.stage("per_customer", _per_customer(lists, learned, window=window, k=settings.metric_k))
    means = to_means(per_customer, replicates=settings.replicates, seed=run.seed)
    spread = _by_list(to_spread(lists, learned.products, customers=learned.customers), SPREAD)
    off_policy: dict[str, dict[str, float]] = {}
    if run.has(EXPOSURES):
        shown = run.read(EXPOSURES).where(F.to_date("shown_at") > F.lit(window.cut))
        off_policy = _by_list(to_off_policy(shown, window.test, lists, days=settings.reward_days), OFF_POLICY)
    measured = [name for name in LISTS if f"{name}/candidate" in means.means]
    if run.champion is not None and "all/champion" not in means.means:
        for name in measured:
            means = means.with_equal(f"{name}/champion", of=f"{name}/candidate")
            spread[f"{name}/champion"] = spread[f"{name}/candidate"]
    own = lists.where(F.col("list").endswith("/candidate"))
    deciles = to_activity_deciles(per_customer.where(F.col("list").endswith("/candidate")), learned.history)
    figures = {
        "ndcg.png": rivals_figure(means, lists=measured, k=settings.metric_k),
        "coverage.png": coverage_figure(_points(to_coverage_curve(own, learned.products, k=settings.metric_k))),
        "activity_deciles.png": deciles_figure(_points(deciles), k=settings.metric_k),
    }
    return HeldOut(means, spread, settings.metric_k, off_policy, figures, settings.min_test_customers)


def _per_customer(lists: DataFrame, learned: Learned, *, window: Window, k: int) -> DataFrame:
    """The metrics of every list and customer; the candidate's list all on repeats alone too, and cold customers."""
    default = to_default_list(learned.products, k=k).crossJoin(window.cold.select("customer_id").distinct())
    candidate = lists.where(F.col("list") == "all/candidate").withColumn("list", F.lit("repeat/candidate"))
    parts = [
        to_customer_metrics(lists.where(F.col("list").startswith(f"{name}/")), window.truth, relevance=kind, k=k)
        for name, kind in RELEVANCE.items()
    ]
    parts.append(to_customer_metrics(candidate, window.truth, relevance="repeat", k=k))
    cold = default.withColumn("list", F.lit("cold/candidate"))
    parts.append(to_customer_metrics(cold, window.cold, relevance="any", k=k))
    return reduce(DataFrame.unionByName, parts)


def _by_list(frame: DataFrame, names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """One row a list, on the driver."""
    return {row["list"]: {name: float(row[name]) for name in names} for row in frame.collect()}


def _points(frame: DataFrame) -> list[tuple[str, int, float]]:
    """(list, place, value) of a figure's points: as many as lists times ranks or deciles."""
    by, place, value, *_ = frame.columns
    return sorted((str(row[by]), int(row[place]), float(row[value])) for row in frame.collect())


def _ending(name: str) -> str:
    """The end of a metric's name for list/rival: nothing for all/candidate, _discover_popular for discover/popular."""
    own, rival = name.split("/")
    return ("" if own == "all" else f"_{own}") + ("" if rival == "candidate" else f"_{rival}")
