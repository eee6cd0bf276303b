"""The job `customers`: what customers will be worth, who has left, and when they buy next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.customers.cohorts import second_purchases, subscription_ends, to_cohorts, to_curves
from retail_spark.domains.customers.histories import mean_repeat_spend, to_days, to_histories, to_later
from retail_spark.domains.customers.holdout import BASELINES, HeldOut, to_held_out, value_metrics
from retail_spark.domains.customers.outputs import to_churn_rows, to_segments, to_value_rows, with_expected
from retail_spark.domains.customers.served import ASKED, ValueModel
from retail_spark.domains.customers.settings import JobSettings
from retail_spark.domains.customers.train import Fitted, fit, to_cells
from retail_spark.engine.job import Job, Outcome, Run, job
from retail_spark.errors import InputError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.contract import Contract
from retail_spark.lake.write import Write, replace_slice
from retail_spark.modelling.artifact import ModelFiles
from retail_spark.modelling.contest import Candidate
from retail_spark.modelling.gate import Verdict
from retail_spark.tables.customers import (
    CHURN_RISK,
    COHORT_RETENTION,
    CUSTOMER_MODELS,
    CUSTOMER_SEGMENTS_TABLE,
    CUSTOMER_VALUE,
    SURVIVAL_CURVES,
)
from retail_spark.tables.silver import SALES
from retail_spark.tables.subscriptions import SUBSCRIPTIONS

_LONGEST_HOLDOUT_DAYS = 182
_FEWEST_DAYS = 28


@dataclass(frozen=True)
class Data:
    """Purchase days, the histories up to as_of, and the first day of all."""

    days: DataFrame
    histories: DataFrame
    first_day: date


def customers(run: Run, settings: JobSettings) -> Outcome:
    """Fits up to the held-out window, measures in it, and refits up to as_of.

    Raises InputError when no known customer has bought. Too few customers who came again are no error: then nothing
    is registered, and the customers' own rates make the rows.
    """
    data = _data(run, settings)
    with run.progress.step("hold-out"):
        measured = _measured(run, settings, data)
    with run.progress.step("fit"):
        cells = to_cells(data.histories)
        fitted = fit(data.histories, cells, settings=settings, seed=run.seed, compare=True)
    return Outcome(
        tables=lambda verdict: _tables(run, settings, data, _scorer(run, verdict, fitted), fitted),
        metrics={} if measured is None else measured.metrics,
        model=None if fitted is None or measured is None else _candidate(data, fitted, measured, run),
    )


JOB: Job = job(
    "customers",
    settings=JobSettings,
    reads=(SALES,),
    optional=(SUBSCRIPTIONS,),
    writes=(
        CUSTOMER_VALUE,
        CHURN_RISK,
        CUSTOMER_SEGMENTS_TABLE,
        COHORT_RETENTION,
        SURVIVAL_CURVES,
        CUSTOMER_MODELS,
    ),
    learns=True,
)(customers)


def _data(run: Run, settings: JobSettings) -> Data:
    sales = run.read(SALES).where(F.col("customer_id").isNotNull())
    counted = sales.groupBy("currency").agg(F.count(F.lit(1)).alias("lines")).collect()  # a handful of currencies
    by_lines = sorted(counted, key=lambda row: (-row["lines"], row["currency"] or ""))
    currency = by_lines[0]["currency"] if by_lines else None
    days = run.stage("days", to_days(sales, time_zone=settings.time_zone, currency=currency))
    histories = run.stage("histories", to_histories(days, until=run.as_of))
    first = histories.agg(F.min("first_day").alias("day")).collect()[0]["day"]
    if first is None:
        raise InputError(
            f"{SALES.name} holds no purchase of a known customer up to {run.as_of}.",
            fix="map customer_id and quantity (> 0) in the source, or use a later --as-of",
        )
    return Data(days, histories, first)


@dataclass(frozen=True)
class Measured:
    """The held-out window, the model that was fitted before it, and what is told of both."""

    held_out: HeldOut
    model: ValueModel
    metrics: dict[str, float]


def _measured(run: Run, settings: JobSettings, data: Data) -> Measured | None:
    """None where the log is too short, or too few came again before the window."""
    span = (run.as_of - data.first_day).days
    window = settings.holdout_days or min(_LONGEST_HOLDOUT_DAYS, span // 3)
    cut = run.as_of - timedelta(days=window)
    if window < _FEWEST_DAYS or cut <= data.first_day:
        return None
    histories = run.stage("early", to_histories(data.days, until=cut))
    early = fit(histories, to_cells(histories), settings=settings, seed=run.seed, compare=False)
    if early is None:
        return None
    later = run.stage("later", to_later(data.days, after=cut, until=run.as_of))
    held_out = to_held_out(histories, later, days=window)
    model = early.model
    within = replace(model, recipe=replace(model.recipe, horizon_days=window))
    expected = with_expected(histories, model=within, horizon_days=window).select(
        "customer_id",
        F.coalesce("expected_value", F.lit(0.0)).alias("value"),
        (F.greatest("spend", F.lit(0.0)) / F.greatest("age_days", F.lit(7)) * window).alias("naive"),
    )
    rmse = {f"rmse_purchases_{name}": held_out.rmse(name) for name in BASELINES}
    metrics = {"rmse_purchases": held_out.rmse(model), "bias_purchases": held_out.bias(model), **rmse}
    return Measured(held_out, model, metrics | value_metrics(expected, later))


def _candidate(data: Data, fitted: Fitted, measured: Measured, run: Run) -> Candidate:
    model = fitted.model
    asked = data.histories.withColumn("mean_repeat_spend", mean_repeat_spend())
    example = asked.orderBy("customer_id").select(*ASKED).limit(3).toPandas().astype("float64")
    return Candidate(
        served=ValueModel,
        artifacts=ModelFiles(model.save),
        example=example,
        example_output=model.answer(example),
        gate=measured.held_out.gate(measured.model, has_champion=run.champion is not None),
        recipe=model.recipe.to_json(),
        params={"timing": model.timing.name, **{f"timing_{k}": v for k, v in model.timing.parameters.items()}},
        packages=("scipy",),
    )


def _scorer(run: Run, verdict: Verdict, fitted: Fitted | None) -> tuple[ValueModel | None, str | None]:
    """The model that expects, and its version; None for the naive rate."""
    if verdict.scorer == "candidate" and fitted is not None:
        return fitted.model, verdict.model_version
    if verdict.scorer == "champion" and run.champion is not None:
        return ValueModel.load(run.champion.artifacts), verdict.model_version
    return None, None


def _tables(
    run: Run, settings: JobSettings, data: Data, scorer: tuple[ValueModel | None, str | None], fitted: Fitted | None
) -> tuple[Write, ...]:
    model, version = scorer
    is_few = fitted is None
    expected = with_expected(data.histories, model=model, horizon_days=settings.value.horizon_days)
    expected = run.stage("expected", expected.withColumn("model_version", F.lit(version)))
    value = to_value_rows(
        expected,
        status="too_few_customers" if is_few else "ok",
        error=f"fewer than {settings.fit.min_repeaters} customers came again" if is_few else None,
    )
    counts = to_curves(second_purchases(data.days, data.histories, as_of=run.as_of), curve="second_purchase")
    if run.has(SUBSCRIPTIONS):
        ends = subscription_ends(run.read(SUBSCRIPTIONS), as_of=run.as_of)
        counts = pd.concat([counts, to_curves(ends, curve="subscription")], ignore_index=True)
    frames = {
        CUSTOMER_VALUE: value,
        CHURN_RISK: to_churn_rows(expected),
        CUSTOMER_SEGMENTS_TABLE: to_segments(data.histories),
        COHORT_RETENTION: to_cohorts(data.days, data.histories, as_of=run.as_of),
        SURVIVAL_CURVES: _local(run, SURVIVAL_CURVES, counts),
        CUSTOMER_MODELS: _local(run, CUSTOMER_MODELS, pd.DataFrame() if fitted is None else fitted.parameters),
    }
    return tuple(replace_slice(contract, frame.transform(contract.select)) for contract, frame in frames.items())


def _local(run: Run, contract: Contract, rows: pd.DataFrame) -> DataFrame:
    """A bounded number of rows, as a frame with the contract's own columns; what is missing is NULL."""
    known = [{str(n): None if pd.isna(v) else v for n, v in row.items()} for row in rows.to_dict("records")]
    return frame_of_rows(run.spark, known, contract.given)
