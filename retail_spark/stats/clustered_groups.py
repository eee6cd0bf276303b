"""Groups that were assigned by cluster: the error of their difference from sums by cluster."""

from __future__ import annotations

from retail_spark.stats.delta_method import Estimate, estimate
from retail_spark.stats.moments import Moments


def by_cluster(control: Moments, treatment: Moments) -> tuple[Estimate, Estimate]:
    """Both groups from moments over clusters of (sum of values, number of units, ...); no cluster lies in both.

    The squared standard error of the difference, variance / count of both added, equals that of least squares on the
    treatment with errors clustered and corrected for few clusters as Stata and statsmodels do (Liang and Zeger 1986).
    """
    groups = (control, treatment)
    clusters = sum(group.count for group in groups)
    units = sum(group.count * float(group.mean[1]) for group in groups)
    found = []
    for group in groups:
        plain = estimate(group)
        few = (group.count - 1) / group.count * clusters / (clusters - 1) * (units - 1) / (units - 2)
        found.append(Estimate(plain.mean, plain.variance * few, group.count))
    return found[0], found[1]
