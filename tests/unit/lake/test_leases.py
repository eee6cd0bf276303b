from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest
from pyspark.sql import SparkSession

from retail_spark.errors import LeaseHeldError
from retail_spark.lake import leases
from retail_spark.lake.leases import Holder, hold, process_start
from retail_spark.lake.store import Lake

HOLDER = """
import sys, time
from retail_spark.lake.leases import hold
from retail_spark.lake.store import Lake
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


def test_silence_of_a_minute_on_another_host_ends_a_lease(here: Lake) -> None:
    lease_file(here).parent.mkdir(parents=True)
    alive = Holder("x", "elsewhere", 1, 1.0, time.time() - 30)
    lease_file(here).write_text(json.dumps(alive.__dict__))
    with pytest.raises(LeaseHeldError, match="elsewhere"), hold(here, "job"):
        pass
    silent = Holder("x", "elsewhere", 1, 1.0, time.time() - leases.SILENT_SECONDS - 1)
    lease_file(here).write_text(json.dumps(silent.__dict__))
    with hold(here, "job") as lease:
        lease.check()


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
