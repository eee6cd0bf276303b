"""Where MLflow is, by the settings; and what becomes a param."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from retail_spark.config.secrets import SecretRef
from retail_spark.config.section import LakeSettings, MlflowSettings, Section, Settings, setting
from retail_spark.errors import UsageError
from retail_spark.registry.connection import _WARMING, Connection, warm
from retail_spark.registry.model_files import as_param, params_of
from retail_spark.registry.registry import Registry


def connection(root="/data/lake", **mlflow):
    return Connection.of(Settings(lake=LakeSettings(root=root), mlflow=MlflowSettings(**mlflow)))


@pytest.mark.parametrize("root", ["/data/lake", "/data/lake/", "file:/data/lake", "file:///data/lake"])
def test_a_local_lake_holds_its_own_database_and_artifacts(root):
    found = connection(root)
    assert found.uri == "sqlite:////data/lake/_mlflow/mlflow.db"
    assert found.artifact_root == "/data/lake/_mlflow/artifacts"
    assert found.is_local


def test_a_relative_root_is_made_absolute():
    assert connection("./lake").uri == f"sqlite:///{Path('lake').resolve()}/_mlflow/mlflow.db"


def test_a_remote_lake_needs_a_tracking_uri():
    with pytest.raises(UsageError, match=r"set mlflow\.tracking_uri"):
        connection("s3a://bucket/lake")


@pytest.mark.parametrize("uri", ["https://mlflow.example.org", "http://127.0.0.1:5000", "databricks"])
def test_a_server_decides_where_artifacts_lie(uri):
    found = connection("s3a://bucket/lake", tracking_uri=uri)
    assert (found.uri, found.artifact_root, found.is_local) == (uri, None, False)


def test_a_database_server_keeps_artifacts_beside_the_lake():
    found = connection("s3://bucket/lake", tracking_uri="postgresql://bob:pw@db/mlflow")
    assert (found.artifact_root, found.is_local) == ("s3://bucket/lake/_mlflow/artifacts", False)
    assert found.shown == "postgresql://bob:***@db/mlflow"


def test_opening_imports_no_mlflow():
    code = (
        "import sys; from retail_spark.registry.registry import Registry; "
        "from retail_spark.config.section import Settings; "
        "Registry.open(Settings()); sys.exit('mlflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_model_is_named_by_prefix_and_job():
    assert Registry.open(Settings()).name_of("recommend") == "retail_spark_recommend"


class _Inner(Section):
    rank: int = setting(32, "rank")
    token: SecretRef | None = setting(None, "token")


class _Outer(Section):
    als: _Inner = setting(_Inner, "als")
    cuts: list[int] = setting(list, "cuts")
    source: str = setting("", "source")


def test_params_are_flat_and_secrets_masked(monkeypatch):
    monkeypatch.setenv("HUSH", "the-secret")
    settings = _Outer(als={"token": "env:HUSH"}, cuts=[1, 2], source="jdbc:postgresql://bob:pw@db/shop?password=pw2")
    assert params_of(settings) == {
        "als.rank": "32",
        "als.token": "***",
        "cuts": "[1, 2]",
        "source": "jdbc:postgresql://bob:***@db/shop?password=***",
    }


def test_a_long_param_is_cut_and_still_tells_values_apart():
    one, other = as_param("x" * 7000 + "1"), as_param("x" * 7000 + "2")
    assert len(one) <= 6000
    assert one != other


def test_an_absent_token_leaves_no_trace_of_a_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    found = connection(str(tmp_path), token="env:NOT_THERE_AT_ALL")
    warm(found)
    _WARMING[found.uri].join()
    assert died == []
    with pytest.raises(UsageError, match="NOT_THERE_AT_ALL"):
        found.ping()


def test_a_whole_address_may_be_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", "postgresql://ann:canary-hush@db/mlflow")
    found = connection(tracking_uri="env:STORE")
    assert found.uri.endswith("@db/mlflow")
    assert "canary-hush" not in found.shown
