"""The rows of gold.customer_value, gold.churn_risk and gold.customer_segments."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from retail_spark.domains.customers.histories import mean_repeat_spend
from retail_spark.domains.customers.holdout import naive_purchases
from retail_spark.domains.customers.served import ASKED, EXPECTED, WEEK, ValueModel

FIFTHS = 5
_EPOCH = date(1970, 1, 1)


def with_expected(histories: DataFrame, *, model: ValueModel | None, horizon_days: int) -> DataFrame:
    """Adds EXPECTED and the name of the model. Same grain. Without a model the customer's own rate goes on."""
    asked = histories.withColumn("mean_repeat_spend", mean_repeat_spend())
    fields = [*asked.schema.fields, *(T.StructField(name, T.DoubleType()) for name in EXPECTED)]
    name = "naive" if model is None else model.timing.name

    def expect(batches: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
        for batch in batches:
            found = _naive(batch, horizon_days) if model is None else model.answer(batch[list(ASKED)])
            yield pd.concat([batch, found], axis=1)

    expected = asked.mapInPandas(expect, T.StructType(fields))
    real = {name: F.when(~F.isnan(name), F.col(name)) for name in EXPECTED}
    return expected.withColumns(real).withColumn("model", F.lit(name))


def _naive(batch: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
    found = pd.DataFrame(np.nan, index=batch.index, columns=list(EXPECTED))
    x, age = (batch[name].to_numpy(dtype=np.float64) for name in ("x", "age_days"))
    found["expected_purchases"] = naive_purchases(x, age, weeks=horizon_days / WEEK)
    worth = (batch["spend"] / batch["purchases"]).clip(lower=0.0)
    found["purchase_value"] = worth
    found["expected_value"] = found["discounted_value"] = found["expected_purchases"] * worth
    return found


def to_value_rows(expected: DataFrame, *, status: str, error: str | None) -> DataFrame:
    """Rows of gold.customer_value. `status` and `error` are those of the run: ok, or why there is no model."""
    has_spend = F.col("spend") > 0
    money = ("purchase_value", "expected_value", "value_low", "value_high", "discounted_value")
    gone = F.lit("nothing is left of the spend after returns, or it was in another currency")
    return expected.withColumns({
        **{name: F.when(has_spend, F.col(name)) for name in money},
        "quiet_days": F.col("age_days") - F.col("t_x_days"),
        "mean_days_between": F.when(F.col("t_x_days") > 0, F.col("t_x_days") / F.col("x")),
        "status": F.when(has_spend, F.lit(status)).otherwise("no_spend"),
        "error": F.when(has_spend, F.lit(error)).otherwise(gone),
    })  # fmt: skip


def to_churn_rows(expected: DataFrame) -> DataFrame:
    """Rows of gold.churn_risk, with the reason in words."""
    alive = F.col("p_alive")
    band = F.when(alive < 0.3, "high").when(alive < 0.7, "medium").when(alive.isNotNull(), "low").otherwise("unknown")
    return expected.withColumns({"risk_band": band, "reason": _reason()})


def _reason() -> Column:
    quiet = (F.col("age_days") - F.col("t_x_days")).cast("string")
    once = F.concat(F.lit("bought once, "), quiet, F.lit(" days ago"))
    pace = F.round(F.col("t_x_days") / F.col("x")).cast("int").cast("string")
    many = F.concat(F.lit("bought every "), pace, F.lit(" days, now "), quiet, F.lit(" days quiet"))
    return F.when(F.col("x") > 0, many).otherwise(once)


def to_segments(histories: DataFrame) -> DataFrame:
    """Rows of gold.customer_segments: fifths of recency, frequency and spend, and the first rule that holds.

    champions: bought lately (5), often (4 or more) and much (4 or more). loyal: often (4 or more), and lately enough
    (3 or more). new: a single purchase, lately (5). promising: lately (4 or more). at_risk: often (3 or more), but not
    for long (2 or less). hibernating: not for long (2 or less).
    """
    scores = _fifths(histories)
    recency, frequency, monetary = (F.col(name) for name in scores)
    segment = (
        F.when((recency == FIFTHS) & (frequency >= 4) & (monetary >= 4), "champions")
        .when((frequency >= 4) & (recency >= 3), "loyal")
        .when((F.col("purchases") == 1) & (recency == FIFTHS), "new")
        .when(recency >= 4, "promising")
        .when((recency <= 2) & (frequency >= 3), "at_risk")
        .when(recency <= 2, "hibernating")
        .otherwise("others")
    )
    return histories.withColumns(scores).withColumn("segment", segment)


def _fifths(histories: DataFrame) -> dict[str, Column]:
    """Scores 1 to 5: one more for each of the four bounds between fifths of customers that lies below the value."""
    days = F.datediff("last_day", F.lit(_EPOCH))
    judged = {"recency_score": days, "frequency_score": F.col("purchases"), "monetary_score": _three_digits("spend")}
    shares = F.array(*(F.lit(n / FIFTHS) for n in range(1, FIFTHS)))
    row = histories.agg(*(F.percentile(value, shares).alias(name) for name, value in judged.items())).collect()[0]
    return {
        name: sum(((value > F.lit(bound)).cast("int") for bound in row[name] or ()), F.lit(1))
        for name, value in judged.items()
    }


def _three_digits(name: str) -> Column:
    """The amount in three digits, so that an exact percentile keeps a bounded number of them; below 0 it is 0."""
    unit = F.pow(F.lit(10.0), F.floor(F.log10(F.col(name))) - 2)
    return F.when(F.col(name) > 0, F.round(F.col(name) / unit) * unit).otherwise(0.0)
