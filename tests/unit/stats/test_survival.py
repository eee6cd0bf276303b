"""The curve of waiting equals that of lifelines, on data with ties and censoring."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines import KaplanMeierFitter
from lifelines.datasets import load_gbsg2, load_rossi, load_waltons

from retail_spark.stats.survival import kaplan_meier


@pytest.mark.parametrize(
    ("load", "duration", "event"),
    [(load_rossi, "week", "arrest"), (load_waltons, "T", "E"), (load_gbsg2, "time", "cens")],
    ids=["rossi", "waltons", "gbsg2"],
)
def test_curve_and_interval_equal_those_of_lifelines(load, duration: str, event: str) -> None:
    data = load()
    ours = kaplan_meier(*(data[name].to_numpy(dtype=float) for name in (duration, event)), np.ones(len(data)))
    theirs = KaplanMeierFitter().fit(data[duration], data[event])
    low, high = theirs.confidence_interval_.loc[ours.duration].to_numpy().T
    assert ours.survival == pytest.approx(theirs.survival_function_.loc[ours.duration].to_numpy()[:, 0], abs=1e-9)
    between = (ours.survival > 0) & (ours.survival < 1)
    assert ours.low[between] == pytest.approx(low[between], abs=1e-6)
    assert ours.high[between] == pytest.approx(high[between], abs=1e-6)
    assert ours.at_risk.tolist() == theirs.event_table.loc[ours.duration, "at_risk"].tolist()


def test_counts_are_customers_many_times() -> None:
    duration, event, weight = np.array([1.0, 2.0, 2.0]), np.array([1.0, 1.0, 0.0]), np.array([3.0, 1.0, 2.0])
    once = kaplan_meier(duration, event, weight)
    many = kaplan_meier(*(np.repeat(values, weight.astype(int)) for values in (duration, event)), np.ones(6))
    assert once.survival.tolist() == many.survival.tolist() == [0.5, pytest.approx(1 / 3)]
    assert (once.at(0.5), once.at(1.0), once.at(99.0)) == (1.0, 0.5, pytest.approx(1 / 3))
