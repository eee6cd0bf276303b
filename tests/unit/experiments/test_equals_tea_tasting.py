"""The statistics of experiments against tea-tasting 1.14 (2.0 needs Python 3.12) and statsmodels, to 1e-9."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import tea_tasting as tt
from tea_tasting.metrics.proportion import SampleRatio

from retail_spark.stats.clustered_groups import by_cluster
from retail_spark.stats.delta_method import adjusted, estimate
from retail_spark.stats.differences import Difference, difference_of_means, difference_of_proportions
from retail_spark.stats.false_discovery import false_discovery_rates
from retail_spark.stats.moments import ExactSums, Moments
from retail_spark.stats.power import power_of, smallest_effect, units_needed
from retail_spark.stats.sample_ratio import sample_ratio_p_value

WORLDS = range(50)


def users(seed: int) -> pd.DataFrame:
    """tea-tasting's own example data of one world."""
    found: pd.DataFrame = tt.make_users_data(rng=seed, covariates=True, n_users=2000, return_type="pandas")
    return found.assign(one=1.0, has_order=(found["orders"] > 0).astype(int))


def groups(data: pd.DataFrame, *columns: str) -> tuple[Moments, Moments]:
    control, treatment = (data.loc[data["variant"] == n, list(columns)].to_numpy(float) for n in (0, 1))
    return Moments.of_values(control), Moments.of_values(treatment)


def assert_same(found: Difference, expected: Any) -> None:
    pairs = {
        "control": found.control, "treatment": found.treatment, "effect_size": found.effect,
        "effect_size_ci_lower": found.low, "effect_size_ci_upper": found.high, "rel_effect_size": found.lift,
        "rel_effect_size_ci_lower": found.lift_low, "rel_effect_size_ci_upper": found.lift_high,
        "pvalue": found.p_value,
    }  # fmt: skip
    for name, value in pairs.items():
        assert value == pytest.approx(getattr(expected, name), rel=1e-9, abs=1e-9), name


@pytest.mark.parametrize("seed", WORLDS)
def test_means_ratios_proportions_cuped_and_false_discovery(seed: int) -> None:
    data = users(seed)
    experiment = tt.Experiment(
        mean=tt.Mean("revenue"), ratio=tt.RatioOfMeans("orders", "sessions"),
        share=tt.Proportion("has_order", method="norm"), cuped=tt.Mean("revenue", "revenue_covariate"),
        cuped_ratio=tt.RatioOfMeans("orders", "sessions", "orders_covariate", "sessions_covariate"),
    )  # fmt: skip
    expected = experiment.analyze(data)
    plain = [estimate(group) for group in groups(data, "revenue", "one", "one", "one")]
    ratio = [estimate(group) for group in groups(data, "orders", "sessions", "one", "one")]
    share = [estimate(group) for group in groups(data, "has_order", "one", "one", "one")]
    cuped = adjusted(*groups(data, "revenue", "one", "revenue_covariate", "one"))
    both = adjusted(*groups(data, "orders", "sessions", "orders_covariate", "sessions_covariate"))
    found = {
        "mean": difference_of_means(*plain), "ratio": difference_of_means(*ratio),
        "share": difference_of_proportions(*share), "cuped": difference_of_means(*cuped),
        "cuped_ratio": difference_of_means(*both),
    }  # fmt: skip
    for name, difference in found.items():
        assert_same(difference, expected[name])
    told = tt.adjust_fdr(expected)["-"]
    ours = false_discovery_rates(np.array([difference.p_value for difference in found.values()])).tolist()
    assert ours == pytest.approx([told[name]["pvalue_adj"] for name in found], rel=1e-9)


@pytest.mark.parametrize("seed", [0, 2, 3, 4])  # in world 1 tea-tasting's own solver meets NaN
def test_power_units_and_smallest_effect(seed: int) -> None:
    data = users(seed)
    variance = float(data["revenue"].var())
    power = tt.Mean("revenue", effect_size=1.0).solve_power(data, "power")[0].power
    assert power_of(1.0, variance=variance, units=len(data)) == pytest.approx(power, rel=1e-9)
    needed = tt.Mean("revenue", effect_size=0.5).solve_power(data, "n_obs")[0].n_obs
    assert units_needed(0.5, variance=variance) == needed
    effect = tt.Mean("revenue").solve_power(data, "effect_size")[0].effect_size
    assert smallest_effect(len(data), variance=variance) == pytest.approx(effect, rel=1e-9)


def test_power_has_a_value_far_out() -> None:
    assert power_of(0.5, variance=250.0, units=100_000) == pytest.approx(0.9988, abs=1e-4)
    assert power_of(-50.0, variance=1.0, units=1_000_000) == pytest.approx(1.0)
    assert units_needed(0.5, variance=float(users(1)["revenue"].var())) > 1000


@pytest.mark.parametrize(("counts", "ratio"), [((510, 450), 1), ((44_700, 45_489), 1), ((700, 1500), 2)])
def test_sample_ratio(counts: tuple[int, int], ratio: int) -> None:
    data = pd.DataFrame({"variant": np.repeat([0, 1], counts)})
    told = SampleRatio(ratio, correction=False).analyze(data, 0, 1, "variant").pvalue
    assert sample_ratio_p_value(counts, [1, ratio]) == pytest.approx(told, rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_clustered_errors_equal_statsmodels(seed: int) -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(40), rng.integers(1, 30, 40))
    treated = (cluster % 2).astype(float)
    value = rng.normal(size=len(cluster)) + rng.normal(size=40)[cluster] + 0.3 * treated
    told = sm.OLS(value, sm.add_constant(treated)).fit(cov_type="cluster", cov_kwds={"groups": cluster})
    sums = pd.DataFrame({"c": cluster, "variant": treated, "value": value, "n": 1.0, "one": 1.0, "other": 1.0})
    sums = sums.groupby(["c", "variant"], as_index=False).agg(
        {"value": "sum", "n": "sum", "one": "first", "other": "first"}
    )
    found = difference_of_means(*by_cluster(*groups(sums, "value", "n", "one", "other")))
    assert found.effect == pytest.approx(told.params[1], rel=1e-9)
    assert found.standard_error == pytest.approx(told.bse[1], rel=1e-9)


def test_exact_sums_give_the_moments_of_the_values() -> None:
    values = np.random.default_rng(1).normal(1e6, 1e-3, (50, 2))
    exact = ExactSums.of_values(values[:20].tolist()) + ExactSums.of_values(values[20:].tolist())
    expected = Moments.of_values(values)
    assert exact.moments.mean == pytest.approx(expected.mean, rel=1e-12)
    assert exact.moments.covariance == pytest.approx(expected.covariance, rel=1e-6, abs=1e-12)
    parts = Moments.of_values(values[:20]) + Moments.of_values(values[20:])
    assert parts.covariance == pytest.approx(exact.moments.covariance, rel=1e-6, abs=1e-12)
