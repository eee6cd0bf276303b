"""What is taken over from the run before is what would be worked out again."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.domains.forecast.candidates import tried_rows
from retail_spark.domains.forecast.series.availability import OPENING
from retail_spark.domains.forecast.series.frame import KEPT, Frame
from retail_spark.domains.forecast.train import TRIED
from retail_spark.domains.forecast.warm_start import to_trials, with_fingerprint, with_kept
from tests.unit.forecast.shop import packed_of, recipe_of

FRAME = Frame(recipe_of(models=("mean", "ses")), end=100, periods=12)
LISTED = {
    "north/milk": [3.0, 5.0, 4.0, 6.0, 0.0, 2.0, 8.0, 4.0, 5.0, 3.0, 6.0, 7.0],
    "south/milk": [1.0, 0.0, 0.0, 2.0, 0.0, 1.0, 0.0, 0.0, 3.0, 0.0, 0.0, 1.0],
    "north/rye": [9.0, 9.0, 8.0, 9.0, 7.0, 9.0, 9.0, 8.0, 9.0, 9.0, 9.0, 8.0],
}


def test_kept_trials_are_those_that_would_be_made_again() -> None:
    packed = packed_of(LISTED)
    fresh = tried_rows(packed, FRAME, ())
    local = len(FRAME.recipe.models)
    told = [np.reshape(v, (len(FRAME.cuts), -1, 2))[:, :local].ravel() for v in fresh["values"]]
    kept = packed.sort_values(["store_id", "product_id"]).assign(**{KEPT: told})
    kept.loc[kept["product_id"] == "rye", KEPT] = None
    again = tried_rows(kept.sample(frac=1, random_state=1), FRAME, ())
    np.testing.assert_array_equal(np.stack(again["values"]), np.stack(fresh["values"]))


def test_kept_trials_are_believed() -> None:
    packed = packed_of({"north/milk": LISTED["north/milk"]})
    width = len(FRAME.cuts) * len(FRAME.recipe.models) * FRAME.recipe.horizon
    found = tried_rows(packed.assign(**{KEPT: [np.full(width, 77.0)]}), FRAME, ())
    assert (np.reshape(found["values"][0], (len(FRAME.cuts), -1, 2))[:, : len(FRAME.recipe.models)] == 77.0).all()


def test_a_late_sale_touches_its_own_product_alone(spark: SparkSession) -> None:
    changed = {**LISTED, "south/milk": [2.0, *LISTED["south/milk"][1:]]}
    before, after = (_marks(spark, packed_of(rows)) for rows in (LISTED, changed))
    assert before["north/rye"] == after["north/rye"]
    assert before["north/milk"] != after["north/milk"]
    assert before["south/milk"] != after["south/milk"]


def test_plans_and_the_week_that_goes_on_touch_nothing(spark: SparkSession) -> None:
    packed = packed_of(LISTED)
    later = packed.copy()
    for name in ("period", "quantity", "out", "price", "planned_price"):
        more = {"period": 101, "quantity": 4.0, "planned_price": 2.5}.get(name, float("nan"))
        later[name] = [[*values, more] for values in packed[name]]
    assert _marks(spark, packed) == _marks(spark, later)


def test_trials_come_back_through_the_table(spark: SparkSession) -> None:
    packed = _frame_of(spark, packed_of(LISTED)).transform(with_fingerprint, frame=FRAME)
    tried = tried_rows(packed.toPandas(), FRAME, ())
    stored = spark.createDataFrame(tried[TRIED.names].assign(broken="", values=[list(v) for v in tried["values"]])
                                   [["store_id", "product_id", "fingerprint", "values"]])  # fmt: skip
    met = packed.transform(with_kept, to_trials(stored, frame=FRAME)).toPandas()
    assert met[KEPT].notna().all()
    again = tried_rows(met, FRAME, ())
    np.testing.assert_array_equal(np.stack(again["values"]), np.stack(tried["values"]))


def _frame_of(spark: SparkSession, packed: pd.DataFrame) -> DataFrame:
    """Packed series as the job has them, of which nothing is said about opening."""
    unknown = {name: F.lit(None).cast("double") for name in OPENING} | {"closed": F.lit(None).cast("array<double>")}
    return spark.createDataFrame(packed).withColumns(unknown)


def _marks(spark: SparkSession, packed: pd.DataFrame) -> dict[str, str]:
    rows = _frame_of(spark, packed).transform(with_fingerprint, frame=FRAME).collect()
    return {f"{row['store_id']}/{row['product_id']}": row["fingerprint"] for row in rows}
