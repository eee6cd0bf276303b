"""The policy on its way into the registry, and back: a JSON file of numbers, and the booster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retail_spark.domains.forecast.candidates import chosen_rows, tried_rows
from retail_spark.domains.forecast.features.matrix import names_of
from retail_spark.domains.forecast.models.global_booster import Booster
from retail_spark.domains.forecast.outputs import forecast_rows
from retail_spark.domains.forecast.recipe import Recipe
from retail_spark.domains.forecast.select import Prior
from retail_spark.domains.forecast.series.frame import Frame, Pools
from retail_spark.domains.forecast.series.panel import PEERS
from retail_spark.modelling.artifact import ModelFiles
from retail_spark.modelling.contest import Candidate
from retail_spark.modelling.gate import Gate

HISTORY = ("store_id", "product_id", "date", "quantity")
FORETOLD = ("store_id", "product_id", "date", "step", "mean", "p10", "p50", "p90", "lo_95", "hi_95", "model", "status")


@dataclass(frozen=True)
class Policy:
    """All that turns a history into forecasts: recipe, booster, what classes erred, and their intervals."""

    recipe: Recipe
    booster: Booster | None
    priors: Mapping[str, Prior]
    pools: Pools
    events: tuple[int, ...]
    store_events: Mapping[str, tuple[int, ...]]

    def answer(self, history: pd.DataFrame) -> pd.DataFrame:
        """What the registered model answers: one row per series and period ahead, dates as text, steps as numbers.

        The columns of `history` are store_id, product_id, date (ISO) and quantity.
        """
        found = self.forecast(history)
        return found.assign(date=[str(day) for day in found["date"]], step=found["step"].astype("int64"))

    def save(self, folder: Path) -> dict[str, Path]:
        """Writes policy.json, and booster.json where there is one."""
        told = {
            "recipe": self.recipe.to_json(),
            "features": list(names_of(self.recipe.frequency)),
            "priors": self.priors,
            "pools": {name: p.astype(object).tolist() for name, p in self.pools.items()},
            "events": list(self.events),
            "store_events": {store: list(events) for store, events in self.store_events.items()},
            "codes": self.booster.codes if self.booster else {},
            "smear": self.booster.smear if self.booster else 1.0,
        }
        found = {"policy": folder / "policy.json"}
        found["policy"].write_text(json.dumps(told))
        if self.booster is not None:
            found["booster"] = folder / "booster.json"
            found["booster"].write_bytes(self.booster.raw)
        return found

    @classmethod
    def load(cls, artifacts: Mapping[str, str | Path]) -> Policy:
        """Reads what `save` wrote."""
        told = json.loads(Path(artifacts["policy"]).read_text())
        recipe = Recipe.from_json(told["recipe"])
        if told["features"] != list(names_of(recipe.frequency)):
            raise ValueError("the policy was trained on other features than this version of retail-spark makes")
        booster = None
        if "booster" in artifacts:
            booster = Booster(Path(artifacts["booster"]).read_bytes(), told["codes"], told["smear"])
        pools = {name: np.array(p, dtype=np.float64) for name, p in told["pools"].items()}
        own = {store: tuple(events) for store, events in told["store_events"].items()}
        return cls(recipe, booster, told["priors"], pools, tuple(told["events"]), own)

    def forecast(self, history: pd.DataFrame) -> pd.DataFrame:
        """FORETOLD, a row per series and period ahead of the last date. `history` is HISTORY, at most a row a period.

        The policy is that of the run that made it; its backtest is done anew on this history, with its booster.
        """
        packed, end, periods = _packed(history, self.recipe)
        codes = self.booster.codes if self.booster else {}
        frame = Frame(self.recipe, end, periods, self.events, codes, store_events=self.store_events)
        boosters = [self.booster] * len(frame.cuts) if self.booster else []
        chosen = chosen_rows(tried_rows(packed, frame, boosters), frame, self.priors)
        return forecast_rows(chosen, frame, self.pools)[list(FORETOLD)]


def _packed(history: pd.DataFrame, recipe: Recipe) -> tuple[pd.DataFrame, int, int]:
    """Packed series of a plain history; a period that repeats is added up."""
    clock = recipe.clock
    days = pd.to_datetime(history["date"]).dt.date
    rows: Any = history.assign(period=[clock.period_of(day) for day in days])
    rows = rows.groupby(["store_id", "product_id", "period"], as_index=False)["quantity"].sum()
    end, start = int(rows["period"].max()), int(rows["period"].min())
    periods = min(end - start + 1, recipe.history_periods)
    packed: Any = rows.groupby(["store_id", "product_id"]).agg({"period": list, "quantity": list}).reset_index()
    width = periods + recipe.reach
    blank = [[np.nan] * len(p) for p in packed["period"]]
    names = ("out", "price", "promotion", "display", "deal", "planned_price", "planned_promotion", "planned_display",
             "planned_deal", "known")  # fmt: skip
    packed = packed.assign(
        category="*", region="*", first=[min(p) for p in packed["period"]], is_closed=False,
        **dict.fromkeys(names, blank), **dict.fromkeys(PEERS[1:], [[np.nan] * width] * len(packed)),
    )  # fmt: skip
    grid = rows.pivot_table(index="period", values="quantity", aggfunc="mean").reindex(
        range(end - periods + 1, end + 1)
    )
    peers = [*grid["quantity"].fillna(0.0), *[np.nan] * recipe.reach]
    return packed.assign(peer_y=[peers] * len(packed)), end, periods


def to_candidate(policy: Policy, *, gate: Gate, example: pd.DataFrame) -> Candidate:
    """The candidate: `example` is the history of a few series."""
    return Candidate(
        served=Policy,
        artifacts=ModelFiles(policy.save),
        example=example,
        example_output=policy.answer(example),
        gate=gate,
        recipe=policy.recipe.to_json(),
        params={"candidates": len(policy.recipe.candidates), "has_booster": policy.booster is not None},
        packages=("xgboost-cpu",),
    )
