"""The job in the whole life of a run, on some two thousand made-up purchases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from types import MappingProxyType

import mlflow
import numpy as np
import pandas as pd
import pytest
from pydantic import create_model
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import LakeSettings, Settings
from retail_spark.domains.recommend.job import JOB, recommend
from retail_spark.domains.recommend.settings import JobSettings
from retail_spark.domains.recommend.train import BASELINES
from retail_spark.engine.job import Outcome, Run
from retail_spark.engine.progress import Progress
from retail_spark.engine.run_job import run_job
from retail_spark.errors import InputError, UsageError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.commit import carry_out
from retail_spark.lake.contract import Contract
from retail_spark.lake.lake import Lake
from retail_spark.lake.write import Write, replace_slice
from retail_spark.modelling.contest import Champion
from retail_spark.modelling.gate import ScoredBy, Verdict, decide
from retail_spark.tables.recommend import RECOMMENDATIONS
from retail_spark.tables.silver import CUSTOMERS, PRODUCTS, SALES

SMALL = {
    "rank": 6, "iterations": 4, "blocks": 2, "replicates": 40, "k": 5, "metric_k": 5, "half_life_days": 15.0,
    "repurchase_powers": {"decayed": 1.0},
}  # fmt: skip
FIRST = datetime(2024, 1, 1, 12)
_RAW = "order_id string, sold_at timestamp, product_id string, customer_id string, quantity double, unit_price double"


def purchases(customers: int = 50, products: int = 40, days: int = 120) -> list[tuple[object, ...]]:
    """Lines of customers who mostly buy favourites of their own half of the assortment, and change them once."""
    rng = np.random.default_rng(7)
    rows: list[tuple[object, ...]] = []
    for customer in range(customers):
        half = products // 2 * (customer % 2)
        liked = half + rng.choice(products // 2, size=12, replace=False)
        for visit in sorted(rng.choice(days, size=11, replace=False)):
            favourites = liked[:6] if visit < days // 2 else liked[6:]
            anything = half + rng.integers(products // 2, size=1)
            for product in {*rng.choice(favourites, size=3, replace=False), *anything}:
                when = FIRST + timedelta(days=int(visit))
                rows.append((f"{customer}-{visit}", when, f"p{product:02d}", f"c{customer:02d}", 1.0, 2.5))
    return rows


def sales(spark: SparkSession, rows: list[tuple[object, ...]]) -> DataFrame:
    frame = (
        spark.createDataFrame(pd.DataFrame(rows, columns=[c.split()[0] for c in _RAW.split(", ")]), _RAW)
        if rows
        else frame_of_rows(spark, [], _RAW)
    )
    for column in SALES.columns:
        if column.name not in frame.columns:
            filler = {"store_id": "web", "source": "made_up"}.get(column.name)
            frame = frame.withColumn(column.name, F.lit(filler).cast(column.type))
    hashed = F.md5(F.concat_ws("|", "order_id", "product_id", "customer_id"))
    return frame.withColumn("sale_id", hashed).withColumn("row_hash", hashed).transform(SALES.select)


@dataclass(frozen=True)
class GivenRun(Run):
    """A run whose inputs are at hand: no Delta table has to be written first."""

    given: Mapping[str, DataFrame] = field(default_factory=dict)

    def read(self, contract: Contract) -> DataFrame:
        return self.given[contract.name]

    def has(self, contract: Contract) -> bool:
        return contract.name in self.given


def given_run(
    lake: Lake,
    rows: list[tuple[object, ...]],
    *,
    as_of: date,
    champion: Champion | None = None,
    others: Mapping[Contract, DataFrame] = MappingProxyType({}),
) -> GivenRun:
    return GivenRun(
        id="given",
        job="recommend",
        known_until=as_of,
        seed=42,
        spark=lake.spark,
        lake=lake,
        settings=Settings(),
        pins={},
        last_pins={},
        progress=Progress("recommend", quiet=True),
        champion=champion,
        given={SALES.name: sales(lake.spark, rows)} | {contract.name: frame for contract, frame in others.items()},
    )


def writes_of(outcome: Outcome, verdict: Verdict | None = None) -> tuple[Write, ...]:
    if verdict is None:
        assert isinstance(outcome.tables, tuple)
        return outcome.tables
    assert callable(outcome.tables)
    return outcome.tables(verdict)


def rows_of(outcome: Outcome, verdict: Verdict | None = None) -> list[tuple[str, str, int, str, str]]:
    found = writes_of(outcome, verdict)[0].frame.collect()
    return sorted((r["list"], r.customer_id, r["rank"], r.product_id, r.strategy) for r in found)


RULES = {"excluded_categories": ("c0",), "max_per_category": 2, "explored": 0, "content_neighbours": 0}


@pytest.mark.slow
def test_the_job_learns_registers_and_writes_two_lists_a_customer(lake: Lake) -> None:
    described = [{"product_id": f"p{at:02d}", "category": f"c{at % 4}"} for at in range(40)]
    carry_out(lake, replace_slice(SALES, sales(lake.spark, purchases()), source="made_up"), run_id="input")
    carry_out(lake, replace_slice(PRODUCTS, filled(lake.spark, PRODUCTS, described), source="made_up"), run_id="goods")
    whole = create_model("Whole", __base__=Settings, recommend=(JobSettings, JobSettings(**SMALL, **RULES)))
    settings = whole(lake=LakeSettings(root=lake.root))

    first = run_job(JOB, settings, spark=lake.spark, progress=Progress("recommend", quiet=True))
    assert first.status == "done"
    assert first.metrics["ndcg_at_5"] > first.metrics["ndcg_at_5_popular"]
    best = max(v for name, v in first.metrics.items() if name in {f"ndcg_at_5_{rival}" for rival in BASELINES["all"]})
    assert first.metrics["ndcg_at_5_served"] >= best
    rows = lake.read(RECOMMENDATIONS.table)
    shown = {(r["list"], r.customer_id): r["count"] for r in rows.groupBy("list", "customer_id").count().collect()}
    assert len(shown) == 2 * 51
    assert set(shown.values()) == {5}
    bought = {(customer, product) for _, _, product, customer, *_ in purchases()}
    discover = {(r.customer_id, r.product_id) for r in rows.where("list = 'discover'").collect()}
    assert not discover & bought
    assert_the_model_answers_as_the_table(settings, rows)


def assert_the_model_answers_as_the_table(settings: Settings, rows: DataFrame) -> None:
    """Every row of every customer, under the business rules: what may be shown holds for both."""
    from retail_spark.registry.connection import Connection

    with Connection.of(settings).talking() as client:
        model = mlflow.pyfunc.load_model("models:/retail_spark_recommend@champion")
        version = client.get_model_version_by_alias("retail_spark_recommend", "champion")
        als = mlflow.spark.load_model(f"runs:/{version.run_id}/spark_model").stages[0]
    assert als.rank == SMALL["rank"]
    assert als.itemFactors.count() == len({product for _, _, product, *_ in purchases()})

    def answer(asked: object) -> dict[tuple[str, str, int], str]:
        return {(r.list, r.customer_id, r.rank): r.product_id for r in model.predict(asked).itertuples()}

    table = {(r["list"], r.customer_id, r["rank"]): r.product_id for r in rows.collect()}
    everybody = sorted({customer for _, customer, _ in table})
    assert answer(pd.DataFrame({"customer_id": everybody})) == table
    assert {int(product[1:]) % 4 for product in table.values()} == {1, 2, 3}
    one = {key: product for key, product in table.items() if key[1] == "c07"}
    for asked in ({"customer_id": "c07"}, {"customer_id": ["c07"]}, pd.DataFrame({"customer_id": ["c07", "c07"]})):
        assert answer(asked) == one
    nobody = {key: product for key, product in table.items() if key[1] == "*"}
    assert answer(pd.DataFrame({"customer_id": ["c07", None]})) == one | nobody
    picked = model.predict(pd.DataFrame({"customer_id": ["c07"], "candidate_product_ids": [["p01", "p00", "p02"]]}))
    assert set(picked.query("list == 'all'").product_id) == {"p01", "p02"}, "category c0 is excluded"


def furniture(customers: int = 150, products: int = 60, days: int = 120) -> list[tuple[object, ...]]:
    """Customers of two tastes who come eight times for two products of theirs, none of them twice."""
    rng = np.random.default_rng(11)
    half = products // 2
    weights = 1.0 / np.arange(1, half + 1)
    rows: list[tuple[object, ...]] = []
    for customer in range(customers):
        wanted = rng.choice(half, size=16, replace=False, p=weights / weights.sum()) + half * (customer % 2)
        wanted = rng.permutation(wanted)
        for visit, day in enumerate(sorted(rng.choice(days, size=8, replace=False))):
            for product in wanted[2 * visit : 2 * visit + 2]:
                when = FIRST + timedelta(days=int(day))
                rows.append((f"{customer}-{visit}", when, f"p{product:02d}", f"c{customer:03d}", 1.0, 2.5))
    return rows


@pytest.mark.slow
def test_where_nobody_buys_a_thing_twice_list_all_shows_what_is_new(lake: Lake) -> None:
    outcome = recommend(given_run(lake, furniture(), as_of=date(2024, 4, 29)), JobSettings(rank=8, iterations=5))
    found = outcome.metrics
    assert outcome.model is not None
    for ending, name in (("", "all"), ("_discover", "discover")):
        best = max(found[f"ndcg_at_10{ending}_{rival}"] for rival in BASELINES[name])
        assert found[f"ndcg_at_10{ending}_served"] >= best
    assert found["ndcg_at_10"] > 1.1 * found["ndcg_at_10_popular_new"] > 2 * found["ndcg_at_10_personal"]
    verdict = decide(outcome.model.gate, tolerance=0.01, candidate_version="1", champion=None)
    assert verdict.passed, verdict.notes
    assert {by.name for by in verdict.parts.values()} == {"candidate"}
    rows = writes_of(outcome, verdict)[0].frame.collect()
    has = {(customer, product) for _, _, product, customer, *_ in furniture()}
    assert not has & {(r.customer_id, r.product_id) for r in rows}, "list all leaves out what a customer has"
    assert {r.model_version for r in rows} == {"1"}


@pytest.mark.slow
def test_a_champion_of_another_recipe_is_compared_and_can_score(lake: Lake) -> None:
    theirs = JobSettings(**{**SMALL, "rank": 3, "repurchase_scale": 0.0}).recipe()
    champion = Champion("7", "2024-04-01", "earlier", theirs.to_json(), {})
    run = given_run(lake, purchases(), as_of=date(2024, 4, 29), champion=champion)
    outcome = recommend(run, JobSettings(**SMALL))
    assert outcome.model is not None
    gate = outcome.model.gate
    assert gate.champion is not None
    assert gate.champion.mean == pytest.approx(gate.score - outcome.metrics["ndcg_at_5_champion"])
    assert gate.champion.low > 0, "a list without repurchases is clearly worse here"
    by_champion = rows_of(outcome, Verdict(False, "champion", "7", ("worse",)))
    assert {strategy for *_, strategy in by_champion} == {"als", "popular"}
    by_baseline = rows_of(outcome, Verdict(False, "baseline", None, ("worse",)))
    assert {strategy for *_, strategy in by_baseline} == {"repurchase", "popular"}
    assert len(by_champion) == len(by_baseline) == 2 * 51 * 5
    parts = {"all": ScoredBy("champion", "7"), "discover": ScoredBy("candidate", "8")}
    mixed = writes_of(outcome, Verdict(False, "champion", "7", ("all: worse",), parts))[0].frame.collect()
    assert {(r["list"], r.model_version) for r in mixed} == {("all", "7"), ("discover", "8")}
    assert len(mixed) == len(by_champion), "one scorer a list"


def test_an_empty_log_says_what_is_missing(lake: Lake) -> None:
    with pytest.raises(InputError, match="no purchase of a known customer"):
        recommend(given_run(lake, [], as_of=date(2024, 1, 1)), JobSettings(**SMALL))


def test_purchases_of_one_day_are_listed_by_the_baseline(lake: Lake) -> None:
    """No split in time is possible, and k is larger than the catalogue: short lists, and no model."""
    rows: list[tuple[object, ...]] = [
        ("1", FIRST, "milk", "ann", 1.0, 1.0),
        ("2", FIRST, "milk", "ann", 1.0, 1.0),
        ("1", FIRST, "tea", "ann", 1.0, 1.0),
        ("3", FIRST, "tea", "bob", 1.0, 1.0),
        ("4", FIRST, "gift", "guest", -1.0, 1.0),
    ]
    outcome = recommend(given_run(lake, rows, as_of=FIRST.date()), JobSettings(**SMALL))
    assert outcome.model is None
    found = rows_of(outcome)
    assert [row for row in found if row[1] == "ann"] == [
        ("all", "ann", 1, "milk", "repurchase"),
        ("all", "ann", 2, "tea", "repurchase"),
    ]
    assert ("discover", "bob", 1, "milk", "popular") in found
    assert [row[2:4] for row in found if row[:2] == ("all", "guest")] == [(1, "tea"), (2, "milk")]


def test_one_customer_is_listed_by_the_baseline(lake: Lake) -> None:
    rows: list[tuple[object, ...]] = [
        (str(day), FIRST + timedelta(days=day), product, "ann", 1.0, 1.0)
        for day, product in ((0, "milk"), (1, "milk"), (2, "tea"), (60, "milk"))
    ]
    outcome = recommend(given_run(lake, rows, as_of=date(2024, 3, 1)), JobSettings(**SMALL))
    assert outcome.model is None
    assert [row[2:] for row in rows_of(outcome) if row[:2] == ("all", "ann")] == [
        (1, "milk", "repurchase"),
        (2, "tea", "repurchase"),
    ]


def filled(spark: SparkSession, contract: Contract, rows: list[dict[str, object]]) -> DataFrame:
    """Rows of a canonical table, what is not given NULL."""
    whole = [tuple(({"source": "made_up", "row_hash": "x"} | row).get(name) for name in contract.names) for row in rows]
    return frame_of_rows(spark, whole, contract.schema)


@pytest.mark.slow
def test_rules_of_the_business_and_cold_starts_shape_the_lists(lake: Lake) -> None:
    spark = lake.spark
    described = [
        {"product_id": f"p{at:02d}", "product_name": f"thing number{at}", "category": f"c{at % 4}"} for at in range(40)
    ]
    fresh = {"product_id": "new", "product_name": "thing number39", "category": "c1", "introduced_on": date(2024, 4, 1)}
    gone = {"product_id": "gone", "category": "c1", "discontinued_on": date(2024, 1, 1)}
    others = {
        PRODUCTS: filled(spark, PRODUCTS, [*described, fresh, gone]),
        CUSTOMERS: filled(
            spark, CUSTOMERS, [{"customer_id": "guest", "home_store_id": "web"}, {"customer_id": "lost"}]
        ),
    }
    run = given_run(lake, purchases(), as_of=date(2024, 4, 29), others=others)
    rules = {"excluded_categories": ("c0",), "max_per_category": 2, "explored": 1, "min_place_customers": 10}
    outcome = recommend(run, JobSettings(**{**SMALL, **rules, "search_trials": 1}))
    assert {t["metrics"].keys() & {"ndcg_als", "ndcg_all", "ndcg_discover"} != set() for t in outcome.trials} == {True}
    assert sum("ndcg_als" in t["metrics"] for t in outcome.trials) == 2
    lists, similar, customer_numbers, product_numbers = writes_of(outcome, Verdict(True, "candidate", "1", ()))
    rows = lists.frame.collect()
    category = {str(d["product_id"]): str(d["category"]) for d in (*described, fresh, gone)}
    assert {"c1", "c2", "c3"} == {category[r.product_id] for r in rows}
    of_list: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        of_list.setdefault((row["list"], row.customer_id), []).append(category[row.product_id])
    known = {name: shown for name, shown in of_list.items() if name[1].startswith("c")}
    assert all(shown.count(c) <= 3 for shown in known.values() for c in set(shown)), "two, and one explored"
    explored = [r for r in rows if r.product_id == "new" and r["list"] == "discover" and r.customer_id.startswith("c")]
    assert {r.strategy for r in explored} <= {"explore", "content"}
    assert len(explored) == 50
    guest = {(r.strategy, r.store_id) for r in rows if r.customer_id == "guest"}
    assert guest == {("popular_store", "web")}
    assert {r.strategy for r in rows if r.customer_id in ("lost", "*")} == {"popular"}
    methods = {r.method: r.n for r in similar.frame.groupBy("method").agg(F.count(F.lit(1)).alias("n")).collect()}
    assert set(methods) == {"factors", "co_purchase", "bought_together"}
    assert customer_numbers.frame.count() == 50
    assert product_numbers.frame.where("product_id = 'new'").count() == 1


@pytest.mark.slow
def test_rules_that_leave_nothing_are_refused(lake: Lake) -> None:
    rows = [{"product_id": f"p{at:02d}", "category": "c"} for at in range(40)]
    run = given_run(
        lake, purchases(customers=3), as_of=date(2024, 4, 29), others={PRODUCTS: filled(lake.spark, PRODUCTS, rows)}
    )
    with pytest.raises(UsageError, match="leave no product"):
        recommend(run, JobSettings(**{**SMALL, "excluded_categories": ("c",), "min_test_customers": 1000}))
    with pytest.raises(InputError, match=r"silver\.inventory"):
        recommend(run, JobSettings(**{**SMALL, "only_in_stock": True, "min_test_customers": 1000}))
