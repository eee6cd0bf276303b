"""MovieLens-100k by the protocol of the recommenders project, with its published rows beside ours.

75 % of the ratings of every film train, 25 % test (a pandas shuffle a film, seed 42); what a user rated in training is
left out; k is 10; MAP is divided by all relevant films. ALS's settings are chosen on a split of the training ratings
made the same way: the test ratings are looked at once.

    python -m tests.benchmarks.recommend_movielens --ratings PATH/u.data

The file has tab-separated user, item, rating, timestamp. It is not part of this project's data.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession

from retail_spark.config.section import LakeSettings, Settings
from retail_spark.domains.recommend.als import learn_factors
from retail_spark.domains.recommend.models.blend import (
    PRODUCT_FEATURES,
    Blend,
    Customers,
    Products,
    Recipe,
    rank_products,
)
from retail_spark.domains.recommend.settings import JobSettings
from retail_spark.spark.session import get_session

K = 10
SEED = 42
PUBLISHED = (("BiVAE (published)", 0.146, 0.475), ("to reach", 0.153, 0.489))
GRID = tuple(itertools.product((32, 64, 96), (0.03, 0.1, 0.3), (1.0, 4.0, 16.0)))
POPULAR_WEIGHTS = (0.0, 0.1, 0.3)


@dataclass(frozen=True)
class Trained:
    """Factors as matrices over the users and films of the training ratings."""

    users: list[int]
    products: Products
    factors: np.ndarray


def split_by_item(ratings: pd.DataFrame, *, share: float = 0.75, seed: int = SEED) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test ratings: every item's rows shuffled with the seed, then cut at the share, rounded."""
    train, test = [], []
    for _, rows in ratings.groupby("item"):
        shuffled = rows.sample(frac=1, random_state=seed)
        cut = round(share * len(shuffled))
        train.append(shuffled.iloc[:cut])
        test.append(shuffled.iloc[cut:])
    return pd.concat(train), pd.concat(test)


def metrics(lists: dict[int, list[int]], relevant: dict[int, set[int]], *, k: int = K) -> dict[str, float]:
    """Means over the users who have relevant items: MAP over all relevant, nDCG, precision and recall at k."""
    rows = []
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    for user, wanted in relevant.items():
        if user not in lists:
            continue  # unknown in training: no list is asked for, as in the protocol
        hits = np.asarray([item in wanted for item in lists[user][:k]] + [False] * k)[:k]
        precisions = np.cumsum(hits) / np.arange(1, k + 1)
        rows.append(
            (
                float((precisions * hits).sum() / len(wanted)),
                float((gains * hits).sum() / gains[: min(k, len(wanted))].sum()),
                float(hits.mean()),
                float(hits.sum() / len(wanted)),
            )
        )
    return dict(zip(("map", "ndcg", "precision", "recall"), np.mean(rows, axis=0).tolist(), strict=True))


def train(spark: SparkSession, ratings: pd.DataFrame, *, recipe: Recipe) -> Trained:
    """Implicit ALS: a rating is the confidence in a preference."""
    frame = pd.DataFrame(
        {"customer_no": ratings["user"].astype("int32"), "product_no": ratings["item"].astype("int32"),
         "rating": ratings["rating"].astype("float64")}
    )  # fmt: skip
    learned = learn_factors(spark.createDataFrame(frame), recipe=recipe, seed=SEED, checkpoint_interval=10)
    users = learned.customers.toPandas().sort_values("id")
    items = learned.products.toPandas().sort_values("id")
    counts = ratings.groupby("item").size().reindex(items["id"]).to_numpy(dtype=np.float32)
    features = dict.fromkeys(PRODUCT_FEATURES, counts / counts.max())
    products = Products(items["id"].to_numpy(dtype=object), np.stack(items["features"]).astype(np.float32), features)
    return Trained(users["id"].tolist(), products, np.stack(users["features"]).astype(np.float32))


def lists_of(trained: Trained, ratings: pd.DataFrame, *, popular: float) -> dict[int, list[int]]:
    """The best K items of every user, what they rated left out."""
    row_of = {user: at for at, user in enumerate(trained.users)}
    place_of = {item: at for at, item in enumerate(trained.products.ids)}
    seen = ratings[["user", "item"]].drop_duplicates()
    row = seen["user"].map(row_of).to_numpy(dtype=np.int32)
    place = seen["item"].map(place_of).to_numpy(dtype=np.int32)
    order = np.argsort(row, kind="stable")
    ones = np.ones(len(row), dtype=np.float32)
    customers = Customers(trained.factors, row[order], place[order], ones, ones)
    blend = Blend(als_scale=1.0, popularity="popular_ever", popularity_scale=popular)
    found = rank_products(customers, trained.products, blend=blend, k=K, only_new=True)
    return {
        user: [int(trained.products.ids[p]) for p, s in zip(found.places[at], found.scores[at], strict=True) if s >= 0]
        for user, at in row_of.items()
    }


def relevant_of(ratings: pd.DataFrame) -> dict[int, set[int]]:
    return {int(user): set(items) for user, items in ratings.groupby("user")["item"]}


def choose(spark: SparkSession, train_ratings: pd.DataFrame, *, grid: tuple = GRID) -> tuple[Recipe, float]:  # type: ignore[type-arg]
    """The recipe and the weight of popularity with the best nDCG on a split of the training ratings."""
    inner, held = split_by_item(train_ratings)
    best: tuple[float, Recipe, float] | None = None
    for rank, ridge, alpha in grid:
        recipe = JobSettings(rank=rank, reg_param=ridge, alpha=alpha, iterations=15).recipe()
        trained = train(spark, inner, recipe=recipe)
        for popular in POPULAR_WEIGHTS:
            score = metrics(lists_of(trained, inner, popular=popular), relevant_of(held))["ndcg"]
            if best is None or score > best[0]:
                best = (score, recipe, popular)
    assert best is not None
    return best[1], best[2]


def report(spark: SparkSession, ratings: pd.DataFrame, *, grid: tuple = GRID) -> dict[str, float]:  # type: ignore[type-arg]
    """Chooses, trains once on all training ratings, measures once on the test ratings, prints the table."""
    train_ratings, test_ratings = split_by_item(ratings)
    recipe, popular = choose(spark, train_ratings, grid=grid)
    trained = train(spark, train_ratings, recipe=recipe)
    found = metrics(lists_of(trained, train_ratings, popular=popular), relevant_of(test_ratings))
    print(
        f"chosen on training ratings: rank {recipe.rank}, reg_param {recipe.reg_param}, alpha {recipe.alpha}, ", end=""
    )
    print(f"popularity {popular}")
    print(f"{'':20}{'MAP':>8}{'nDCG@10':>9}{'P@10':>8}{'R@10':>8}")
    print(f"{'ALS and popularity':20}" + "".join(f"{found[m]:8.4f}" for m in ("map", "ndcg", "precision", "recall")))
    for name, average, ndcg in PUBLISHED:
        print(f"{name:20}{average:8.3f}{ndcg:9.3f}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratings", type=Path, required=True)
    given = parser.parse_args()
    if not given.ratings.is_file():
        sys.exit(f"{given.ratings} is not there: give the path of MovieLens-100k's u.data")
    ratings = pd.read_csv(given.ratings, sep="\t", names=["user", "item", "rating", "timestamp"])
    with tempfile.TemporaryDirectory() as folder:
        report(get_session(Settings(lake=LakeSettings(root=folder))), ratings)


if __name__ == "__main__":
    main()
