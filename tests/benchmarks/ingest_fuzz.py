"""Thousands of made-up files of every dialect through ingest's readers, against csv and json of the standard library.

python -m tests.benchmarks.ingest_fuzz --folders 200     2,000 files of CSV and as many of JSON
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest


def main() -> int:
    """Runs the test of the slow suite with as many folders as asked for; a folder holds up to ten files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folders", type=int, default=200)
    os.environ["RETAIL_SPARK_TEST_FOLDERS"] = str(parser.parse_args().folders)
    fuzz = Path(__file__).parents[1] / "integration" / "ingest" / "test_fuzz.py"
    return int(pytest.main([str(fuzz), "-m", "slow"]))


if __name__ == "__main__":
    sys.exit(main())
