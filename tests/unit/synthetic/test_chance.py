from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.synthetic.chance import Chance, cuts_of, draw_of, label, one_of, shares_of
from retail_spark.synthetic.lottery import to_slots

DRAWS = 20_000


@pytest.fixture(scope="module")
def draws(spark: SparkSession) -> pd.DataFrame:
    chance, other, key = Chance(1), Chance(2), F.col("id")
    mean = F.lit(0.8)
    return (
        spark.range(DRAWS, numPartitions=2)
        .select(
            chance.uniform("u", key).alias("u"),
            chance.uniform("v", key).alias("v"),
            other.uniform("u", key).alias("other_seed"),
            chance.uniform("u", key.cast("int")).alias("narrow_key"),
            chance.normal("n", key).alias("normal"),
            chance.lognormal("l", 0.5, key).alias("lognormal"),
            chance.pick("p", 5, key).alias("pick"),
            chance.geometric("g", 1.5, key).alias("geometric"),
            chance.negative_binomial("nb", mean, 3, key).alias("negative_binomial"),
            chance.happens("h", 0.25, key).alias("happens"),
        )
        .toPandas()
    )


def test_uniform_draws_fill_the_open_interval_evenly(draws: pd.DataFrame) -> None:
    assert draws["u"].between(0, 1, inclusive="neither").all()
    assert draws["u"].mean() == pytest.approx(0.5, abs=0.01)
    assert draws["u"].var() == pytest.approx(1 / 12, abs=0.003)


def test_draws_of_other_names_or_seeds_are_unrelated(draws: pd.DataFrame) -> None:
    related = np.corrcoef(draws[["u", "v", "other_seed", "normal"]].to_numpy().T)
    assert np.abs(related - np.eye(4)).max() < 0.03


def test_a_key_of_another_width_gives_the_same_draw(draws: pd.DataFrame) -> None:
    assert (draws["u"] == draws["narrow_key"]).all()


def test_normal_and_lognormal_draws_have_their_moments(draws: pd.DataFrame) -> None:
    assert draws["normal"].mean() == pytest.approx(0, abs=0.03)
    assert draws["normal"].std() == pytest.approx(1, abs=0.03)
    assert draws["lognormal"].mean() == pytest.approx(1, abs=0.02)


def test_counts_have_their_mean_and_variance(draws: pd.DataFrame) -> None:
    assert draws["geometric"].mean() == pytest.approx(1.5, rel=0.05)
    assert draws["geometric"].var() == pytest.approx(1.5 + 1.5**2, rel=0.1)
    assert draws["negative_binomial"].mean() == pytest.approx(0.8, rel=0.05)
    assert draws["negative_binomial"].var() == pytest.approx(0.8 + 0.8**2 / 3, rel=0.1)
    assert min(draws["geometric"].min(), draws["negative_binomial"].min()) == 0


def test_picks_and_events_have_their_shares(draws: pd.DataFrame) -> None:
    assert sorted(draws["pick"].unique()) == [0, 1, 2, 3, 4]
    assert draws["pick"].value_counts(normalize=True).between(0.18, 0.22).all()
    assert draws["happens"].mean() == pytest.approx(0.25, abs=0.015)


def test_a_choice_falls_by_the_shares(spark: SparkSession) -> None:
    shares = shares_of(F.array(F.lit(1.0), F.lit(2.0), F.lit(1.0)))
    points = frame_of_rows(spark, [(0.1,), (0.26,), (0.74,), (0.76,)], "u double")
    chosen = points.select("u", cuts_of(shares).alias("cuts")).select(draw_of(F.col("cuts"), F.col("u"), choices=3))
    assert [row[0] for row in chosen.collect()] == [0, 1, 1, 2]


def test_labels_pad_and_never_cut(spark: SparkSession) -> None:
    numbers = frame_of_rows(spark, [(7,), (123456,)], "n bigint")
    made = numbers.select(label("P", F.col("n"), 4), one_of(("a", None), F.col("n") % 2)).collect()
    assert [tuple(row) for row in made] == [("P0007", None), ("P123456", "a")]


def test_slots_of_a_lottery_are_all_held_in_proportion_to_weight(spark: SparkSession) -> None:
    weighed = frame_of_rows(
        spark, [("a", 1, 10), ("a", 2, 30), ("a", 3, 60), ("b", 4, 5)], "town string, person int, weight bigint"
    )
    held = weighed.transform(to_slots, by=["town"], holder="person", slots=20).toPandas()
    assert sorted(held.query("town == 'a'")["slot"]) == list(range(20))
    assert held.groupby("person")["slot"].count().to_dict() == {1: 2, 2: 6, 3: 12, 4: 20}
