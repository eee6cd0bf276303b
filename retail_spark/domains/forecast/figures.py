"""The figures of a run: series foretold well and badly, coverage by step, value added by category."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure


def series_figure(examples: pd.DataFrame) -> Figure:
    """Worst, typical and best series of the last window: `examples` has label, actual and foretold, arrays."""
    figure = Figure(figsize=(9, 2.6 * max(len(examples), 1)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(max(len(examples), 1), 1))
    for panel, row in zip(panels, examples.itertuples(), strict=False):
        panel.plot(row.actual, color="black", marker="o", label="sold")
        panel.plot(row.foretold, color="#4c72b0", marker="o", label="foretold")
        panel.set_title(row.label, fontsize=9)
        panel.set_ylabel("units")
    panels[0].legend()
    return figure


def coverage_figure(by_step: pd.DataFrame) -> Figure:
    """Share of the last window inside its intervals by step."""
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    panel = figure.subplots()
    for name, wanted, colour in (("coverage_80", 0.8, "#4c72b0"), ("coverage_95", 0.95, "#dd8452")):
        panel.plot(by_step["step"], by_step[name], marker="o", color=colour, label=name)
        panel.axhline(wanted, color=colour, linewidth=0.8, linestyle=":")
    panel.set(xlabel="step", ylabel="share inside", ylim=(0, 1.02))
    panel.legend()
    return figure


def added_figure(added: Mapping[str, float]) -> Figure:
    """Forecast value added by category, the 20 largest by size."""
    shown = sorted(added.items(), key=lambda item: abs(item[1]))[-20:]
    figure = Figure(figsize=(6, 0.28 * len(shown) + 1.2), layout="constrained")
    panel = figure.subplots()
    panel.barh([name for name, _ in shown], [value for _, value in shown], color="#4c72b0")
    panel.axvline(0, color="black", linewidth=0.8)
    panel.set_xlabel("WAPE of seasonal naive less the policy's")
    return figure
