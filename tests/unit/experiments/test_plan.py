"""The command that plans an experiment."""

from __future__ import annotations

import pytest

from retail_spark.cli.plan_experiment import plan
from retail_spark.errors import UsageError
from retail_spark.stats.power import units_needed


def test_a_share_is_planned_from_its_mean_alone() -> None:
    needed = units_needed(0.0095, variance=0.19 * 0.81)
    text = plan(mean=0.19, deviation=None, lift=0.05, units_a_day=2000)
    assert text.startswith(f"{needed:,} units")
    assert f"takes {-(-needed // 2000)} days" in text
    assert [line.split()[0] for line in text.splitlines()[-5:]] == ["7", "14", "27", "28", "56"]


def test_a_longer_experiment_shows_smaller_effects() -> None:
    text = plan(mean=5.0, deviation=18.0, lift=0.03, units_a_day=5000)
    lifts = [float(line.split()[-1].rstrip("%")) for line in text.splitlines()[-4:]]
    assert lifts == sorted(lifts, reverse=True)


@pytest.mark.parametrize(
    ("mean", "deviation", "lift"), [(5.0, None, 0.1), (0.0, 1.0, 0.1), (0.2, None, 0.0), (0.2, -1.0, 0.1)]
)
def test_figures_that_no_experiment_has_are_refused(mean: float, deviation: float | None, lift: float) -> None:
    with pytest.raises(UsageError):
        plan(mean=mean, deviation=deviation, lift=lift)
