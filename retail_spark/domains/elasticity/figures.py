"""The figures of a run: elasticities by category, what shrinkage did, and the margin curve of an example."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from retail_spark.domains.elasticity.pricing.optimise import Item, draws_of, margins_at

_MOST = 40
_PLACES = {"ols": -0.2, "iv": 0.0, "double_ml": 0.1, "poisson": 0.2}
_BLUE, _GREY = "#4c72b0", "#b0b0b0"


def forest_figure(estimates: pd.DataFrame) -> Figure:
    """The default price elasticity of every category with its 95 % interval; other estimators in grey."""
    price = estimates[
        (estimates["term"] == "price") & (estimates["status"] == "ok") & (estimates["level"] == "category")
    ]
    price = price[price["estimator"].isin(["ols", "iv", "double_ml", "poisson"])]
    members = sorted(price["member"].unique())[:_MOST]
    figure = Figure(figsize=(6.5, 0.4 * len(members) + 1.2), layout="constrained")
    panel = figure.subplots()
    for row in price[price["member"].isin(members)].to_dict("records"):
        place = members.index(row["member"]) + _PLACES[row["estimator"]]
        colour = _BLUE if row["is_default"] else _GREY
        panel.plot([row["ci_low"], row["ci_high"]], [place, place], color=colour, linewidth=1.5)
        panel.plot(row["estimate"], place, marker="o", markersize=4, color=colour)
    panel.axvline(-1, color="black", linewidth=0.8, linestyle=":")
    panel.set_yticks(range(len(members)), members)
    panel.set_xlabel("price elasticity, 95 % (blue: the default)")
    return figure


def shrinkage_figure(units: pd.DataFrame) -> Figure:
    """Raw against shrunk elasticity of some store-products; columns raw_elasticity, elasticity, shrink_weight."""
    figure = Figure(figsize=(4.8, 4.4), layout="constrained")
    panel = figure.subplots()
    known = units.dropna(subset=["raw_elasticity", "elasticity"])
    raw = known["raw_elasticity"].clip(-10, 10)
    drawn = panel.scatter(raw, known["elasticity"], c=known["shrink_weight"], s=9, cmap="viridis", vmin=0, vmax=1)
    figure.colorbar(drawn, label="weight of the own rows")
    panel.set_xlabel("raw elasticity (cut at -10 and 10)")
    panel.set_ylabel("shrunk elasticity")
    return figure


def margin_figure(item: Item, chosen: float, normals: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Figure:
    """Expected margin over prices, with the middle 90 % of the draws, and the price chosen."""
    prices = np.linspace(item.price * 0.8, item.price * 1.2, 81)
    margins = margins_at(prices, item, draws_of(item.elasticity, item.std_error, normals), horizon=1)
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    panel = figure.subplots()
    panel.fill_between(prices, *np.quantile(margins, [0.05, 0.95], axis=1), color=_GREY, alpha=0.5)
    panel.plot(prices, margins.mean(axis=1), color=_BLUE)
    panel.axvline(item.price, color="black", linewidth=0.8, linestyle=":", label="today")
    panel.axvline(chosen, color=_BLUE, linewidth=0.8, linestyle="--", label="chosen")
    panel.set_xlabel("price")
    panel.set_ylabel("margin a period")
    panel.legend()
    return figure
