"""What the model sees of a line: features by name, before and after they are numbers."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.supplier_risk.deliveries import SHRUNK, column_of, history_names, with_histories
from retail_spark.domains.supplier_risk.encoder import Encoder, Feature
from retail_spark.domains.supplier_risk.recipe import Recipe
from retail_spark.errors import UsageError

IDS = (
    "delivery_id", "shipment", "supplier_id", "promised_day", "known_day", "is_late", "delay_days",
)  # fmt: skip
"""What travels beside the features."""
_CALENDAR = {
    "promised_month": F.month, "promised_weekday": F.dayofweek, "ordered_hour": F.hour, "ordered_weekday": F.dayofweek,
}  # fmt: skip


def features_of(recipe: Recipe) -> tuple[Feature, ...]:
    """The features of a recipe, in the order the booster knows them by. Raises UsageError for an unknown calendar."""
    unknown = sorted(set(recipe.calendar_columns) - set(_CALENDAR))
    if unknown:
        raise UsageError(f"calendar_columns has no {', '.join(unknown)}.", fix=f"use {', '.join(_CALENDAR)}")
    return (
        *(Feature(f"value_{name}", name, is_text=True) for name in recipe.category_columns),
        *(Feature(f"size_{name}", name) for name in recipe.number_columns),
        *(Feature(f"lead_{name}", f"lead from {name}") for name in recipe.lead_columns),
        *(Feature(name, name) for name in recipe.calendar_columns),
        *(Feature(name, f"history of {history}") for name, history in history_names(recipe).items()),
    )


def to_features(lines: DataFrame, *, recipe: Recipe) -> DataFrame:
    """One row per delivery_id that was not cancelled: IDS, every feature of the recipe, and SHRUNK.

    Texts are as they are, numbers DOUBLE.
    """
    known = with_histories(lines, recipe=recipe).where(F.col("cancelled_day").isNull())
    columns = {feature.name: _raw(feature, recipe) for feature in features_of(recipe)}
    return known.select(*IDS, *[value.alias(name) for name, value in columns.items()], SHRUNK)


def _raw(feature: Feature, recipe: Recipe) -> Column:
    kind, _, rest = feature.name.partition("_")
    if feature.is_text:
        return column_of(rest).cast("string")
    if feature.name in recipe.calendar_columns:
        source = "promised_on" if feature.name.startswith("promised") else "ordered_at"
        return _CALENDAR[feature.name](F.col(source)).cast("double")
    if kind == "size":
        return _size(rest, is_log=rest in recipe.log_columns)
    if kind == "lead":
        date = column_of(rest)
        on = F.to_date(date) if rest == "ordered_at" else date.cast("string").try_cast("date")
        return F.datediff("promised_on", on).cast("double")
    return F.col(feature.name).cast("double")


def _size(name: str, *, is_log: bool) -> Column:
    if name == "unit_value":
        size = F.try_divide("order_value", "quantity_ordered")
    else:
        size = column_of(name).cast("string").try_cast("double")
    return F.when(size > -1, F.log1p(size)) if is_log else size


def fit_encoder(known: DataFrame, *, recipe: Recipe) -> Encoder:
    """The encoder of these lines: of each text feature the `max_categories` most frequent values."""
    features = features_of(recipe)
    texts = [feature.name for feature in features if feature.is_text]
    if not texts:
        return Encoder(features, {})
    pairs = F.explode(F.array(*[F.struct(F.lit(n).alias("name"), F.col(n).alias("value")) for n in texts]))
    counted = known.select(pairs.alias("pair")).select("pair.*").where(F.col("value").isNotNull())
    by_name = W.partitionBy("name").orderBy(F.desc("count"), "value")
    ranked = counted.groupBy("name", "value").count().withColumn("rank", F.row_number().over(by_name))
    kept = ranked.where(F.col("rank") <= recipe.max_categories).select("name", "value")
    values: dict[str, list[str]] = {name: [] for name in texts}
    for row in kept.collect():  # at most max_categories a column
        values[row["name"]].append(row["value"])
    return Encoder(features, {name: sorted(known_values) for name, known_values in values.items()})
