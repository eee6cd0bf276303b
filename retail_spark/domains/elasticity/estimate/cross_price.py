"""How the price of one product moves the units of another: a matrix by category, shrunk, false findings controlled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F
from scipy import stats

from retail_spark.domains.elasticity.estimate.estimate_rows import reason_of
from retail_spark.domains.elasticity.panel.cells import UNIT
from retail_spark.frames.batches import fitted_to, names_of
from retail_spark.stats.clustered import meat
from retail_spark.stats.false_discovery import false_discovery_rates
from retail_spark.stats.shrinkage import normal_means

CROSS_SCHEMA = (
    "category string, product_id string, other_product_id string, elasticity double, raw_elasticity double, "
    "std_error double, ci_low double, ci_high double, p_value double, q_value double, "
    "is_significant boolean, status string, error string"
)
_NAMES = names_of(CROSS_SCHEMA)
_LEAST_PERIODS = 20


def only_best_sellers(rows: DataFrame, *, most: int) -> DataFrame:
    """Rows of the products of each category with the most units; ties go by product_id."""
    sold = rows.groupBy("category", "product_id").agg(F.sum("units").alias("_units"))
    order = W.partitionBy("category").orderBy(F.desc("_units"), "product_id")
    best = sold.withColumn("_place", F.row_number().over(order)).where(F.col("_place") <= most)
    return rows.join(F.broadcast(best.select("category", "product_id")), on=["category", "product_id"], how="inner")


def to_cross(rows: DataFrame, *, controls: Sequence[str], most: int, false_discovery: float) -> DataFrame:
    """One row per ordered pair of best sellers; `own_y` and `own_price` are net of the store-product, not of periods.

    Period effects of the category would take the mean of what is looked for; `controls` must hold the season.
    """

    def finish(some: pd.DataFrame) -> pd.DataFrame:
        try:
            return cross_rows(some, controls=controls, false_discovery=false_discovery)
        except Exception as error:
            return failed_pairs(some, reason_of(error))

    needed = only_best_sellers(rows, most=most).select("category", *UNIT, "period", "own_y", "own_price", *controls)
    return needed.groupBy("category").applyInPandas(finish, CROSS_SCHEMA)


def failed_pairs(some: pd.DataFrame, reason: str) -> pd.DataFrame:
    """Every pair of a category that raised: without a number, and why."""
    names = sorted(some["product_id"].unique())
    pairs = [(name, other) for name in names for other in names if other != name]
    table = pd.DataFrame(pairs, columns=["product_id", "other_product_id"])
    told = table.assign(category=some["category"].iloc[0], is_significant=False, status="failed", error=reason)
    return fitted_to(told, CROSS_SCHEMA)


def cross_rows(some: pd.DataFrame, *, controls: Sequence[str], false_discovery: float) -> pd.DataFrame:
    """The matrix of one category."""
    prices = some.pivot_table(index=["store_id", "period"], columns="product_id", values="own_price", sort=True)
    prices = prices.fillna(0.0)
    names = list(prices.columns)
    found = []
    for name, own in some.sort_values([*UNIT, "period"]).groupby("product_id", sort=True):
        found += _row_of(str(name), own, prices, names, controls)
    table = pd.DataFrame(found, columns=["product_id", "other_product_id", "raw_elasticity", "noise"])
    if table.empty:
        return pd.DataFrame(columns=_NAMES)
    return _told(table, false_discovery).assign(category=some["category"].iloc[0])[_NAMES]


def _row_of(
    name: str, own: pd.DataFrame, prices: pd.DataFrame, names: Sequence[str], controls: Sequence[str]
) -> list[tuple[str, str, float, float]]:
    """Raw cross elasticities of one product, with standard errors clustered by period."""
    period = pd.factorize(own["period"], sort=True)[0].astype(np.int64)
    periods = int(period.max()) + 1
    index = pd.MultiIndex.from_frame(own[["store_id", "period"]])
    trend = (period - period.mean()) / max(periods, 1)
    x = np.column_stack([prices.reindex(index).to_numpy(), own[list(controls)].to_numpy(dtype=np.float64), trend])
    x = x - x.mean(axis=0)
    scale = x.std(axis=0)
    live = np.flatnonzero(scale > 1e-9)
    if periods < max(_LEAST_PERIODS, len(live) + 5) or len(own) < 3 * len(live):
        return []
    x = x[:, live] / scale[live]
    y = own["own_y"].to_numpy(dtype=np.float64)
    bread = np.linalg.pinv(x.T @ x, rcond=1e-9, hermitian=True)
    values = bread @ (x.T @ (y - y.mean()))
    scores = x * (y - y.mean() - x @ values)[:, None]
    middle, groups = meat(scores, period)
    covariance = bread @ middle @ bread * groups / max(groups - len(live) - 1, 1)
    errors = np.sqrt(np.maximum(np.diag(covariance), 1e-18)) / scale[live]
    values = values / scale[live]
    place = {int(at): k for k, at in enumerate(live)}
    return [
        (name, other, float(values[place[at]]), float(errors[place[at]]))
        for at, other in enumerate(names)
        if other != name and at in place
    ]


def _told(table: pd.DataFrame, false_discovery: float) -> pd.DataFrame:
    raw, noise = table["raw_elasticity"].to_numpy(), table["noise"].to_numpy()
    centre, spread = normal_means(raw, noise)
    weight = spread / (spread + noise**2)
    value, error = weight * raw + (1 - weight) * centre, np.sqrt(np.maximum(weight, 1e-9)) * noise
    p = 2 * stats.norm.sf(np.abs(raw) / noise)
    q = false_discovery_rates(p)
    return table.assign(
        elasticity=value, std_error=error, ci_low=value - 1.96 * error, ci_high=value + 1.96 * error,
        p_value=p, q_value=q, is_significant=q <= false_discovery,
        status="ok", error=None,
    )  # fmt: skip
