"""Pooled estimates of a category or of all: least squares, instruments, past prices, base price and discount.

Every member needs the moments of its cells (store, period) and no row; it is finished where they lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F
from scipy import stats

from retail_spark.domains.elasticity.estimate.estimate_rows import ESTIMATE_SCHEMA, estimate_row, framed, guarded
from retail_spark.domains.elasticity.models.least_squares import (
    PRICE,
    CellMoments,
    Fit,
    fit,
    independent,
    left_of,
    overidentification_p,
    wald_f,
)
from retail_spark.domains.elasticity.panel.cells import SHARES
from retail_spark.domains.elasticity.panel.fixed_effects import without_periods, without_units
from retail_spark.domains.elasticity.panel.moments import matrices, stacked, to_moments
from retail_spark.domains.elasticity.settings import Effects, JobSettings

COLUMNS = ("y", PRICE, "base_price", "discount", *SHARES, "cost", "other_markets")
_LEAST_VARIANCE = 1e-12
"""Of logs and shares: below it is rounding."""
_EXACT = 1e-9
"""Share of the units' variance that a fit must leave."""
CONTROL = "price_residual"
"""The part of the price that the instruments do not explain: where prices react to demand it is a control."""


@dataclass(frozen=True)
class Rules:
    """What decides which estimates are believed."""

    instruments: tuple[str, ...]
    min_f: float
    endogeneity_level: float
    instrument_level: float
    collinear_share: float

    @classmethod
    def of(cls, settings: JobSettings) -> Rules:
        return cls(
            settings.instruments,
            settings.min_first_stage_f,
            settings.endogeneity_level,
            settings.instrument_level,
            settings.collinear_share,
        )


def to_within(rows: DataFrame, *, columns: Sequence[str], effects: Effects = "store-product + period") -> DataFrame:
    """The columns net of the effects; NULL counts as 0. Same grain. Periods are those of a category."""
    filled = rows.withColumns({name: F.coalesce(F.col(name), F.lit(0.0)) for name in columns})
    if effects == "none":
        product = W.partitionBy("category", "product_id")
        return filled.withColumns({name: F.col(name) - F.avg(name).over(product) for name in columns})
    anchored = without_units(filled, columns=columns)  # near zero first: sums of what is left do not cancel
    if effects == "store-product":
        return anchored
    return anchored.transform(without_periods, columns=columns).transform(without_units, columns=columns)


def to_cell_moments(within: DataFrame, *, columns: Sequence[str]) -> DataFrame:
    """One row per (level, member, store_id, period): rows and crossed, for every category and for all together."""
    cells = to_moments(within, keys=("category", "store_id", "period"), columns=columns)
    size = len(columns) * (len(columns) + 1) // 2
    summed = F.array(*[F.sum(F.col("crossed")[at]) for at in range(size)]).alias("crossed")
    everything = cells.groupBy("store_id", "period").agg(F.sum("rows").alias("rows"), summed)
    own = cells.select(F.lit("category").alias("level"), F.col("category").alias("member"), "store_id", "period",
                       "rows", "crossed")  # fmt: skip
    return own.unionByName(everything.select(F.lit("all").alias("level"), F.lit("*").alias("member"), "*"))


def to_pooled(cell_moments: DataFrame, *, columns: Sequence[str], rules: Rules) -> DataFrame:
    """Rows of gold.elasticity_estimates: ols, iv and base_discount of every member."""

    def finish(cells: pd.DataFrame) -> pd.DataFrame:
        return estimate_rows(cells, columns=columns, rules=rules)

    return cell_moments.groupBy("level", "member").applyInPandas(guarded(finish, "ols"), ESTIMATE_SCHEMA)


def to_lagged(cell_moments: DataFrame, *, columns: Sequence[str], rules: Rules) -> DataFrame:
    """Rows of gold.elasticity_estimates: lags, with the same-period price, past ones, and their sum as `long_run`."""

    def finish(cells: pd.DataFrame) -> pd.DataFrame:
        return lagged_rows(cells, columns=columns, rules=rules)

    return cell_moments.groupBy("level", "member").applyInPandas(guarded(finish, "lags"), ESTIMATE_SCHEMA)


def lagged_rows(cells: pd.DataFrame, *, columns: Sequence[str], rules: Rules) -> pd.DataFrame:
    """The estimates of one member with past prices, from its cells."""
    member = Member.of(cells, columns)
    prices = [PRICE, *[name for name in columns if name.startswith("price_lag_")]]
    found = member.ols([*prices, *SHARES], share=rules.collinear_share)
    rows = list(member.rows_of("lags", found))
    if isinstance(found, Fit) and set(prices) <= set(found.terms):
        weights = np.sum([found.unit(name) for name in prices], axis=0)
        rows.append(member.row("lags", "long_run", found.of(weights), reach=found.reach))
    return framed(rows)


def estimate_rows(cells: pd.DataFrame, *, columns: Sequence[str], rules: Rules) -> pd.DataFrame:
    """The estimates of one member from its cells."""
    member = Member.of(cells, columns)
    ols = member.ols([PRICE, *SHARES], share=rules.collinear_share)
    rows = list(member.rows_of("ols", ols))
    rows += member.rows_of("base_discount", member.ols(["base_price", "discount", *SHARES], share=1e-6))
    rows += _instrumented(member, ols, rules)
    found = framed(rows)
    is_iv = bool((found["is_default"] & (found["estimator"] == "iv")).any())
    return found if is_iv else found.assign(is_default=found["is_default"] | (found["estimator"] == "ols"))


@dataclass(frozen=True)
class Member:
    """A category, or all, with its cell moments."""

    level: str
    name: str
    moments: CellMoments

    @classmethod
    def of(cls, cells: pd.DataFrame, columns: Sequence[str]) -> Member:
        cells = cells.sort_values(["store_id", "period"])
        moments = CellMoments(
            tuple(columns),
            pd.factorize(cells["store_id"])[0].astype(np.int64),
            pd.factorize(cells["period"])[0].astype(np.int64),
            matrices(stacked(cells["crossed"]), len(columns)),
            int(cells["rows"].sum()),
        )
        return cls(str(cells["level"].iloc[0]), str(cells["member"].iloc[0]), moments)

    def usable(self, names: Sequence[str], *, share: float) -> list[str]:
        """Those of the columns that vary beside the ones before them."""
        rows = [self.moments.row(name) for name in names]
        least = _LEAST_VARIANCE * self.moments.rows
        return [names[at] for at in independent(self.moments.total, rows, share=min(share, 1e-6), least=least)]

    def ols(self, names: Sequence[str], *, share: float) -> Fit | str:
        """Least squares, or why there is none."""
        total = self.moments.total
        if not self.usable(names[:1], share=share):
            return "no_price_variation"
        controls = self.usable(names[1:], share=share)
        others = [self.moments.row(name) for name in controls]
        if left_of(total, self.moments.row(names[0]), others) <= share:
            return "collinear"
        if self.moments.periods.max() < 3:
            return "too_few_weeks"
        x = [self.moments.row(names[0]), *others]
        found = fit(self.moments, y=self.moments.row("y"), x=x, z=None, terms=[names[0], *controls])
        y, residual = self.moments.row("y"), found.residual
        if residual @ total @ residual <= _EXACT * (y @ total @ y):
            return "not_identified"  # as many effects and terms as rows: the fit is exact, and its errors are none
        return found

    def rows_of(self, estimator: str, found: Fit | str, **more: Any) -> Iterator[dict[str, Any]]:
        """A row a term; one row with the status where there is no fit."""
        if isinstance(found, str):
            yield self.row(estimator, PRICE, None, status=found, **more)
            return
        for term in found.terms:
            yield self.row(estimator, term, found.of(found.unit(term)), reach=found.reach, **more)

    def row(
        self,
        estimator: str,
        term: str,
        value: tuple[float, float, float] | None,
        *,
        reach: float = 1.96,
        status: str = "ok",
        **more: Any,
    ) -> dict[str, Any]:
        """One row of the table."""
        return estimate_row(
            level=self.level, member=self.name, estimator=estimator, term=term, value=value, reach=reach,
            status=status, n_obs=self.moments.rows, **more,
        )  # fmt: skip


@dataclass(frozen=True)
class Instrumented:
    """Two-stage least squares with what it rests on."""

    found: Fit
    first: Fit
    """The price on instruments and controls; its residual is the control that the units get."""
    first_stage_f: float
    endogeneity_p: float
    overidentification_p: float | None


def instrumented(member: Member, controls: Sequence[str], rules: Rules) -> Instrumented | str:
    """The instruments' answer, or why there is none. Instruments that contradict each other: cost stands alone."""
    usable = member.usable([*controls, *rules.instruments], share=rules.collinear_share)
    instruments = [name for name in rules.instruments if name in usable]
    if not instruments:
        return "no_instrument"
    if left_of(member.moments.total, member.moments.row(PRICE), [member.moments.row(n) for n in usable]) <= (
        rules.collinear_share
    ):
        return "no_instrument"  # such as a cost that is always the same share of the price: it is the price
    found = _two_stage(member, controls, instruments)
    if found.overidentification_p is not None and found.overidentification_p < rules.instrument_level:
        found = _two_stage(member, controls, [n for n in instruments if n == "cost"] or instruments[:1])
    return found


def _two_stage(member: Member, controls: Sequence[str], instruments: Sequence[str]) -> Instrumented:
    moments = member.moments
    y, price = moments.row("y"), moments.row(PRICE)
    own = [moments.row(name) for name in controls]
    z = [*[moments.row(name) for name in instruments], *own]
    first = fit(moments, y=price, x=z, z=None, terms=[*instruments, *controls])
    second = fit(moments, y=y, x=[price, *own], z=z, terms=[PRICE, *controls])
    aided = fit(moments, y=y, x=[price, *own, first.residual], z=None, terms=[PRICE, *controls, CONTROL])
    value, error, _ = aided.of(aided.unit(CONTROL))
    p = float(2 * stats.t.sf(abs(value) / error, max(aided.clusters - 1, 1))) if error > 0 else 1.0
    over = None
    if len(instruments) > 1:
        over = overidentification_p(moments, second, y=y, x=[price, *own], z=z)
    return Instrumented(second, first, wald_f(first, instruments), p, over)


def _instrumented(member: Member, ols: Fit | str, rules: Rules) -> Iterator[dict[str, Any]]:
    """Rows of estimator iv; the default where the test says that prices react to demand."""
    if isinstance(ols, str):
        yield member.row("iv", PRICE, None, status=ols)
        return
    controls = [name for name in ols.terms if name != PRICE]
    found = instrumented(member, controls, rules)
    if isinstance(found, str):
        yield member.row("iv", PRICE, None, status=found)
        return
    told: dict[str, Any] = {"first_stage_f": found.first_stage_f, "overidentification_p": found.overidentification_p}
    if found.first_stage_f <= rules.min_f:
        yield member.row("iv", PRICE, None, status="weak_instrument", **told)
        return
    is_default = found.endogeneity_p < rules.endogeneity_level
    yield from member.rows_of("iv", found.found, endogeneity_p=found.endogeneity_p, is_default=is_default, **told)
    yield from member.rows_of("first_stage", found.first, **told)
