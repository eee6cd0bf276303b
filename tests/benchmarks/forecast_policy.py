"""The job's own policy in one process: the same functions without Spark, boosters trained by xgboost itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from retail_spark.domains.forecast.candidates import chosen_rows, prior_sums, priors_of, tried_rows
from retail_spark.domains.forecast.features.matrix import Past
from retail_spark.domains.forecast.intervals import pools_of
from retail_spark.domains.forecast.models.global_booster import Booster, Lessons, lessons, missed, smear_of, train_here
from retail_spark.domains.forecast.series.frame import Frame, Pools

FEWEST = 50


@dataclass
class Workshop:
    """Trains boosters, each once: what was known by the end of a period is the same in every round."""

    seed: int = 42
    made: dict[int, Booster] = field(default_factory=dict)

    def boosters(self, packed: pd.DataFrame, frame: Frame) -> list[Booster]:
        """One booster a cut, with the smear that the windows before it give."""
        if not frame.recipe.global_model:
            return []
        panel = frame.panel(packed).opened()
        rows = lessons(
            panel,
            Past.of(panel, frequency=frame.recipe.frequency),
            frame.days(panel),
            codes=frame.codes,
            recipe=frame.recipe,
        )
        found: list[Booster] = []
        sums = []
        for k, cut in enumerate(frame.cuts):
            if found:
                between = (rows.target >= frame.cuts[k - 1]) & (rows.target < cut)
                sums.append(missed(rows.x[between], rows.ratio[between], booster=found[-1], recipe=frame.recipe))
            number = frame.end - frame.periods + cut
            if number not in self.made:
                known = _only(rows, rows.target < cut)
                self.made[number] = train_here(known, recipe=frame.recipe, seed=self.seed, codes=frame.codes)
            found.append(replace(self.made[number], smear=smear_of(sums) if frame.recipe.debias else 1.0))
        return found


def _only(rows: Lessons, chosen: np.ndarray) -> Lessons:
    return Lessons(*(getattr(rows, name)[chosen] for name in ("x", "ratio", "weight", "target", "series", "lead")))


def carried_out(packed: pd.DataFrame, frame: Frame, boosters: list[Booster]) -> tuple[pd.DataFrame, Pools]:
    """The choice of every series, and the pools of its intervals."""
    tried = tried_rows(packed, frame, boosters)
    chosen = chosen_rows(tried, frame, priors_of(prior_sums(tried, frame)))
    return chosen, pools_of(chosen, frame, span="all", fewest=FEWEST)


def packed_of(
    rows: pd.DataFrame, *, end: int, periods: int, future: int, first: dict[tuple[str, str], int] | None = None
) -> pd.DataFrame:
    """Packed series of rows (store_id, product_id, category, period, quantity, price, planned_*, known).

    A row after `end` keeps its plan alone; peers are the other series of store and category.
    """
    start, names = (
        end - periods + 1,
        ("quantity", "price", "planned_price", "planned_promotion", "planned_deal", "known"),
    )
    rows = rows[(rows["period"] >= start) & (rows["period"] <= end + future)].copy()
    for name in names:
        rows[name] = rows.get(name, np.nan)
    rows.loc[rows["period"] > end, ["quantity", "price"]] = np.nan
    grid = range(start, end + future + 1)
    place_of = rows.groupby(["store_id", "category", "period"])
    peers = place_of[["quantity", "planned_price", "price"]].mean().assign(known=place_of["known"].max())
    peers["price"] = peers["planned_price"].fillna(peers["price"])
    by_place = {key: part.droplevel([0, 1]).reindex(grid) for key, part in peers.groupby(level=[0, 1])}
    parts = []
    for (store, product, category), part in rows.groupby(["store_id", "product_id", "category"], sort=True):
        blank = np.full(len(part), np.nan)
        place = by_place[store, category]
        told = {name: part[name].to_numpy(dtype=float) for name in names}
        known = part.loc[part["quantity"].notna(), "period"]
        parts.append({
            "store_id": store, "product_id": product, "category": category, "region": "*", "is_closed": False,
            "first": int(known.min()) if len(known) else end + 1, "period": part["period"].to_numpy(), **told,
            **dict.fromkeys(("out", "promotion", "display", "deal", "planned_display"), blank),
            "peer_y": place["quantity"].to_numpy(), "peer_price": place["price"].to_numpy(),
            "peer_plan": place["planned_price"].to_numpy(), "peer_known": place["known"].to_numpy(),
        })  # fmt: skip
    return pd.DataFrame(parts)
