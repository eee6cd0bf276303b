"""The job `recommend`: two product lists for every customer, from a model that proved itself on held-out time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.canonical import CUSTOMERS, SALES
from retail_spark.errors import InputError
from retail_spark.lake.writers import Write, replace_slice
from retail_spark.recommend.contracts import LISTS, RECOMMENDATIONS
from retail_spark.recommend.evaluate import Means, to_coverage, to_customer_metrics, to_means, to_truth
from retail_spark.recommend.figures import rivals_figure
from retail_spark.recommend.learning import (
    FALLBACK_ALL,
    FALLBACK_DISCOVER,
    PERSONAL_BASELINE,
    POPULAR_BASELINE,
    Learned,
    count,
    learn,
    to_default_list,
    with_factors,
    with_strangers,
)
from retail_spark.recommend.model import Recipe
from retail_spark.recommend.packing import ModelFiles, to_served
from retail_spark.recommend.ranking import Wanted
from retail_spark.recommend.settings import JobSettings
from retail_spark.recommend.transforms import only_purchases
from retail_spark.registry.gates import Gate, Verdict
from retail_spark.registry.models import Candidate
from retail_spark.run import Job, Outcome, Run, job


def recommend(run: Run, settings: JobSettings) -> Outcome:
    """Learns on the purchases before the held-out window, measures on it, and refits up to as_of.

    Raises InputError when no sale can be learned from. A log that is too small to measure anything on is no error:
    then nothing is registered, and the baseline makes the lists.
    """
    sales = run.read(SALES)
    with run.progress.step("purchases"):
        purchases = run.stage("purchases", sales.transform(only_purchases))
        first, last = _span(purchases, run=run)
    cut = last - timedelta(days=settings.test_days)
    held_out = None if cut < first else measure(run, purchases, cut=cut, settings=settings)
    if held_out is None:
        run.progress.note("the log is too short or too small to measure on: the baseline makes the lists")
        return Outcome(tables=_tables(run, sales, _baseline(run, purchases, settings), settings=settings))
    recipe = settings.recipe()
    with run.progress.step("refit"):
        learned = learn(run, purchases, until=run.as_of, recipe=recipe, settings=settings, name="final")
    makers: dict[str, Callable[[], tuple[Learned, tuple[Wanted, ...]]]] = {
        "candidate": lambda: (learned, wanted_of(recipe)),
        "champion": lambda: _champion(run, purchases, learned, settings=settings),
        "baseline": lambda: _baseline(run, purchases, settings),
    }

    def tables(verdict: Verdict) -> tuple[Write, ...]:
        return _tables(run, sales, makers[verdict.scorer](), settings=settings)

    with run.progress.step("pack"):
        model = _candidate(learned, held_out, settings=settings)
    figures = {"ndcg.png": rivals_figure(held_out.means, lists=LISTS, k=settings.metric_k)}
    return Outcome(tables=tables, metrics=held_out.metrics(), model=model, figures=figures)


JOB: Job = job(
    "recommend", settings=JobSettings, reads=(SALES,), optional=(CUSTOMERS,), writes=(RECOMMENDATIONS,), learns=True
)(recommend)


@dataclass(frozen=True)
class HeldOut:
    """What the held-out window says of every list/rival, such as all/candidate: means, and coverage of the range."""

    means: Means
    coverage: Mapping[str, float]
    k: int

    def metrics(self) -> dict[str, float]:
        """Flat names: ndcg_at_10 (list all, candidate), ndcg_at_10_discover, ndcg_at_10_popular, ..."""
        found: dict[str, float] = {}
        for name, values in self.means.means.items():
            found |= {f"{metric}_at_{self.k}{_ending(name)}": value for metric, value in values.items()}
            found[f"coverage{_ending(name)}"] = self.coverage[name]
        for own in LISTS:
            name = f"{own}/candidate"
            low, high = self.means.interval(name)
            found |= {f"ndcg_at_{self.k}{_ending(name)}_low": low, f"ndcg_at_{self.k}{_ending(name)}_high": high}
            found[f"test_customers{_ending(name)}"] = float(self.means.customers[name])
        return found

    def gate(self) -> Gate:
        """The gate on nDCG of list all: against recent popularity and personal frequency, and the champion."""
        means, own, champion = self.means, "all/candidate", "all/champion"
        has_champion = champion in means.means
        return Gate(
            metric=f"ndcg_at_{self.k}",
            score=means.means[own]["ndcg"],
            baselines={name: means.difference(own, f"all/{name}") for name in ("popular", "personal")},
            champion=means.difference(own, champion) if has_champion else None,
            champion_score=means.means[champion]["ndcg"] if has_champion else None,
        )


def measure(
    run: Run, purchases: DataFrame, *, cut: date, settings: JobSettings, others: Sequence[Wanted] = ()
) -> HeldOut | None:
    """Learns up to the end of `cut` and ranks all products for who bought after it; None when too few did.

    `others` are further blends to compare, named `all/<rival>` or `discover/<rival>`.
    """
    recipe, k = settings.recipe(), settings.metric_k
    with run.progress.step("count"):
        counted = count(run, purchases, until=cut, recipe=recipe, name="test")
        test = purchases.where(F.col("day") > F.lit(cut))
        truth = run.stage("truth", to_truth(test, counted.history))
        warm = truth.agg(
            F.count_distinct("customer_id").alias("all"),
            F.count_distinct(F.when(F.col("is_new"), F.col("customer_id"))).alias("discover"),
        ).collect()[0]
    if min(warm["all"], warm["discover"]) < settings.min_test_customers:
        return None
    with run.progress.step("train"):
        learned = with_factors(counted, seed=run.seed, settings=settings)
    rivals = (
        *wanted_of(recipe, rival="candidate"),
        Wanted("all/popular", POPULAR_BASELINE, only_new=False),
        Wanted("all/personal", PERSONAL_BASELINE, only_new=False),
        Wanted("discover/popular", POPULAR_BASELINE, only_new=True),
        *others,
    )
    with run.progress.step("evaluate"):
        lists = learned.lists(rivals, k=k, settings=settings)
        rival = _rival_recipe(run, recipe)
        if rival is not None:
            other = learn(run, purchases, until=cut, recipe=rival, settings=settings, name="rival")
            lists = lists.unionByName(other.lists(wanted_of(rival, rival="champion"), k=k, settings=settings))
        return _compared(run, run.stage("test_lists", lists), truth, counted.products, settings=settings)


def wanted_of(recipe: Recipe, *, rival: str = "") -> tuple[Wanted, ...]:
    """The two lists of a recipe; named `all/<rival>` and `discover/<rival>` where several are compared."""
    ending = f"/{rival}" if rival else ""
    return (
        Wanted(f"all{ending}", recipe.all, only_new=False),
        Wanted(f"discover{ending}", recipe.discover, only_new=True),
    )


def _rival_recipe(run: Run, recipe: Recipe) -> Recipe | None:
    """The champion's recipe when it is another one: the same recipe on the same window differs by nothing."""
    if run.champion is None:
        return None
    theirs = Recipe.from_json(run.champion.recipe)
    return None if theirs == recipe else theirs


def _compared(run: Run, lists: DataFrame, truth: DataFrame, products: DataFrame, *, settings: JobSettings) -> HeldOut:
    """Metrics of every rival of both lists; a champion of the same recipe stands there as the candidate's equal."""
    of_list = {name: lists.where(F.col("list").startswith(f"{name}/")) for name in LISTS}
    rows = [
        to_customer_metrics(of_list[name], truth, only_new=name == "discover", k=settings.metric_k) for name in LISTS
    ]
    means = to_means(rows[0].unionByName(rows[1]), replicates=settings.replicates, seed=run.seed)
    coverage = {
        row["list"]: float(row["coverage"]) for row in to_coverage(lists, products).collect()
    }  # one row a rival
    if run.champion is not None and "all/champion" not in means.means:
        for name in LISTS:
            means = means.with_equal(f"{name}/champion", of=f"{name}/candidate")
            coverage[f"{name}/champion"] = coverage[f"{name}/candidate"]
    return HeldOut(means, coverage, settings.metric_k)


def _span(purchases: DataFrame, *, run: Run) -> tuple[date, date]:
    """First and last day of purchases. Raises InputError when there are none."""
    row = purchases.agg(F.min("day").alias("first"), F.max("day").alias("last")).collect()[0]
    if row["first"] is None:
        raise InputError(
            f"{SALES.name} holds no purchase of a known customer up to {run.as_of}.",
            fix="map customer_id, quantity (> 0) and unit_price (> 0) in the source, or use a later --as-of",
        )
    return row["first"], row["last"]


def _champion(
    run: Run, purchases: DataFrame, learned: Learned, *, settings: JobSettings
) -> tuple[Learned, tuple[Wanted, ...]]:
    """The champion's recipe, learned on this run's own purchases: its stored factors do not know new customers."""
    theirs = _rival_recipe(run, learned.recipe)
    if theirs is None:
        return learned, wanted_of(learned.recipe)
    again = learn(run, purchases, until=run.as_of, recipe=theirs, settings=settings, name="champion")
    return again, wanted_of(theirs)


def _baseline(run: Run, purchases: DataFrame, settings: JobSettings) -> tuple[Learned, tuple[Wanted, ...]]:
    """Decayed personal frequency and recent popularity: what needs no model."""
    counted = count(run, purchases, until=run.as_of, recipe=settings.recipe(), name="baseline")
    wanted = (Wanted("all", FALLBACK_ALL, only_new=False), Wanted("discover", FALLBACK_DISCOVER, only_new=True))
    return counted, wanted


def _tables(
    run: Run, sales: DataFrame, maker: tuple[Learned, tuple[Wanted, ...]], *, settings: JobSettings
) -> tuple[Write, ...]:
    """gold.recommendations for every customer in sales or silver.customers, and for strangers."""
    learned, wanted = maker
    known = sales.select("customer_id").where(F.col("customer_id").isNotNull())
    if run.has(CUSTOMERS):
        known = known.union(run.read(CUSTOMERS).select("customer_id"))
    lists = learned.lists(wanted, k=settings.k, settings=settings)
    rows = lists.transform(
        with_strangers, known=known, default=to_default_list(learned.products, k=settings.k), names=LISTS
    )
    whole = rows.withColumn("store_id", F.lit(None).cast("string"))
    return (replace_slice(RECOMMENDATIONS, whole.transform(RECOMMENDATIONS.select)),)


def _candidate(learned: Learned, held_out: HeldOut, *, settings: JobSettings) -> Candidate:
    if learned.factors is None:
        raise ValueError("a candidate has factors")
    served = to_served(learned, learned.factors, settings=settings)
    example = served.example()
    return Candidate(
        code=files("retail_spark.recommend") / "serve.py",
        artifacts=ModelFiles(served),
        example=example,
        example_output=served.lists(example["customer_id"].tolist()),
        gate=held_out.gate(),
        recipe=learned.recipe.to_json(),
        params={"served_customers": len(served.customer_ids), "served_products": len(served.product_ids)},
    )


def _ending(name: str) -> str:
    """The end of a metric's name for list/rival: nothing for all/candidate, _discover_popular for discover/popular."""
    own, rival = name.split("/")
    return ("" if own == "all" else f"_{own}") + ("" if rival == "candidate" else f"_{rival}")
