"""What grows beside the tables: log, traces, checkpoints."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from pathlib import Path

import pytest

from retail_spark.maintain.pruning import cut_log, prune_checkpoints, prune_traces


def aged(path: Path, *, days: int) -> Path:
    os.utime(path, (time.time() - days * 86_400,) * 2)
    return path


def test_a_long_log_keeps_its_newest_half_in_whole_lines_and_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "spark.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(40_000):
            writer.write(b"%059d\n" % number)
        cut = cut_log(log, mib=2)
        writer.write(b"still there\n")
    lines = log.read_text().splitlines()
    assert cut > 1_000_000
    assert lines[-1] == "still there"
    assert [int(line) for line in lines[:-1]] == list(range(40_001 - len(lines), 40_000))
    assert 500_000 < log.stat().st_size <= 1024 * 1024 + 100
    assert cut_log(log, mib=2) == 0
    assert cut_log(tmp_path / "absent.log", mib=1) == 0


def test_old_traces_go_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name, days in (("retail-spark-a.trace", 20), ("retail-spark-b.trace", 1), ("other.trace", 20)):
        (tmp_path / name).touch()
        aged(tmp_path / name, days=days)
    assert prune_traces(days=14) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["other.trace", "retail-spark-b.trace"]


def test_checkpoints_of_old_sessions_go_and_a_streams_own_place_stays(tmp_path: Path) -> None:
    names = {"old": str(uuid.uuid4()), "new": str(uuid.uuid4()), "stream": "ingest-shop"}
    for kind, name in names.items():
        folder = tmp_path / "_checkpoints" / name
        folder.mkdir(parents=True)
        aged(folder, days=0 if kind == "new" else 30)
    assert prune_checkpoints(tmp_path, hours=168) == 1
    assert {one.name for one in (tmp_path / "_checkpoints").iterdir()} == {names["new"], names["stream"]}
