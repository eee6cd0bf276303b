"""The package reaches a real cluster: nothing of it is installed on the executors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import Cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the submitted probe saw on the driver and on the executors."""
    table = tmp_path_factory.mktemp("probe") / "table"
    done = cluster.submit("probe", str(table), jobs=Path(__file__).parent / "probes")
    return json.loads(done.stdout.splitlines()[-1])


def test_executors_import_the_package_that_was_submitted(cluster: Cluster, told: dict[str, Any]) -> None:
    assert told["master"] == cluster.master
    assert "retail_spark.zip" in told["driver"]
    assert len(told["executors"]) == 64
    assert all("retail_spark.zip" in seen["origin"] for seen in told["executors"])


def test_both_workers_take_part(told: dict[str, Any]) -> None:
    workers = {Path(seen["folder"]).parents[1].name for seen in told["executors"]}
    assert workers == {"worker-1", "worker-2"}
