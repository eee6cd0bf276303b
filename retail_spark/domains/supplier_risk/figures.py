"""The figures of a run: calibration, precision and recall, and what weighs most."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from retail_spark.domains.supplier_risk.evaluate import Measured, calibration_curve


def calibration_figure(measured: Measured) -> Figure:
    """Share late against mean p_late in ten bins of equal weight, candidate and uncalibrated."""
    figure = Figure(figsize=(4.5, 4.2), layout="constrained")
    panel = figure.subplots()
    top = 0.05
    for rival, colour in (("candidate", "#4c72b0"), ("raw", "#b0b0b0")):
        curve = calibration_curve(measured.curves[rival])
        panel.plot(curve["p"], curve["late"], marker="o", color=colour, label=rival)
        top = max(top, float(curve[["p", "late"]].to_numpy().max()))
    panel.plot([0, top], [0, top], color="black", linewidth=0.8, linestyle=":")
    panel.set_xlabel("mean p_late")
    panel.set_ylabel("share late")
    panel.legend()
    return figure


def precision_recall_figure(measured: Measured) -> Figure:
    """Precision against recall of every rival that ranks."""
    figure = Figure(figsize=(4.5, 4.2), layout="constrained")
    panel = figure.subplots()
    for rival in ("candidate", "logistic", "shrunk"):
        curve = measured.curves[rival].sort_values("bin", ascending=False)
        hits = np.cumsum(curve["late"].to_numpy())
        precision, recall = hits / np.cumsum(curve["lines"].to_numpy()), hits / max(hits[-1], 1.0)
        panel.plot(recall, precision, label=f"{rival} ({measured.values[rival]['average_precision']:.3f})")
    panel.set_xlabel("recall")
    panel.set_ylabel("precision")
    panel.set_ylim(0, 1.02)
    panel.legend()
    return figure


def contributions_figure(weights: Mapping[str, float]) -> Figure:
    """Mean absolute contribution to the log odds by group of columns, the 15 largest."""
    largest = sorted(weights.items(), key=lambda item: item[1])[-15:]
    figure = Figure(figsize=(6, 0.28 * len(largest) + 1), layout="constrained")
    panel = figure.subplots()
    panel.barh([name for name, _ in largest], [weight for _, weight in largest], color="#4c72b0")
    panel.set_xlabel("mean absolute contribution, log odds")
    return figure
