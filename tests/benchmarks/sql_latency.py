"""How long `retail-spark sql` takes, each time in a process of its own, and where the time goes.

python -m tests.benchmarks.sql_latency [--runs 5]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

PREPARE = "from tests.benchmarks.machinery_cost import prepare; prepare({root!r})"
PARTS = """
import json, time
began = time.monotonic()
from retail_spark.cli.query_output import rendered
from retail_spark.engine.launch import open_lake_for_query
from retail_spark.engine.settings_layers import resolve
imported = time.monotonic()
lake = open_lake_for_query(resolve(sets=["lake.root={root}"]))
started = time.monotonic()
rendered(lake, {query!r}, form="csv", limit=100)
answered = time.monotonic()
rendered(lake, {query!r}, form="csv", limit=100)
print(json.dumps([imported - began, started - imported, answered - started, time.monotonic() - answered]))
"""


def main() -> None:
    """Times the command, an empty Python start, and the parts inside."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as root:
        subprocess.run([sys.executable, "-c", PREPARE.format(root=root)], check=True)
        from tests.toy import INPUT

        query = f"SELECT count(*) AS n FROM {INPUT.name}"
        command = [
            sys.executable,
            "-m",
            "retail_spark.cli",
            "sql",
            "--set",
            f"lake.root={root}",
            "--format",
            "csv",
            query,
        ]
        whole = [timed(command) for _ in range(runs)]
        low, high = min(whole), max(whole)
        print(f"retail-spark sql: {statistics.median(whole):.1f} s median of {runs} ({low:.1f} to {high:.1f})")
        inside = subprocess.run(
            [sys.executable, "-c", PARTS.format(root=root, query=query)], check=True, capture_output=True, text=True
        )
        print("imports, start of Spark, first answer, second answer (s):", inside.stdout.strip())


def timed(command: list[str]) -> float:
    """Seconds of a command that must succeed."""
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
