"""The job `supplier_risk`: who will be late, from a model that proved itself on held-out time, and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.supplier_risk.baselines import inside
from retail_spark.domains.supplier_risk.concentration import herfindahl
from retail_spark.domains.supplier_risk.deliveries import SHRUNK, to_lines
from retail_spark.domains.supplier_risk.evaluate import Measured
from retail_spark.domains.supplier_risk.explain import to_open_lines
from retail_spark.domains.supplier_risk.features import fit_encoder, to_features
from retail_spark.domains.supplier_risk.figures import calibration_figure, contributions_figure, precision_recall_figure
from retail_spark.domains.supplier_risk.leakage import check_model_auc, check_no_leak
from retail_spark.domains.supplier_risk.outputs import Window, to_all_changes, to_levels, to_suppliers
from retail_spark.domains.supplier_risk.recipe import Recipe
from retail_spark.domains.supplier_risk.served import Scorer
from retail_spark.domains.supplier_risk.settings import JobSettings
from retail_spark.domains.supplier_risk.to_served import to_candidate
from retail_spark.domains.supplier_risk.train import (
    Compared,
    Counted,
    Split,
    compare,
    count_before_and_from,
    day_of_share,
    learn,
    lines_a_day,
    rolling,
    with_shipment_end,
)
from retail_spark.domains.supplier_risk.train_boosters import with_scores
from retail_spark.engine.job import Job, Outcome, Run, job
from retail_spark.errors import InputError
from retail_spark.frames.sums import exact_mean, exact_sum
from retail_spark.lake.write import Write, replace_slice
from retail_spark.modelling.boosters import check_can_train
from retail_spark.modelling.gate import Gate, Verdict
from retail_spark.tables.silver import DELIVERIES, SUPPLIERS
from retail_spark.tables.supplier_risk import DELIVERY_RISK, SUPPLIER_LEVELS, SUPPLIER_RISK
from retail_spark.tables.values import CONTRIBUTION_BASE as BASE

_EPOCH = date(1970, 1, 1)
_RECENT_DAYS = 180
"""What a trend takes for recent where no history does."""


def supplier_risk(run: Run, settings: JobSettings) -> Outcome:
    """Learns on the lines before the held-out window, measures on it, refits up to as_of, scores every open line.

    Raises InputError when no line was known by as_of, and for a column that decides the label. Too few lines to
    measure on is no error: nothing is registered then, and the shrunk rate scores.
    """
    recipe = settings.recipe()
    features = _features(run, settings, recipe, name="own")
    shown = _facts(run, features.lines, settings)
    cut = _cut(features.rows, settings)
    if cut is None:
        run.progress.note("too few known lines to learn from and measure on: the shrunk rate scores")
        return Outcome(tables=_tables(run, features, None, settings=settings), metrics=shown)
    check_can_train(run.spark, job=run.job)
    split = Split(recipe, features.rows, cut.day)
    rival = _rival(run, settings, cut=cut.day)
    compared, measured = _measured(run, settings, split, rival, train=cut.train)
    with run.progress.step("evaluate"):
        years = rolling(features.rows, origins=_origins(run, settings), settings=settings, seed=run.seed)
    with run.progress.step("refit"):
        known = _known(features.rows)
        candidate = learn(known, recipe=recipe, seed=run.seed, delays=True, foretold=compared.foretold).scorer
    makers: dict[str, Callable[[], tuple[Features, Scorer | None]]] = {
        "candidate": lambda: (features, candidate),
        "champion": lambda: _champion(run, features, candidate, rival),
        "baseline": lambda: (features, None),
    }

    def tables(verdict: Verdict) -> tuple[Write, ...]:
        return _tables(run, *makers[verdict.scorer](), settings=settings)

    example = _known(features.rows).orderBy("delivery_id").limit(5).toPandas()
    return Outcome(
        tables=tables,
        metrics={**_metrics(compared, measured, years), **shown},
        model=to_candidate(candidate, recipe=recipe, gate=gate_of(measured), example=example),
        figures={
            "calibration.png": calibration_figure(measured),
            "precision_recall.png": precision_recall_figure(measured),
            "contributions.png": contributions_figure(_weights(split.test, compared.scorer)),
        },
    )


JOB: Job = job(
    "supplier_risk",
    settings=JobSettings,
    reads=(DELIVERIES,),
    optional=(SUPPLIERS,),
    writes=(SUPPLIER_RISK, DELIVERY_RISK, SUPPLIER_LEVELS),
    learns=True,
)(supplier_risk)


@dataclass(frozen=True)
class Features:
    """Lines as known by as_of, without cancelled ones, and their features by a recipe; both staged."""

    recipe: Recipe
    lines: DataFrame
    rows: DataFrame


def _features(run: Run, settings: JobSettings, recipe: Recipe, *, name: str) -> Features:
    with run.progress.step("features"):
        known = run.read(DELIVERIES).transform(
            to_lines,
            as_of=run.as_of,
            predict_days=recipe.predict_days_before_promise,
            outcome_known=recipe.outcome_known,
            promise=recipe.promise,
        )
        is_out = F.col("supplier_id").isin(*settings.exclude_suppliers)
        lines = run.stage(f"{name}_lines", known.withColumn("is_excluded", is_out))
        learned_from = lines if settings.learn_from_excluded else lines.where(~F.col("is_excluded"))
        rows = learned_from.transform(to_features, recipe=recipe).transform(with_shipment_end)
        suppliers_own = lines.where(~F.col("is_excluded") & F.col("cancelled_day").isNull())
        return Features(recipe, suppliers_own, run.stage(f"{name}_features", rows))


def _known(rows: DataFrame) -> DataFrame:
    return rows.where(F.col("is_late").isNotNull())


@dataclass(frozen=True)
class Cut:
    """First day of the held-out window, and what lies before it."""

    day: int
    train: Counted


def _cut(rows: DataFrame, settings: JobSettings) -> Cut | None:
    """The held-out window; None when it, or what comes before it, has too few lines."""
    if settings.test_from is None:
        day = day_of_share(lines_a_day(rows), share=settings.test_share)
    else:
        day = (date.fromisoformat(settings.test_from) - _EPOCH).days
    if day is None:
        return None
    train, test = count_before_and_from(rows, days=[day])[0]
    enough = all(part.is_enough(lines=settings.min_lines) for part in (train, test))
    return Cut(day, train) if enough else None


def _rival(run: Run, settings: JobSettings, *, cut: int) -> Split | None:
    """The champion's recipe on this run's lines, when it is another one: the same recipe differs by nothing."""
    if run.champion is None:
        return None
    theirs = Recipe.from_json(run.champion.recipe)
    if theirs == settings.recipe():
        return None
    return Split(theirs, _features(run, settings, theirs, name="champion").rows, cut)


def _measured(
    run: Run, settings: JobSettings, split: Split, rival: Split | None, *, train: Counted
) -> tuple[Compared, Measured]:
    """The held-out window; no column and no model may know more of it than can be known."""
    with run.progress.step("leaks"):
        encoder = fit_encoder(split.train, recipe=split.recipe)
        check_no_leak(split.train, encoder=encoder, limit=settings.leak_auc)
    with run.progress.step("evaluate"):
        compared = compare(
            split.train, split.test, counted=train, settings=settings, seed=run.seed, encoder=encoder, champion=rival
        )
    measured = compared.measured
    check_model_auc(measured.values["candidate"]["auc"], limit=settings.leak_auc)
    if run.champion is not None and rival is None:
        measured = measured.with_equal("champion", of="candidate")
    return compared, measured


def _champion(run: Run, features: Features, candidate: Scorer, rival: Split | None) -> tuple[Features, Scorer | None]:
    """The champion's recipe, learned on this run's own lines: its stored boosters do not know new suppliers."""
    if rival is None:
        return features, candidate
    again = learn(_known(rival.features), recipe=rival.recipe, seed=run.seed, delays=True).scorer
    return Features(rival.recipe, features.lines, rival.features), again


def _origins(run: Run, settings: JobSettings) -> dict[str, tuple[int, int]]:
    """Year -> its first day and that of the next, in days since 1970."""
    last = run.as_of.year
    years = range(last - settings.rolling_years + 1, last + 1)
    return {str(y): ((date(y, 1, 1) - _EPOCH).days, (date(y + 1, 1, 1) - _EPOCH).days) for y in years}


def gate_of(measured: Measured) -> Gate:
    """On Brier against the constant, the shrunk rate and the champion, and on AUC against the shrunk rate and it."""
    has_champion = "champion" in measured.values
    baselines = {
        "the constant": measured.difference("candidate", "constant", metric="brier"),
        "the shrunk rate": measured.difference("candidate", "shrunk", metric="brier"),
        "the shrunk rate, by AUC": measured.difference("candidate", "shrunk", metric="auc"),
    }
    limits = {}
    if has_champion:
        limits["auc"] = (measured.values["candidate"]["auc"], 0.99 * measured.values["champion"]["auc"], 1.0)
    return Gate(
        metric="brier",
        score=measured.values["candidate"]["brier"],
        baselines=baselines,
        champion=measured.difference("candidate", "champion", metric="brier") if has_champion else None,
        champion_score=measured.values["champion"]["brier"] if has_champion else None,
        limits=limits,
    )


def _metrics(compared: Compared, measured: Measured, years: Mapping[str, Measured]) -> dict[str, float]:
    """Flat names: auc, brier_shrunk, auc_2014, brier_low, ...; what has no value (one kind only) is left out."""
    found = {
        "train_lines": float(compared.train_lines),
        "test_lines": float(measured.lines),
        "test_late": float(measured.late),
    }
    for rival, values in measured.values.items():
        found |= {metric if rival == "candidate" else f"{metric}_{rival}": value for metric, value in values.items()}
    for metric in ("auc", "average_precision", "brier"):
        found[f"{metric}_low"], found[f"{metric}_high"] = measured.interval("candidate", metric=metric)
    for year, of_year in years.items():
        for metric in ("auc", "average_precision", "brier"):
            found[f"{metric}_{year}"] = of_year.values["candidate"][metric]
            found[f"{metric}_{year}_shrunk"] = of_year.values["shrunk"][metric]
    found |= {f"{name}_coverage": value for name, value in compared.coverage.items()}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _facts(run: Run, lines: DataFrame, settings: JobSettings) -> dict[str, float]:
    """Lines, suppliers, late share, and the concentration of all spend. Raises InputError without a line."""
    value = F.greatest(F.coalesce("order_value", F.lit(0.0)), F.lit(0.0))
    each = lines.groupBy("supplier_id").agg(
        F.count(F.lit(1)).alias("lines"), F.count("is_late").alias("known"), F.sum("is_late").alias("late"),
        F.count_if("is_contradictory").alias("contradictory"), exact_sum(value, scale=6).alias("value"),
    )  # fmt: skip
    row = each.agg(
        F.sum("lines").alias("lines"), F.count(F.lit(1)).alias("suppliers"),
        (F.sum("lines") - F.sum("known")).alias("open_lines"),
        F.coalesce(F.sum("contradictory"), F.lit(0)).alias("contradictory_lines"),
        F.try_divide(F.sum("late"), F.sum("known")).alias("late_share"),
        herfindahl(F.col("value")).alias("hhi"),
    ).collect()[0]  # fmt: skip
    if not row["lines"]:
        left_out = f" beside {', '.join(settings.exclude_suppliers)}" if settings.exclude_suppliers else ""
        raise InputError(
            f"{DELIVERIES.name} holds no line{left_out} that was known by then.", fix="use a later --as-of"
        )
    if row["contradictory_lines"]:
        run.progress.note(f"{row['contradictory_lines']:,} lines were ordered after they came: no lead time of theirs")
    return {name: float(value) for name, value in row.asDict().items() if value is not None}


def _weights(rows: DataFrame, scorer: Scorer) -> dict[str, float]:
    """Group -> mean absolute contribution to the log odds."""
    parts = with_scores(rows, scorer=scorer, explain=True).select(F.explode("contributions").alias("name", "part"))
    means = parts.groupBy("name").agg(exact_mean(F.abs("part"), scale=12).alias("weight")).where(F.col("name") != BASE)
    return {row["name"]: float(row["weight"]) for row in means.collect()}  # one row a group of columns


def _tables(run: Run, features: Features, scorer: Scorer | None, *, settings: JobSettings) -> tuple[Write, ...]:
    """The three tables, scored by the model, or by the shrunk rate where there is none."""
    window = Window(run.as_of, settings.window_days, max(settings.recent_days, default=_RECENT_DAYS))
    is_out = F.col("supplier_id").isin(*settings.exclude_suppliers)
    open_rows = features.rows.where(F.col("is_late").isNull() & ~is_out)
    deliveries = run.stage("scored", to_scored(open_rows, scorer=scorer, recipe=features.recipe, as_of=run.as_of))
    judged = window.lines(features.lines)
    changes = run.stage("changes", to_all_changes(judged, window=window, settings=settings))
    levels = run.stage("levels", to_levels(judged, changes=changes, window=window, prior_weight=settings.prior_weight))
    suppliers = to_suppliers(
        judged,
        levels=levels,
        changes=changes,
        open_lines=to_open_lines(deliveries, most=settings.reasons),
        suppliers=run.read(SUPPLIERS) if run.has(SUPPLIERS) else None,
        window=window,
        settings=settings,
    )
    return (
        replace_slice(SUPPLIER_RISK, suppliers.transform(SUPPLIER_RISK.select)),
        replace_slice(DELIVERY_RISK, deliveries, staged=True),
        replace_slice(SUPPLIER_LEVELS, levels, staged=True),
    )


def to_scored(rows: DataFrame, *, scorer: Scorer | None, recipe: Recipe, as_of: date) -> DataFrame:
    """One row per open line: all columns of gold.delivery_risk, and supplier_id.

    A line whose day is over is late for certain, and its delay at least the days since; the model's own word on it
    stays in p_late_raw and margin. `rows` are features.
    """
    if scorer is None:
        p = inside(F.col(SHRUNK))
        none = F.lit(None).cast("double")
        scored = rows.select(
            "delivery_id", "supplier_id", "promised_day", p.alias("p_late"), p.alias("p_late_raw"),
            F.log(p / (1 - p)).alias("margin"), none.alias("delay_p50_days"), none.alias("delay_p90_days"),
        )  # fmt: skip
        scored = scored.withColumn("contributions", F.create_map(F.lit(BASE), F.col("margin")))
    else:
        scored = with_scores(rows, scorer=scorer, explain=True)
    as_of_day = (as_of - _EPOCH).days
    is_over = F.col("promised_day") < as_of_day
    so_far = F.when(is_over, (F.lit(as_of_day) - F.col("promised_day")).cast("double"))
    delays = {
        name: F.when(F.col(name).isNotNull(), F.greatest(F.col(name), so_far))
        for name in ("delay_p50_days", "delay_p90_days")
    }
    certain = F.when(is_over, F.lit(1.0)).otherwise(F.col("p_late"))
    return scored.withColumns({"is_overdue": is_over, "p_late": certain, **delays})
