"""The same registry against a real MLflow server on loopback, and against its death."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from retail_spark.errors import ServiceMissingError
from retail_spark.registry.registry import Registry
from tests.integration.registry.conftest import settings_for


@pytest.fixture
def server(tmp_path, registry):
    """(address, process); the backend's database is made by `registry`'s own code, which is the fastest way."""
    home = settings_for(tmp_path / "server")
    Registry.open(home).ping()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", Registry.open(home).connection.uri]
    command += ["--artifacts-destination", str(tmp_path / "server" / "artifacts")]
    with (tmp_path / "server.log").open("w") as log:
        env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # runners of their own, that outlive it
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    wait_for(address, process, tmp_path / "server.log")
    yield address, process
    if process.poll() is None:
        kill(process)


def kill(process):
    """The server and its worker, which waits for open connections when asked politely."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=20)


def wait_for(address, process, log):
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"the server did not start: {log.read_text()}")


@pytest.mark.slow
def test_a_server_holds_runs_models_and_artifacts_until_it_dies(server, candidate, a_run, job, capfd):
    address, process = server
    registry = Registry.open(settings_for("s3://bucket/lake", tracking_uri=address, timeout_seconds=10))
    registry.ping()
    assert registry.champion(job) is None
    first = registry.record(a_run("run-1"), candidate(5.0), metrics={"r2": 0.9})
    assert registry.record(a_run("run-1"), candidate(5.0), metrics={"r2": 0.9}) == first
    assert registry.promote(job, first.version)
    champion = registry.champion(job)
    assert champion.recipe["slope"] == 5.0
    assert champion.artifacts["line"].read_text(encoding="utf-8") == '{"slope": 5.0}'

    kill(process)
    began = time.monotonic()
    with pytest.raises(ServiceMissingError, match="does not answer"):
        registry.record(a_run("run-2"), candidate(), metrics={})
    assert time.monotonic() - began < 20
    assert capfd.readouterr() == ("", "")
