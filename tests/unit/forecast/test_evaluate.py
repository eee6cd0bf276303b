"""A refusal never hands over to who is further outside the limits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from retail_spark.domains.forecast import job
from retail_spark.domains.forecast.evaluate import BUCKETS, Limits, Measured, gate_of, kept_gate
from retail_spark.domains.forecast.settings import JobSettings
from retail_spark.modelling.gate import judge

LIMITS = Limits(bias=0.25, coverage=0.15)


def measured(*, wape: float, bias: float, coverage: float = 0.8, reference: float = 9.05) -> Measured:
    """1,000 units in every bucket, all of which err alike."""
    units = 1000.0
    return Measured(pd.DataFrame({
        "bucket": range(BUCKETS), "category": "c", "units": units, "points": 10.0, "absolute_policy": wape * units,
        "error_policy": bias * units, "absolute_reference": reference * units, "error_reference": units,
        "coverage_80": coverage * 10.0, "coverage_95": 9.0,
    }))  # fmt: skip


def verdict(ours: Measured, successor: Measured, *, champion: Measured | None = None) -> tuple[bool, str | None]:
    """Whether the candidate passes, and what is told."""
    gate = gate_of(ours, champion, limits=LIMITS, replicates=20, seed=1)
    gate, told = kept_gate(gate, ours, successor=successor, limits=LIMITS, tolerance=0.02, replicates=20, seed=1)
    return not judge(gate, tolerance=0.02), told


def test_a_biased_candidate_is_not_replaced_by_one_that_is_more_so() -> None:
    ours, naive = measured(wape=2.23, bias=0.67), measured(wape=9.05, bias=7.5)
    passed, told = verdict(ours, naive)
    assert passed
    assert told is not None
    assert "bias 0.6700 is outside" in told
    assert "bias 0.670 against 7.500" in told


@pytest.mark.parametrize(
    ("ours", "successor"),
    [
        (measured(wape=2.23, bias=0.67), measured(wape=9.05, bias=0.1)),  # the limits mean what they say
        (measured(wape=2.23, bias=0.0, coverage=0.5), measured(wape=9.05, bias=0.0, coverage=0.6)),
        (measured(wape=0.9, bias=0.1, reference=0.5), measured(wape=0.5, bias=0.4)),  # clearly worse in WAPE
        (measured(wape=0.9, bias=0.1, reference=0.5), measured(wape=0.5, bias=0.1)),  # both within
    ],
)
def test_a_successor_nearer_to_the_limits_or_clearly_better_takes_over(ours: Measured, successor: Measured) -> None:
    assert verdict(ours, successor) == (False, None)


def test_a_champion_outside_the_limits_does_not_take_over_from_one_inside() -> None:
    ours, champion = measured(wape=9.05, bias=0.1), measured(wape=9.05, bias=0.9)
    assert verdict(ours, champion, champion=champion)[0], "not clearly better than seasonal naive, and yet"
    assert verdict(ours, measured(wape=9.05, bias=0.2), champion=champion) == (False, None)


def test_the_job_tells_when_a_candidate_scores_that_the_gate_would_refuse() -> None:
    notes: list[str] = []
    run: Any = SimpleNamespace(
        seed=1, settings=SimpleNamespace(gate=SimpleNamespace(tolerance=0.02)),
        progress=SimpleNamespace(note=notes.append),
    )  # fmt: skip
    made, naive = (SimpleNamespace(measured=measured(wape=w, bias=b)) for w, b in ((2.23, 0.67), (9.05, 7.5)))
    opened = job._gate(run, JobSettings(), cast(Any, made), champion=None, baseline=cast(Any, lambda: naive))
    assert judge(opened, tolerance=0.02) == ()
    assert len(notes) == 1
    good = SimpleNamespace(measured=measured(wape=2.23, bias=0.1))
    gate = job._gate(run, JobSettings(), cast(Any, good), champion=None, baseline=cast(Any, pytest.fail))
    assert set(gate.limits) == {"bias", "coverage_80"}
    assert len(notes) == 1
