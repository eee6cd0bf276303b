"""MLflow down, deaf, unwilling, or opened by two at once."""

from __future__ import annotations

import http.server
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from retail_spark.errors import ServiceMissingError
from retail_spark.registry.registry import Registry
from tests.integration.registry.conftest import settings_for


@pytest.fixture
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture
def deaf_port():
    """Takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield listening.getsockname()[1]


@pytest.fixture
def unwilling_server():
    """Answers every request with 403; keeps what it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization")))
            body = b'{"error_code": "PERMISSION_DENIED", "message": "not for you"}'
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


def opened(tmp_path, **mlflow):
    found = Registry.open(settings_for(tmp_path / "lake", **mlflow))
    found.connection.prepare()
    return found


def test_a_server_that_is_down_is_told_at_once(tmp_path, closed_port):
    registry = opened(tmp_path, tracking_uri=f"http://bob:hush@127.0.0.1:{closed_port}", timeout_seconds=5)
    began = time.monotonic()
    with pytest.raises(ServiceMissingError, match=r"bob:\*\*\*@.*does not answer") as caught:
        registry.ping()
    assert time.monotonic() - began < 5
    assert caught.value.__cause__ is not None
    assert "hush" not in str(caught.value)


def test_a_server_that_never_answers_is_given_up_in_time(tmp_path, deaf_port):
    registry = opened(tmp_path, tracking_uri=f"http://127.0.0.1:{deaf_port}", timeout_seconds=2)
    began = time.monotonic()
    with pytest.raises(ServiceMissingError, match="does not answer"):
        registry.ping()
    assert time.monotonic() - began < 4


def test_a_database_without_its_driver_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(ServiceMissingError, match=r"mysql\+pymysql://bob:\*\*\*@db/mlflow needs the package pymysql"):
        opened(tmp_path, tracking_uri="mysql+pymysql://bob:hush@db/mlflow").ping()


def test_a_refusal_is_told_as_such_and_the_token_was_sent(tmp_path, unwilling_server, monkeypatch):
    uri, asked = unwilling_server
    monkeypatch.setenv("MLFLOW_TOKEN_OF_TEST", "the-token")
    registry = opened(tmp_path, tracking_uri=uri, token="env:MLFLOW_TOKEN_OF_TEST")
    with pytest.raises(ServiceMissingError, match=r"refused \(PERMISSION_DENIED\): .*not for you"):
        registry.champion("recommend")
    assert {token for _, token in asked} == {"Bearer the-token"}
    assert "MLFLOW_TRACKING_TOKEN" not in os.environ


def test_a_store_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "lake").write_text("a file where the lake should be", encoding="utf-8")
    registry = Registry.open(settings_for(tmp_path / "lake"))
    registry.warm()
    with pytest.raises(ServiceMissingError, match=r"does not answer.*_mlflow") as caught:
        registry.ping()
    assert isinstance(caught.value.__cause__, OSError)


def test_a_damaged_database_is_told_in_time(tmp_path):
    folder = tmp_path / "lake" / "_mlflow"
    folder.mkdir(parents=True)
    (folder / "mlflow.db").write_bytes(b"this is not a database" * 100)
    began = time.monotonic()
    with pytest.raises(ServiceMissingError, match="not a database") as caught:
        opened(tmp_path).ping()
    assert time.monotonic() - began < 5
    assert isinstance(caught.value.__cause__, sqlite3.Error)


OPEN = """
import sys
from retail_spark.registry.registry import Registry
from retail_spark.config.section import LakeSettings, Settings
registry = Registry.open(Settings(lake=LakeSettings(root=sys.argv[1])))
registry.warm()
registry.ping()
with registry.connection.talking() as client:
    print(registry._experiment_id(client))
"""


@pytest.mark.slow
def test_two_processes_open_a_fresh_store_at_once(tmp_path):
    root = tmp_path / "lake"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert {out.strip() for out, _ in said} == {"1"}
    assert [err for _, err in said] == ["", ""]
    assert [p.name for p in (root / "_mlflow").iterdir()] == ["mlflow.db"]


@pytest.mark.slow
def test_a_process_killed_while_making_the_store_leaves_nothing_half_made(tmp_path):
    root = tmp_path / "lake"
    process = subprocess.Popen([sys.executable, "-c", OPEN, str(root)], stdout=subprocess.DEVNULL)
    while not list(root.glob("_mlflow/new-*/mlflow.db")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (root / "_mlflow" / "mlflow.db").exists()
    Registry.open(settings_for(root)).ping()
    with sqlite3.connect(root / "_mlflow" / "mlflow.db") as file:
        assert file.execute("SELECT count(*) FROM experiments").fetchone() == (1,)


def test_warming_makes_the_store_meanwhile_and_pinging_waits_for_it(tmp_path):
    settings = settings_for(tmp_path / "lake")
    began = time.monotonic()
    Registry.open(settings).warm()
    assert time.monotonic() - began < 0.5
    Registry.open(settings).ping()
    assert [p.name for p in (tmp_path / "lake" / "_mlflow").iterdir()] == ["mlflow.db"]
