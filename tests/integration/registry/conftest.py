"""A registry on sqlite, made once a test process; every test takes a job name of its own."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from retail_spark.config.section import LakeSettings, MlflowSettings, Settings
from retail_spark.modelling.contest import Candidate
from retail_spark.modelling.gate import Difference, Gate
from retail_spark.registry.model import RunRecord
from retail_spark.registry.registry import Registry
from tests.integration.registry.line_model import Line


def settings_for(root, **mlflow):
    return Settings(lake=LakeSettings(root=str(root)), mlflow=MlflowSettings(**mlflow))


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    found = Registry.open(settings_for(tmp_path_factory.mktemp("registry") / "lake", timeout_seconds=60))
    found.warm()
    found.ping()
    return found


@pytest.fixture
def job(request):
    """A job name that no other test uses."""
    return request.node.name[:60].replace("[", "_").replace("]", "")


@pytest.fixture
def candidate(tmp_path):
    def make(slope=2.0):
        line = tmp_path / f"line_{slope}.json"
        line.write_text(json.dumps({"slope": slope}), encoding="utf-8")
        return Candidate(
            served=Line,
            artifacts={"line": line},
            example=pd.DataFrame({"x": [1.0]}),
            example_output=pd.DataFrame({"y": [slope]}),
            gate=Gate("r2", 0.9, {"mean": Difference(0.1, 0.05, 0.15)}),
            recipe={"slope": slope, "1": [1e-05, None, "on"]},
            params={"slope": slope},
        )

    return make


@pytest.fixture
def a_run(job):
    def make(run_id, as_of="2024-01-31", **more):
        given = {"seed": 42, "attempt": 1, "params": {"window": "30"}, "inputs": {"silver.sales": 3}, **more}
        return RunRecord(run_id=run_id, job=job, as_of=as_of, **given)

    return make
