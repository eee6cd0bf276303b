"""What the effects leave of each column: where it is nothing, or nothing of its own, the column is taken away.

What is left of a column is compared with what there was before. A category with one product and one price list has no
price left once its periods are taken out: the rest is rounding, from which estimates of any size can be made.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.domains.elasticity.models.least_squares import PRICE
from retail_spark.domains.elasticity.panel.cells import UNIT

RIVAL = "rival_price"
_ROUNDING = 1e-9
_RIVAL_SHARE = 0.1
"""Share of the rivals' mean price that the own price must leave: with one price list, net of the category's periods,
it is the own price with a factor, and beside it the own price is not identified."""


def to_left(rows: DataFrame, net: DataFrame, *, columns: Sequence[str]) -> pd.DataFrame:
    """One row per category: products, stores, and the share of each column's variance that the effects leave.

    Of rival_price it is what the own price leaves of it. A column that does not vary within store-products has 1
    where it varies between them after all, else 0.
    """
    per_unit = rows.groupBy("category", *UNIT).agg(
        *[(F.var_pop(F.coalesce(name, F.lit(0.0))) * F.count(F.lit(1))).alias(name) for name in columns]
    )
    before = per_unit.groupBy("category").agg(
        F.count_distinct("product_id").alias("products"), F.count_distinct("store_id").alias("stores"),
        *[F.sum(name).alias(f"{name}_before") for name in columns],
    )  # fmt: skip
    after = net.groupBy("category").agg(
        F.sum(F.col(PRICE) * F.col(RIVAL)).alias("crossed"),
        *[F.sum(F.col(name) ** 2).alias(f"{name}_after") for name in columns],
    )
    both = before.join(after, on="category", how="inner").orderBy("category").toPandas()  # one row a category
    return left_shares(both, columns=columns)


def left_shares(sums: pd.DataFrame, *, columns: Sequence[str]) -> pd.DataFrame:
    """The shares from sums of squares before and after (<column>_before, <column>_after) and the cross product."""
    found = sums[["category", "products", "stores"]].copy()
    for name in columns:
        before, after = (sums[f"{name}_{when}"].to_numpy(dtype=np.float64) for when in ("before", "after"))
        varied = np.where(before > 0, after / np.where(before > 0, before, 1.0), after > _ROUNDING)
        found[name] = np.clip(varied, 0.0, 1.0)
    product = (sums[f"{PRICE}_after"] * sums[f"{RIVAL}_after"]).to_numpy(dtype=np.float64)
    crossed = sums["crossed"].to_numpy(dtype=np.float64)
    own = 1 - crossed**2 / np.where(product > 0, product, 1.0)
    found[RIVAL] = np.where((product > 0) & (found[RIVAL] > _ROUNDING), np.clip(own, 0.0, 1.0), 0.0)
    found["price_varies"] = sums[f"{PRICE}_before"].to_numpy(dtype=np.float64) > _ROUNDING
    return found


def least_left(name: str, *, share: float) -> float:
    """The share of a column at or below which it is taken away."""
    if name == RIVAL:
        return _RIVAL_SHARE
    return share if name in (PRICE, "base_price", "discount") else _ROUNDING


def without_rounding(net: DataFrame, left: pd.DataFrame, *, columns: Sequence[str], share: float) -> DataFrame:
    """The columns, 0 in categories where the effects leave nothing of them. Same grain."""
    found: dict[str, Column] = {}
    for name in columns:
        gone = left.loc[left[name] <= least_left(name, share=share), "category"].tolist()
        if gone:
            found[name] = F.when(F.col("category").isin(*gone), F.lit(0.0)).otherwise(F.col(name))
    return net.withColumns(found) if found else net


def not_identified(left: pd.DataFrame, *, share: float) -> list[str]:
    """Categories whose prices vary, and of whose variation the effects leave nothing."""
    is_gone = (left[PRICE] <= share) & left["price_varies"]
    return list(left.loc[is_gone, "category"])


def warnings_of(left: pd.DataFrame, *, least: float) -> dict[str, str]:
    """Category -> what to beware of: period effects take its own promotions with them."""
    found = {}
    for row in left.to_dict("records"):
        if row["price_varies"] and row[PRICE] < least:
            holds = "holds one product" if row["products"] == 1 else "moves as one"
            found[str(row["category"])] = (
                f"the category {holds}: its effects leave {row[PRICE]:.0%} of the price's variance, and take "
                "promotions of the whole category with them; see elasticity.effects"
            )
    return found
