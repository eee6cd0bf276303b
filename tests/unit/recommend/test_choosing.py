"""Which blends are tried, which are taken, and who makes each list."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retail_spark.domains.recommend.evaluate import METRICS, Means
from retail_spark.domains.recommend.holdout import HeldOut
from retail_spark.domains.recommend.scoring.lists import Wanted
from retail_spark.domains.recommend.select import _all_blends, _best_blends, _discover_blends
from retail_spark.domains.recommend.settings import JobSettings
from retail_spark.domains.recommend.train import BASELINES
from retail_spark.modelling.gate import decide

RECIPE = JobSettings().recipe()


def test_the_blends_of_the_settings_come_first_and_every_baseline_is_among_them() -> None:
    everything, discover = _all_blends(RECIPE.all, None), _discover_blends(RECIPE.discover)
    assert (everything[0], discover[0]) == (RECIPE.all, RECIPE.discover)
    assert all(blend in everything for blend in BASELINES["all"].values())
    assert all(blend in discover for blend in BASELINES["discover"].values())
    assert len({blend.popularity_scale for blend in discover}) > 3
    assert len(discover) == len({repr(blend) for blend in discover})


def test_where_nobody_buys_twice_list_all_leaves_out_what_a_customer_has() -> None:
    ranked = [
        Wanted("all/0", RECIPE.all, only_new=False),
        Wanted("discover/0", RECIPE.discover, only_new=True),
        Wanted("discover/1", BASELINES["discover"]["popular"], only_new=True),
    ]
    scores = {"all/0": 0.0045, "discover/0": 0.19, "discover/1": 0.12}
    best, tried = _best_blends(ranked, {"any": scores, "new": scores})
    assert best["discover"] == RECIPE.discover
    assert (best["all"].leaves_out_bought, best["all"].als_scale) == (True, RECIPE.discover.als_scale)
    assert [t["metrics"].get("ndcg_all") for t in tried] == [0.0045, None, 0.19, None, 0.12]


def held_out(**scores: float) -> HeldOut:
    """Rivals such as all_popular with their nDCG, known so exactly that every difference is clear."""
    given = {f"{name}/{rival}": 0.05 for name, blends in BASELINES.items() for rival in blends}
    given |= {key.replace("_", "/", 1): value for key, value in scores.items()}
    means = {name: {**dict.fromkeys(METRICS, 0.0), "ndcg": value} for name, value in given.items()}
    samples = {name: np.full((20, len(METRICS)), value) for name, value in given.items()}
    return HeldOut(Means(dict.fromkeys(given, 100), means, samples), {}, 10)


@pytest.mark.parametrize(
    ("scores", "served", "blends"),
    [
        # a far better discover is not thrown away because list all is no better than what customers buy anyway
        (
            {"all_candidate": 0.30, "all_decayed": 0.31, "discover_candidate": 0.6485, "discover_popular": 0.2057},
            {"ndcg_at_10_served": 0.31, "ndcg_at_10_discover_served": 0.6485},
            {"all": BASELINES["all"]["decayed"], "discover": RECIPE.discover},
        ),
        # and a good list all does not bring a discover into service that is no better than popularity
        (
            {"all_candidate": 0.4, "discover_candidate": 0.10, "discover_popular": 0.12},
            {"ndcg_at_10_served": 0.4, "ndcg_at_10_discover_served": 0.12},
            {"all": RECIPE.all, "discover": BASELINES["discover"]["popular"]},
        ),
        # where nobody buys twice, what takes over is popularity, not what customers have
        (
            {"all_candidate": 0.0045, "all_popular_new": 0.1067, "discover_candidate": 0.2},
            {"ndcg_at_10_served": 0.1067, "ndcg_at_10_discover_served": 0.2},
            {"all": BASELINES["all"]["popular_new"], "discover": RECIPE.discover},
        ),
    ],
)  # fmt: skip
def test_one_scorer_a_list(scores: dict[str, float], served: dict[str, float], blends: dict[str, object]) -> None:
    found = held_out(**scores)
    assert found.served(tolerance=0.01) == pytest.approx(served)
    composed = found.composed(RECIPE)
    assert {"all": composed.all, "discover": composed.discover} == blends
    verdict = decide(found.gate(), tolerance=0.01, candidate_version="1", champion=None)
    assert verdict.passed
    for name, by in verdict.parts.items():
        best = RECIPE.blend(name) if by.name == "candidate" else BASELINES[name][by.name]
        assert best == blends[name], "what is registered is what makes the rows"


def test_a_champion_that_is_worse_than_a_baseline_makes_no_list() -> None:
    scores = {"all_candidate": 0.2, "all_popular": 0.3, "all_champion": 0.25}
    found = held_out(**scores, discover_candidate=0.2, discover_champion=0.2)
    assert found.served(tolerance=0.01)["ndcg_at_10_served"] == pytest.approx(0.3)


def test_a_list_that_cannot_be_measured_leaves_the_other_alone() -> None:
    """A shop where nearly nobody buys anything new: list all has its model, discover is what is popular."""
    found = held_out(all_candidate=0.4, discover_candidate=0.9)
    few = replace(found, min_customers=10, means=replace(found.means, customers={"all/candidate": 50}))
    verdict = decide(few.gate(), tolerance=0.01, candidate_version="1", champion=None)
    assert {name: by.name for name, by in verdict.parts.items()} == {"all": "candidate", "discover": "popular"}
    assert verdict.reasons == ("discover: ndcg_at_10 could not be measured; scored by popular",)
    assert few.composed(RECIPE).discover == BASELINES["discover"]["popular"]
    assert few.served(tolerance=0.01) == pytest.approx({"ndcg_at_10_served": 0.4})
    best, _ = _best_blends([Wanted("discover/0", RECIPE.discover, only_new=True)], {"any": {"discover/0": 0.1}})
    assert set(best) == {"all"}, "discover keeps the settings' blend"
