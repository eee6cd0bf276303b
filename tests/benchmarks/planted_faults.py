"""Plants faults in a copy of the project; the tests must find them: `python -m tests.benchmarks.planted_faults`.

A law that is tested more cheaply must still be a law. Prints each fault with the first test that failed; exit code 1
when one went unseen.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).parents[2]
COPIED = ("retail_spark", "tests", "conf", "deploy", "pyproject.toml")


@dataclass(frozen=True)
class Fault:
    """A line that is right, the same line with a fault, and the test file that has to fail."""

    what: str
    file: str
    right: str
    wrong: str
    test: str


FAULTS = (
    Fault(
        "a writer that drops a row",
        "retail_spark/lake/commit.py",
        'writer = frame.write.format("delta").mode("append")',
        'writer = frame.offset(1).write.format("delta").mode("append")',
        "tests/integration/lake/test_writers.py",
    ),
    Fault(
        "a slice that keeps its old rows",
        "retail_spark/lake/commit.py",
        '.option("userMetadata", run_id).overwrite(condition)',
        '.option("userMetadata", run_id).append()',
        "tests/integration/lake/test_writers.py",
    ),
    Fault(
        "a rerun that adds twice",
        "retail_spark/lake/commit.py",
        'once = {"txnAppId": f"{run_id}:{write.contract.name}:{since}", "txnVersion": "1"}',
        "once: dict[str, str] = {}",
        "tests/integration/lake/test_writers.py",
    ),
    Fault(
        "a journal that adds twice",
        "retail_spark/lake/journal.py",
        "commit.run_id == run_id and commit.version > since",
        "commit.run_id == 'nobody' and commit.version > since",
        "tests/integration/lake/test_journal.py",
    ),
    Fault(
        "a forecast that sees the future",
        "retail_spark/domains/forecast/features/matrix.py",
        'found[f"lag_{k}"] = _at(past.y, last + 1 - k) - level',
        'found[f"lag_{k}"] = _at(past.y, last + 2 - k) - level',
        "tests/unit/forecast/test_features.py",
    ),
)


def first_failure(fault: Fault) -> str | None:
    """The first test that fails on a copy with the fault; None when all pass."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        copy.mkdir()
        for name in COPIED:
            if (REPO / name).is_dir():
                shutil.copytree(REPO / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(REPO / name, copy)
        place = copy / fault.file
        text = place.read_text(encoding="utf-8")
        assert text.count(fault.right) == 1, f"{fault.file} no longer holds {fault.right!r}"
        place.write_text(text.replace(fault.right, fault.wrong), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-rf", "-m", "not slow", fault.test]
        environment = os.environ | {"PYTHONPATH": str(copy)}
        ran = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
        found = re.search(r"^FAILED (\S+)", ran.stdout, re.MULTILINE)
        assert ran.returncode in (0, 1), ran.stdout[-3000:]
        return found.group(1) if found else None


def main() -> int:
    unseen = 0
    for fault in FAULTS:
        failed = first_failure(fault)
        unseen += failed is None
        print(f"{fault.what}: {failed or 'NOT FOUND'}", flush=True)
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main())
