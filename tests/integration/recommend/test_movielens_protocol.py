"""The script of the MovieLens protocol, on made-up ratings: the file itself is not at hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from tests.benchmarks.recommend_movielens import metrics, report, split_by_item


def made_up(users: int = 40, items: int = 30) -> pd.DataFrame:
    """Users of two tastes, who rate items of their own half."""
    rng = np.random.default_rng(5)
    rows = [
        (user, items // 2 * (user % 2) + int(item), int(rng.integers(3, 6)), 0)
        for user in range(users)
        for item in rng.choice(items // 2, size=10, replace=False)
    ]
    return pd.DataFrame(rows, columns=["user", "item", "rating", "timestamp"])


def test_the_split_cuts_every_item_and_loses_no_rating() -> None:
    ratings = made_up()
    train, test = split_by_item(ratings)
    assert len(train) + len(test) == len(ratings)
    assert not set(train.index) & set(test.index)
    sizes, kept = ratings.groupby("item").size(), train.groupby("item").size()
    assert (kept == (0.75 * sizes).round()).all()


def test_metrics_by_hand() -> None:
    found = metrics({1: [7, 8, 9], 2: [7]}, {1: {8, 9, 5}, 2: {7}, 3: {7}}, k=3)
    gains = [1.0, 1 / np.log2(3), 0.5]
    assert found["map"] == pytest.approx(((1 / 2 + 2 / 3) / 3 + 1) / 2)
    assert found["ndcg"] == pytest.approx(((gains[1] + gains[2]) / sum(gains) + 1) / 2)
    assert (found["precision"], found["recall"]) == pytest.approx(((2 / 3 + 1 / 3) / 2, (2 / 3 + 1) / 2))


@pytest.mark.slow
def test_the_script_tells_the_tastes_apart(spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(spark, made_up(), grid=((4, 0.1, 4.0),))
    assert found["recall"] > 0.6, "by chance a third of the unseen"
    assert "BiVAE" in capsys.readouterr().out
