"""The job `recommend`: two product lists for every customer, from a model that proved itself on held-out time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from importlib.resources import files

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.canonical import CUSTOMERS, EXPOSURES, INVENTORY, PRODUCTS, SALES, STORES
from retail_spark.errors import InputError, UsageError
from retail_spark.lake.contracts import Contract
from retail_spark.lake.writers import Write, replace_slice
from retail_spark.recommend.candidates import only_allowed, only_in_range, to_margins, to_stocked
from retail_spark.recommend.choosing import choose
from retail_spark.recommend.coldstart import (
    to_content_neighbours,
    to_default_list,
    to_lent_factors,
    to_place_lists,
    with_explored,
    with_strangers,
)
from retail_spark.recommend.contracts import (
    CUSTOMER_NUMBERS,
    LISTS,
    PRODUCT_NUMBERS,
    RECOMMENDATIONS,
    SIMILAR_PRODUCTS,
)
from retail_spark.recommend.factors import Factors
from retail_spark.recommend.learning import FALLBACK_ALL, FALLBACK_DISCOVER, Data, Learned, count, learn
from retail_spark.recommend.measuring import HeldOut, measure, rival_recipe, wanted_of
from retail_spark.recommend.packing import to_served
from retail_spark.recommend.ranking import Wanted
from retail_spark.recommend.settings import JobSettings
from retail_spark.recommend.similar import to_similar
from retail_spark.recommend.transforms import only_purchases, to_lines, to_numbers
from retail_spark.registry.gates import Verdict
from retail_spark.registry.models import Candidate, ModelFiles
from retail_spark.run import Job, Outcome, Run, job

Maker = tuple[Learned, tuple[Wanted, ...]]


def recommend(run: Run, settings: JobSettings) -> Outcome:
    """Chooses on a nested window, measures on the held-out one after it, and refits up to as_of.

    Raises InputError when no sale can be learned from. A log that is too small to measure anything on is no error:
    then nothing is registered, and the baseline makes the lists.
    """
    data = _data(run, settings)
    first, last = _span(data)
    cut = last - timedelta(days=settings.test_days)
    choice = choose(data, cut=cut, first=first)
    held_out = None if cut < first else measure(data, cut=cut, recipe=choice.recipe)
    if held_out is None:
        run.progress.note("the log is too short or too small to measure on: the baseline makes the lists")
        return Outcome(tables=_tables(data, _baseline(data)))
    with run.progress.step("refit"):
        learned = learn(data, until=run.as_of, recipe=choice.recipe, name="final")
    makers: dict[str, Callable[[], Maker]] = {
        "candidate": lambda: (learned, wanted_of(choice.recipe, quota=settings.max_per_category)),
        "champion": lambda: _champion(data, learned),
        "baseline": lambda: _baseline(data),
    }
    with run.progress.step("pack"):
        model = _candidate(learned, held_out, settings=settings)
    return Outcome(
        tables=lambda verdict: _tables(data, makers[verdict.scorer](), verdict=verdict),
        metrics=held_out.metrics(),
        model=model,
        figures=held_out.figures,
        trials=choice.trials,
    )


JOB: Job = job(
    "recommend",
    settings=JobSettings,
    reads=(SALES,),
    optional=(CUSTOMERS, PRODUCTS, STORES, INVENTORY, EXPOSURES),
    writes=(RECOMMENDATIONS, SIMILAR_PRODUCTS, CUSTOMER_NUMBERS, PRODUCT_NUMBERS),
    learns=True,
)(recommend)


def _data(run: Run, settings: JobSettings) -> Data:
    with run.progress.step("purchases"):
        lines = run.stage("lines", run.read(SALES).transform(to_lines))
        catalogue = run.read(PRODUCTS) if run.has(PRODUCTS) else None
        products = lines.select("product_id")
        if catalogue is not None:
            products = products.union(catalogue.select("product_id"))
        customers = _numbers(run, CUSTOMER_NUMBERS, lines.select("customer_id").distinct())
        numbers = _numbers(run, PRODUCT_NUMBERS, products.distinct())
        return Data(run, settings, lines, customers, numbers, catalogue)


def _numbers(run: Run, contract: Contract, ids: DataFrame) -> DataFrame:
    key, number = contract.names[:2]
    numbered = to_numbers(ids, known=run.previous(contract).select(key, number), key=key, number=number)
    return run.stage("_".join(contract.table.parts), numbered)


def _span(data: Data) -> tuple[date, date]:
    """First and last day of purchases. Raises InputError when there are none."""
    bought = data.lines.where(F.col("bought") > 0)
    row = bought.agg(F.min("day").alias("first"), F.max("day").alias("last")).collect()[0]
    if row["first"] is None:
        raise InputError(
            f"{SALES.name} holds no purchase of a known customer up to {data.run.as_of}.",
            fix="map customer_id, quantity (> 0) and unit_price (> 0) in the source, or use a later --as-of",
        )
    return row["first"], row["last"]


def _champion(data: Data, learned: Learned) -> Maker:
    """The champion's recipe, learned on this run's own purchases: its stored factors do not know new customers."""
    quota = data.settings.max_per_category
    theirs = rival_recipe(data, learned.recipe)
    if theirs is None:
        return learned, wanted_of(learned.recipe, quota=quota)
    return learn(data, until=data.run.as_of, recipe=theirs, name="champion"), wanted_of(theirs, quota=quota)


def _baseline(data: Data) -> Maker:
    """Decayed personal frequency and recent popularity: what needs no model."""
    counted = count(data, until=data.run.as_of, recipe=data.settings.recipe(), name="baseline")
    quota = data.settings.max_per_category
    return counted, (
        Wanted("all", FALLBACK_ALL, only_new=False, quota=quota),
        Wanted("discover", FALLBACK_DISCOVER, only_new=True, quota=quota),
    )


def _tables(data: Data, maker: Maker, *, verdict: Verdict | None = None) -> tuple[Write, ...]:
    """The lists of every customer in sales or silver.customers and of strangers, what is similar, and the id maps."""
    learned, wanted = maker
    allowed = _allowed(data)
    with data.run.progress.step("lists"):
        lists = _lists(data, learned, wanted, allowed=allowed)
    purchases = only_purchases(data.lines, until=data.run.as_of, nets_returns=learned.recipe.nets_returns)
    similar = to_similar(learned, purchases, settings=data.settings)
    return (
        replace_slice(RECOMMENDATIONS, _with_strangers(data, lists, learned, purchases, allowed=allowed)),
        replace_slice(SIMILAR_PRODUCTS, similar),
        *(_new_numbers(data.run, contract, numbers) for contract, numbers in (
            (CUSTOMER_NUMBERS, data.customer_numbers), (PRODUCT_NUMBERS, data.product_numbers)
        )),
    )  # fmt: skip


def _new_numbers(run: Run, contract: Contract, numbers: DataFrame) -> Write:
    """The numbers that this run gave out: the slice of the map that is its own, also when it is run again."""
    key = contract.names[0]
    others = run.previous(contract).where(F.col("run_id") != run.id)
    return replace_slice(contract, numbers.join(others.select(key), key, how="left_anti"), run_id=run.id)


def _allowed(data: Data) -> DataFrame | None:
    """One row per product_id that lists may show; None when no rule forbids anything."""
    run, settings = data.run, data.settings
    rules: list[DataFrame] = []
    if data.catalogue is not None:
        catalogue = only_allowed(data.catalogue, excluded=settings.excluded_categories)
        rules.append(only_in_range(catalogue, on=run.as_of) if settings.only_in_range else catalogue)
    if settings.only_in_stock:
        rules.append(to_stocked(_needed(run, INVENTORY, "recommend.only_in_stock")))
    if settings.min_margin is not None:
        margins = to_margins(run.read(SALES), _needed(run, PRODUCTS, "recommend.min_margin"))
        rules.append(margins.where(F.col("margin") >= settings.min_margin))
    if data.catalogue is not None:
        unlisted = data.product_numbers.join(data.catalogue.select("product_id"), "product_id", how="left_anti")
        rules[0] = rules[0].select("product_id").unionByName(unlisted.select("product_id"))
    if not rules:
        return None
    allowed = rules[0].select("product_id")
    for rule in rules[1:]:
        allowed = allowed.join(rule, "product_id", how="left_semi")
    allowed = run.stage("allowed", allowed.distinct())
    if allowed.isEmpty():
        raise UsageError(
            "the business rules leave no product to recommend.",
            fix="look at recommend.only_in_stock, only_in_range, excluded_categories and min_margin",
        )
    return allowed


def _needed(run: Run, contract: Contract, key: str) -> DataFrame:
    if not run.has(contract):
        raise InputError(
            f"{key} needs {contract.name}, which is not there.", fix=f"map it in the source, or unset {key}"
        )
    return run.read(contract)


def _lists(data: Data, learned: Learned, wanted: tuple[Wanted, ...], *, allowed: DataFrame | None) -> DataFrame:
    """The lists of every customer with a purchase, new products among them."""
    settings = data.settings
    shown = _only_shown(learned, allowed)
    fresh = _fresh(data, learned, allowed=allowed)
    if fresh is None or learned.factors is None or fresh.factors is None:
        return shown.lists(wanted, k=settings.k, settings=settings)
    factors = Factors(learned.factors.customers, learned.factors.products.unionByName(fresh.factors.products))
    whole = replace(shown, products=shown.products.unionByName(fresh.products), factors=factors)
    lists = data.run.stage("lists", whole.lists(wanted, k=settings.k, settings=settings))
    slots = min(settings.explored, settings.k)
    if slots == 0:
        return lists
    blend = replace(learned.recipe.discover, popularity_scale=0.0)
    explored = fresh.lists([Wanted("discover", blend, only_new=True)], k=settings.k, settings=settings)
    return with_explored(lists, explored, name="discover", slots=slots, k=settings.k)


def _only_shown(learned: Learned, allowed: DataFrame | None) -> Learned:
    if allowed is None:
        return learned
    return replace(learned, products=learned.products.join(allowed, "product_id", how="left_semi"))


def _fresh(data: Data, learned: Learned, *, allowed: DataFrame | None) -> Learned | None:
    """Products of silver.products that nobody has bought, with factors lent by their neighbours; None without any."""
    settings = data.settings
    if data.catalogue is None or learned.factors is None or settings.content_neighbours == 0:
        return None
    unbought = data.catalogue.join(learned.products.select("product_id"), "product_id", how="left_anti")
    if allowed is not None:
        unbought = unbought.join(allowed, "product_id", how="left_semi")
    if unbought.isEmpty():
        return None
    known = learned.products.select("product_id", "product_no", "buyers").join(
        data.catalogue, "product_id", how="inner"
    )
    neighbours = to_content_neighbours(unbought, known, k=settings.content_neighbours)
    lent = data.run.stage("lent", to_lent_factors(neighbours, learned.factors.products))
    numbered = lent.join(data.product_numbers, "product_id", how="inner")
    filled = numbered.join(data.catalogue.select("product_id", "category"), "product_id", how="inner")
    nothing = {c: F.lit(0.0) for c in learned.products.columns if c not in (*filled.columns, "is_content")}
    products = filled.withColumns(nothing | {"is_content": F.lit(True)}).select(*learned.products.columns)
    factors = Factors(learned.factors.customers, numbered.select(F.col("product_no").alias("id"), "features"))
    return replace(learned, products=products, factors=factors)


def _with_strangers(
    data: Data, lists: DataFrame, learned: Learned, purchases: DataFrame, *, allowed: DataFrame | None
) -> DataFrame:
    """Adds who has no purchase: popular products of the home store, else of the region, else of all."""
    run, settings = data.run, data.settings
    shown = purchases if allowed is None else purchases.join(allowed, "product_id", how="left_semi")
    default = to_default_list(_only_shown(learned, allowed).products, k=settings.k)
    nothing = F.lit(None).cast("string")
    places = {"home_store_id": nothing, "region": nothing}
    bought = run.read(SALES).where(F.col("customer_id").isNotNull()).select("customer_id").withColumns(places)
    if not run.has(CUSTOMERS):
        return with_strangers(lists, known=bought, default=default, names=LISTS)
    stores = run.read(STORES).select("store_id", F.col("region").alias("place")) if run.has(STORES) else None

    def popular(placed: DataFrame) -> DataFrame:
        return to_place_lists(
            placed, until=run.as_of, half_life_days=settings.recent_days, min_customers=settings.min_place_customers,
            k=settings.k,
        )  # fmt: skip

    return with_strangers(
        lists,
        known=bought.unionByName(run.read(CUSTOMERS).select("customer_id", "home_store_id", "region")),
        default=default,
        names=LISTS,
        by_store=popular(shown.withColumn("place", F.col("store_id"))),
        by_region=None if stores is None else popular(shown.join(stores, "store_id", how="inner")),
    )


def _candidate(learned: Learned, held_out: HeldOut, *, settings: JobSettings) -> Candidate:
    if learned.factors is None:
        raise ValueError("a candidate has factors")
    served = to_served(learned, learned.factors, settings=settings)
    example = served.example()
    return Candidate(
        code=files("retail_spark.recommend") / "serve.py",
        artifacts=ModelFiles(served.save),
        example=example,
        example_output=served.answer(example),
        gate=held_out.gate(),
        recipe=learned.recipe.to_json(),
        params={"served_customers": len(served.customer_ids), "served_products": len(served.product_ids)},
        spark_model=learned.factors.model,
    )
