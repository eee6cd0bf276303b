"""What a run costs beside its computation, per part: python -m tests.benchmarks.machinery_cost [--runs 3]

A toy job (ten rows in, ten rows out: next to no computation) runs in a fresh process each time: once on an empty
lake, then with a changed setting on the lake that is there, then unchanged. All its time is the machinery's own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile

CHILD = """
import json, sys, time
began = time.monotonic()
from retail_spark.engine.launch import launch
from retail_spark.engine.progress import Progress
from tests.benchmarks.machinery_cost import learning_toy
from tests.toy import many_inputs, toy_job, toy_settings
imported = time.monotonic() - began
root, kind, factor = sys.argv[1:]
progress = Progress("toy", quiet=True)
job = learning_toy() if kind == "learns" else toy_job("replace_slice")
result = launch(job, toy_settings(root, factor=float(factor)), progress=progress)
print(json.dumps({"status": result.status, "import": imported, **progress.seconds, "all": time.monotonic() - began}))
"""


def learning_toy():
    """The toy with a model of one number, so that MLflow has its part."""
    import dataclasses
    import json as json_
    from pathlib import Path as Path_

    import pandas as pd

    from retail_spark.modelling.contest import Candidate
    from retail_spark.modelling.gate import Difference, Gate
    from tests.benchmarks.toy_model import Times
    from tests.toy import toy_job

    plain = toy_job("replace_slice")
    folder = Path_(tempfile.mkdtemp())
    (folder / "factor.json").write_text(json_.dumps({"factor": 2.0}))
    example = pd.DataFrame({"value": [1.0, 2.0]})

    def function(run, settings):
        outcome = plain.function(run, settings)
        model = Candidate(
            served=Times,
            artifacts={"factor": folder / "factor.json"},
            example=example,
            example_output=example * 2.0,
            gate=Gate("score", settings.factor, {"zero": Difference(1.0, 0.5, 1.5)}),
            recipe={"factor": settings.factor},
            params={"factor": settings.factor},
        )
        return dataclasses.replace(outcome, model=model)

    return dataclasses.replace(plain, function=function, learns=True)


def prepare(root: str) -> None:
    """Ten input rows on a fresh lake."""
    from retail_spark.lake.lake import Lake
    from retail_spark.spark.session import get_session
    from tests.toy import put_input, toy_settings

    settings = toy_settings(root)
    lake = Lake.open(get_session(settings), settings.lake)
    put_input(lake, *((str(i), "2024-01-01", float(i)) for i in range(10)))


def measure(kind: str) -> list[dict[str, float]]:
    """Seconds per part of a first, a changed and an unchanged run, each in a process of its own."""
    with tempfile.TemporaryDirectory() as root:
        subprocess.run(
            [sys.executable, "-c", f"from tests.benchmarks.machinery_cost import prepare; prepare({root!r})"],
            check=True,
        )
        told = []
        for factor in ("2.0", "3.0", "3.0"):
            done = subprocess.run([sys.executable, "-c", CHILD, root, kind, factor], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            told.append(json.loads(done.stdout.splitlines()[-1]))
        assert [t.pop("status") for t in told] == ["done", "done", "unchanged"]
        return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    for kind in ("plain", "learns"):
        measured = [measure(kind) for _ in range(runs)]
        parts = list(dict.fromkeys(part for one in measured for run in one for part in run))
        print(f"\n{kind} job, seconds (median of {runs}): first run on the lake / changed setting / unchanged rerun")
        for part in parts:
            columns = [statistics.median(one[i].get(part, 0.0) for one in measured) for i in range(3)]
            print(f"  {part:<10}" + "".join(f"{value:8.2f}" for value in columns))


if __name__ == "__main__":
    main()
