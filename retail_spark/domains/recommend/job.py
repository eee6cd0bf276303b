"""The job `recommend`: two product lists for every customer, from a model that proved itself on held-out time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.recommend.als import Factors
from retail_spark.domains.recommend.cold_start import (
    to_content_neighbours,
    to_default_list,
    to_lent_factors,
    to_place_lists,
    with_explored,
    with_strangers,
)
from retail_spark.domains.recommend.eligibility import only_allowed, only_in_range, to_margins, to_stocked
from retail_spark.domains.recommend.holdout import HeldOut, measure, rival_recipe, wanted_of
from retail_spark.domains.recommend.models.blend import Recipe
from retail_spark.domains.recommend.purchases import only_purchases, to_lines, to_numbers
from retail_spark.domains.recommend.scoring.lists import Wanted
from retail_spark.domains.recommend.select import choose
from retail_spark.domains.recommend.served import ServedModel
from retail_spark.domains.recommend.settings import JobSettings
from retail_spark.domains.recommend.similar_items import to_similar
from retail_spark.domains.recommend.to_served import to_served
from retail_spark.domains.recommend.train import BASELINES, FALLBACK, Data, Learned, count, learn
from retail_spark.engine.job import Job, Outcome, Run, job
from retail_spark.errors import InputError, UsageError
from retail_spark.lake.contract import Contract
from retail_spark.lake.write import Write, replace_slice
from retail_spark.modelling.artifact import ModelFiles
from retail_spark.modelling.contest import Candidate
from retail_spark.modelling.gate import ScoredBy, Verdict
from retail_spark.tables.recommend import (
    CUSTOMER_NUMBERS,
    PRODUCT_NUMBERS,
    RECOMMENDATIONS,
    SIMILAR_PRODUCTS,
)
from retail_spark.tables.silver import CUSTOMERS, EXPOSURES, INVENTORY, PRODUCTS, SALES, STORES
from retail_spark.tables.values import DEFAULT_CUSTOMER, LISTS


@dataclass(frozen=True)
class Maker:
    """Who makes some lists: what was learned up to as_of, which lists, and the version that their rows carry."""

    learned: Learned
    wanted: tuple[Wanted, ...]
    model_version: str | None = None


def recommend(run: Run, settings: JobSettings) -> Outcome:
    """Chooses on a nested window, measures on the held-out one after it, and refits up to as_of.

    Each list is judged by its own baselines. Raises InputError when no sale can be learned from. A log that is too
    small to measure anything on is no error: then nothing is registered, and the baselines make the lists.
    """
    data = _data(run, settings)
    first, last = _span(data)
    cut = last - timedelta(days=settings.test_days)
    choice = choose(data, cut=cut, first=first)
    held_out = None if cut < first else measure(data, cut=cut, recipe=choice.recipe)
    if held_out is None:
        run.progress.note("the log is too short or too small to measure on: the baseline makes the lists")
        counted = count(data, until=run.as_of, recipe=settings.recipe(), name="baseline")
        return Outcome(tables=_tables(data, (_by_baselines(data, counted, FALLBACK),)))
    recipe = held_out.composed(choice.recipe)
    with run.progress.step("refit"):
        learned = learn(data, until=run.as_of, recipe=recipe, name="final")
    with run.progress.step("pack"):
        model = _candidate(data, learned, held_out)
    return Outcome(
        tables=lambda verdict: _tables(data, _makers(data, learned, held_out, verdict)),
        metrics=held_out.metrics() | held_out.served(tolerance=run.settings.gate.tolerance),
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
        data = Data(run, settings, lines, customers, numbers, catalogue)
        return replace(data, allowed=_allowed(data))


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


def _makers(data: Data, learned: Learned, held_out: HeldOut, verdict: Verdict) -> tuple[Maker, ...]:
    """Who makes which list, by the gate: the candidate, the champion, or the baseline of a name."""
    one = ScoredBy(verdict.scorer, verdict.model_version)
    scored = {name: verdict.parts.get(name, one) for name in LISTS}
    baselines = {
        name: held_out.best_baseline(name) if by.name == "baseline" else by.name
        for name, by in scored.items()
        if by.name not in ("candidate", "champion")
    }
    makers = [] if not baselines else [_by_baselines(data, learned, baselines)]
    by_champion = tuple(name for name, by in scored.items() if by.name == "champion")
    if by_champion:
        theirs = _champion(data, learned)
        wanted = _wanted(data, theirs.recipe, by_champion)
        makers.insert(0, Maker(theirs, wanted, scored[by_champion[0]].model_version))
    by_candidate = tuple(name for name, by in scored.items() if by.name == "candidate")
    if by_candidate:
        wanted = _wanted(data, learned.recipe, by_candidate)
        makers.insert(0, Maker(learned, wanted, scored[by_candidate[0]].model_version))
    return tuple(makers)


def _wanted(data: Data, recipe: Recipe, names: Sequence[str]) -> tuple[Wanted, ...]:
    return tuple(w for w in wanted_of(recipe, quota=data.settings.max_per_category) if w.name in names)


def _champion(data: Data, learned: Learned) -> Learned:
    """The champion's recipe, learned on this run's own purchases: its stored factors do not know new customers."""
    theirs = rival_recipe(data, learned.recipe)
    if theirs is None:
        return learned
    if learned.recipe.with_blends({name: theirs.blend(name) for name in LISTS}) == theirs:
        return replace(learned, recipe=theirs)
    return learn(data, until=data.run.as_of, recipe=theirs, name="champion")


def _by_baselines(data: Data, counted: Learned, names: Mapping[str, str]) -> Maker:
    """Lists by baselines of these names: personal frequency or popularity, which need no factors."""
    blends = {name: BASELINES[name][rival] for name, rival in names.items()}
    recipe = counted.recipe.with_blends(blends)
    return Maker(replace(counted, recipe=recipe, factors=None), _wanted(data, recipe, tuple(blends)))


def _tables(data: Data, makers: Sequence[Maker]) -> tuple[Write, ...]:
    """The lists of every customer in sales or silver.customers and of strangers, what is similar, and the id maps.

    What is similar comes from the first of the makers, which has factors where any of them has.
    """
    first = makers[0].learned
    purchases = only_purchases(data.lines, until=data.run.as_of, nets_returns=first.recipe.nets_returns)
    with data.run.progress.step("lists"):
        lists = reduce(DataFrame.unionByName, [_made(data, maker, purchases) for maker in makers])
    similar = to_similar(first, purchases, settings=data.settings)
    return (
        replace_slice(RECOMMENDATIONS, lists),
        replace_slice(SIMILAR_PRODUCTS, similar),
        *(_new_numbers(data.run, contract, numbers) for contract, numbers in (
            (CUSTOMER_NUMBERS, data.customer_numbers), (PRODUCT_NUMBERS, data.product_numbers)
        )),
    )  # fmt: skip


def _made(data: Data, maker: Maker, purchases: DataFrame) -> DataFrame:
    """The maker's lists of known customers and of strangers, with its version on every row."""
    lists = _lists(data, maker.learned, maker.wanted)
    names = [wanted.name for wanted in maker.wanted]
    whole = _with_strangers(data, lists, maker.learned, purchases, names=names)
    return whole.withColumn("model_version", F.lit(maker.model_version).cast("string"))


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


def _lists(data: Data, learned: Learned, wanted: tuple[Wanted, ...]) -> DataFrame:
    """The lists of every customer with a purchase, new products among them."""
    settings = data.settings
    shown = _only_shown(learned, data.allowed)
    names = "_".join(want.name for want in wanted)
    fresh = _fresh(data, learned, stage=f"lent_{names}")
    if fresh is None or learned.factors is None or fresh.factors is None:
        return shown.lists(wanted, k=settings.k, settings=settings)
    factors = Factors(learned.factors.customers, learned.factors.products.unionByName(fresh.factors.products))
    whole = replace(shown, products=shown.products.unionByName(fresh.products), factors=factors)
    lists = data.run.stage(f"lists_{names}", whole.lists(wanted, k=settings.k, settings=settings))
    slots = min(settings.explored, settings.k)
    blend = replace(learned.recipe.discover, popularity_scale=0.0)
    if slots == 0 or blend.als_scale == 0 or "discover" not in [want.name for want in wanted]:
        return lists
    explored = fresh.lists([Wanted("discover", blend, only_new=True)], k=settings.k, settings=settings)
    return with_explored(lists, explored, name="discover", slots=slots, k=settings.k)


def _only_shown(learned: Learned, allowed: DataFrame | None) -> Learned:
    if allowed is None:
        return learned
    return replace(learned, products=learned.products.join(allowed, "product_id", how="left_semi"))


def _fresh(data: Data, learned: Learned, *, stage: str) -> Learned | None:
    """Products of silver.products that nobody has bought, with factors lent by their neighbours; None without any."""
    settings = data.settings
    if data.catalogue is None or learned.factors is None or settings.content_neighbours == 0:
        return None
    unbought = data.catalogue.join(learned.products.select("product_id"), "product_id", how="left_anti")
    if data.allowed is not None:
        unbought = unbought.join(data.allowed, "product_id", how="left_semi")
    if unbought.isEmpty():
        return None
    known = learned.products.select("product_id", "product_no", "buyers").join(
        data.catalogue, "product_id", how="inner"
    )
    neighbours = to_content_neighbours(unbought, known, k=settings.content_neighbours)
    lent = data.run.stage(stage, to_lent_factors(neighbours, learned.factors.products))
    numbered = lent.join(data.product_numbers, "product_id", how="inner")
    filled = numbered.join(data.catalogue.select("product_id", "category"), "product_id", how="inner")
    nothing = {c: F.lit(0.0) for c in learned.products.columns if c not in (*filled.columns, "is_content")}
    products = filled.withColumns(nothing | {"is_content": F.lit(True)}).select(*learned.products.columns)
    factors = Factors(learned.factors.customers, numbered.select(F.col("product_no").alias("id"), "features"))
    return replace(learned, products=products, factors=factors)


def _with_strangers(
    data: Data, lists: DataFrame, learned: Learned, purchases: DataFrame, *, names: Sequence[str]
) -> DataFrame:
    """Adds who has no purchase: popular products of the home store, else of the region, else of all."""
    run, settings, quota = data.run, data.settings, data.settings.max_per_category
    goods = _only_shown(learned, data.allowed).products
    default = to_default_list(goods, k=settings.k, quota=quota)
    shown = purchases.join(goods.select("product_id", "category"), "product_id", how="inner")
    nothing = F.lit(None).cast("string")
    places = {"home_store_id": nothing, "region": nothing}
    known = run.read(SALES).where(F.col("customer_id").isNotNull()).select("customer_id").withColumns(places)
    if run.has(CUSTOMERS):
        known = known.unionByName(run.read(CUSTOMERS).select("customer_id", "home_store_id", "region"))
    # who has bought has lists of his own, also where one of them is empty because he has everything
    known = known.join(learned.history.select("customer_id"), "customer_id", how="left_anti")
    known = known.where(F.col("customer_id") != DEFAULT_CUSTOMER)
    if not run.has(CUSTOMERS):
        return with_strangers(lists, known=known, default=default, names=names)
    stores = run.read(STORES).select("store_id", F.col("region").alias("place")) if run.has(STORES) else None

    def popular(placed: DataFrame) -> DataFrame:
        return to_place_lists(
            placed, until=run.as_of, half_life_days=settings.recent_days, min_customers=settings.min_place_customers,
            k=settings.k, quota=quota,
        )  # fmt: skip

    return with_strangers(
        lists,
        known=known,
        default=default,
        names=names,
        by_store=popular(shown.withColumn("place", F.col("store_id"))),
        by_region=None if stores is None else popular(shown.join(stores, "store_id", how="inner")),
    )


def _candidate(data: Data, learned: Learned, held_out: HeldOut) -> Candidate:
    if learned.factors is None:
        raise ValueError("a candidate has factors")
    weight = 1.0
    if learned.recipe.order_weight == "quantity":
        usual = data.lines.where(F.col("bought") > 0).agg(F.percentile_approx("bought", 0.5, 10_000))
        weight = float(usual.collect()[0][0])
    served = to_served(learned, learned.factors, settings=data.settings, allowed=data.allowed, order_weight=weight)
    example = served.example()
    return Candidate(
        served=ServedModel,
        artifacts=ModelFiles(served.save),
        example=example,
        example_output=served.answer(example),
        gate=held_out.gate(),
        recipe=learned.recipe.to_json(),
        params={"served_customers": len(served.customer_ids), "served_products": len(served.product_ids)},
        spark_model=learned.factors.model,
    )
