"""Our reconciliation against the field's own: MinTrace of hierarchicalforecast, with the same variances."""

from __future__ import annotations

import numpy as np
import pytest
from hierarchicalforecast.methods import MinTrace

from retail_spark.domains.forecast.reconcile.mint import reconcile, sums_of

PERIODS = 400


def residuals(variance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(series, periods) of residuals whose mean square is just the variance."""
    found = rng.normal(size=(len(variance), PERIODS))
    return found * np.sqrt(variance / (found**2).mean(axis=1))[:, None]


@pytest.mark.slow  # its import compiles
@pytest.mark.parametrize("seed", range(3))
def test_the_dual_form_gives_what_min_trace_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stores = np.array(["a", "a", "b", "b", "c", "c"])
    sums, names = sums_of({"total": np.array(["*"] * 6), "store": stores})
    bottom, variance = rng.gamma(5, 3, 6) + 10, rng.gamma(2, 1, 6)
    upper, upper_variance = sums @ bottom * (1 + rng.normal(0, 0.05, len(names))), rng.gamma(4, 2, len(names))
    ours = reconcile(bottom, variance, sums=sums, upper=upper, upper_variance=upper_variance)
    told = np.concatenate([upper, bottom])[:, None]
    errors = residuals(np.concatenate([upper_variance, variance]), rng)
    theirs = MinTrace(method="wls_var").fit_predict(
        S=np.vstack([sums.toarray(), np.eye(6)]), y_hat=told, y_insample=errors, y_hat_insample=np.zeros_like(errors)
    )
    assert ours.min() > 0
    assert ours == pytest.approx(theirs["mean"][-6:, 0], rel=1e-6)
