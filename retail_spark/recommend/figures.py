"""The figures of a run: drawn with matplotlib's objects, without its global state."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from retail_spark.recommend.evaluate import Means


def rivals_figure(means: Mapping[str, Means], *, k: int) -> Figure:
    """nDCG@k of every rival, one panel a list, with 95 % intervals."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    panels = figure.subplots(1, len(means), squeeze=False)[0]
    for panel, (name, found) in zip(panels, means.items(), strict=True):
        rivals = sorted(found.means, key=lambda rival: found.means[rival]["ndcg"])
        for place, rival in enumerate(rivals):
            mean, (low, high) = found.means[rival]["ndcg"], found.interval(rival)
            panel.barh(place, mean, color="#4c72b0" if rival == "candidate" else "#b0b0b0")
            panel.plot([low, high], [place, place], color="black", linewidth=1)
        panel.set_yticks(range(len(rivals)), rivals)
        panel.set_title(f"list {name}: {found.customers:,} customers")
        panel.set_xlabel(f"nDCG@{k}")
    return figure
