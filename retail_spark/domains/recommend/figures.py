"""The figures of a run: drawn with matplotlib's objects, without its global state."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from retail_spark.domains.recommend.evaluate import Means


def rivals_figure(means: Means, *, lists: Sequence[str], k: int) -> Figure:
    """nDCG@k of every rival, one panel a list, with 95 % intervals."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    panels = figure.subplots(1, len(lists), squeeze=False)[0]
    for panel, own in zip(panels, lists, strict=True):
        rivals = sorted(
            (name for name in means.means if name.startswith(f"{own}/")), key=lambda x: means.means[x]["ndcg"]
        )
        for place, name in enumerate(rivals):
            mean, (low, high) = means.means[name]["ndcg"], means.interval(name)
            panel.barh(place, mean, color="#4c72b0" if name.endswith("/candidate") else "#b0b0b0")
            panel.plot([low, high], [place, place], color="black", linewidth=1)
        panel.set_yticks(range(len(rivals)), [name.partition("/")[2] for name in rivals])
        panel.set_title(f"list {own}: {max(means.customers[name] for name in rivals):,} customers")
        panel.set_xlabel(f"nDCG@{k}")
    return figure


def coverage_figure(points: Sequence[tuple[str, int, float]]) -> Figure:
    """Share of all products that are on a rank or a better one, by (list, rank, share)."""
    return _lines(points, x="rank", y="share of all products shown")


def deciles_figure(points: Sequence[tuple[str, int, float]], *, k: int) -> Figure:
    """Mean nDCG@k by tenth of customers, 1 for those with fewest orders before, by (list, decile, mean)."""
    return _lines(points, x="tenth of customers by orders before", y=f"nDCG@{k}")


def _lines(points: Sequence[tuple[str, int, float]], *, x: str, y: str) -> Figure:
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    panel = figure.subplots()
    for name in dict.fromkeys(point[0] for point in points):
        own = [(at, value) for other, at, value in points if other == name]
        panel.plot(*zip(*own, strict=True), marker="o", markersize=3, label=name.partition("/")[0])
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    panel.set_ylim(bottom=0)
    if points:
        panel.legend()
    return figure
