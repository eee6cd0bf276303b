from __future__ import annotations

import errno
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import cast

import pytest
from pyspark.sql import SparkSession

from retail_spark.errors import LeaseHeldError
from retail_spark.lake import lease as leases
from retail_spark.lake.lake import Lake
from retail_spark.lake.lease import Holder, hold, process_start

HOLDER = """
import sys, time
from retail_spark.lake.lease import hold
from retail_spark.lake.lake import Lake
with hold(Lake(None, sys.argv[1], None), "job"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def here(tmp_path: Path) -> Lake:
    return Lake(cast(SparkSession, None), str(tmp_path), None)


def lease_file(lake: Lake) -> Path:
    return Path(lake.root) / "_leases" / "job.json"


def test_a_lease_is_held_once_and_given_back(here: Lake) -> None:
    with hold(here, "job"):
        with pytest.raises(LeaseHeldError, match=f"process {os.getpid()}"), hold(here, "job"):
            pass
        with hold(here, "another job"):
            pass
    with hold(here, "job") as lease:
        lease.check()
    assert not lease_file(here).exists()


def test_a_lease_of_a_killed_process_is_taken_over(here: Lake) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, here.root], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(LeaseHeldError), hold(here, "job"):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with hold(here, "job") as lease:
        lease.check()


def test_a_process_id_that_was_given_anew_does_not_keep_a_lease(here: Lake) -> None:
    lease_file(here).parent.mkdir(parents=True)
    other = Holder("x", Holder.me().host, os.getpid(), 1.0, time.time())
    lease_file(here).write_text(json.dumps(other.__dict__))
    with hold(here, "job") as lease:
        lease.check()


def put(lake: Lake, holder: object) -> None:
    lease_file(lake).parent.mkdir(parents=True, exist_ok=True)
    lease_file(lake).write_text(json.dumps(holder))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(leases, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(leases, "AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("clock", [-86_400.0, 0.0, 86_400.0])
def test_a_holder_elsewhere_is_judged_by_its_beats_and_not_by_its_clock(here: Lake, clock: float) -> None:
    ended = threading.Event()

    def live() -> None:
        for n in itertools.count():
            put(here, Holder("x", "elsewhere", 1, 1.0, time.time() + clock + n).__dict__)
            if ended.wait(0.05):
                return

    put(here, Holder("x", "elsewhere", 1, 1.0, time.time() + clock).__dict__)
    living = threading.Thread(target=live)
    living.start()
    try:
        with pytest.raises(LeaseHeldError, match="elsewhere"), hold(here, "job"):
            pass
    finally:
        ended.set()
        living.join()
    with hold(here, "job") as lease:
        lease.check()


@pytest.mark.usefixtures("quick")
def test_the_same_host_name_in_another_container_is_not_looked_up_here(here: Lake) -> None:
    other = Holder("x", f"{socket.gethostname()}#another", 2**22 - 1, 1.0, time.time())
    assert not other.is_gone, "its processes are not seen from here"
    put(here, other.__dict__)
    began = time.monotonic()
    with hold(here, "job") as lease:
        lease.check()
    assert time.monotonic() - began >= leases.SILENT_SECONDS


@pytest.mark.parametrize("beat", ["soon", None, [1]])
def test_a_lease_whose_beat_is_no_number_holds_nothing(here: Lake, beat: object) -> None:
    put(here, Holder.me().__dict__ | {"token": "x", "beat": beat})
    with hold(here, "job") as lease:
        lease.check()


@pytest.mark.usefixtures("quick")
def test_a_heartbeat_survives_an_error_of_the_disk_and_tells_it_once(
    here: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = Path.write_text
    full = threading.Event()

    def write_text(path: Path, *given: object, **named: object) -> int:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", write_text)
    with hold(here, "job") as lease:
        full.set()
        time.sleep(0.3)
        full.clear()
        before = json.loads(lease_file(here).read_text())["beat"]
        time.sleep(0.3)
        assert json.loads(lease_file(here).read_text())["beat"] > before
        lease.check()
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_a_run_that_lost_its_lease_may_not_write(here: Lake) -> None:
    with hold(here, "job") as lease:
        taken = Holder("other", "elsewhere", 1, 1.0, time.time())
        lease_file(here).write_text(json.dumps(taken.__dict__))
        with pytest.raises(LeaseHeldError, match="taken over"):
            lease.check()
    assert json.loads(lease_file(here).read_text())["token"] == "other"


def test_a_lease_file_cut_off_by_a_crash_holds_nothing(here: Lake) -> None:
    lease_file(here).parent.mkdir(parents=True)
    lease_file(here).write_text('{"token": "x", "ho')
    with hold(here, "job") as lease:
        lease.check()


def test_the_heartbeat_keeps_a_lease_fresh(here: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
    with hold(here, "job"):
        before = json.loads(lease_file(here).read_text())["beat"]
        time.sleep(0.5)
        assert json.loads(lease_file(here).read_text())["beat"] > before


def test_a_process_that_is_gone_has_no_start() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    assert process_start(process.pid) is None
    assert process_start(os.getpid()) is not None
