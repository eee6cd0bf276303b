"""What a registered model is loaded from runs where pyspark is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from retail_spark import domains
from retail_spark.engine.catalogue import all_jobs

SERVED = sorted(path.parent.name for path in Path(domains.__file__).parent.glob("*/served.py"))
WITHOUT_SPARK = """
import sys
class Blocked:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("pyspark", "delta", "py4j", "great_expectations"):
            raise ImportError(f"{name} is not installed")
sys.meta_path.insert(0, Blocked())
import retail_spark.modelling.pyfunc
import retail_spark.domains.NAME.served
print("loaded")
"""


@pytest.mark.parametrize("name", SERVED)
def test_a_served_model_is_loaded_without_spark(name: str) -> None:
    code = WITHOUT_SPARK.replace("NAME", name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "loaded", done.stderr


def test_every_job_that_learns_serves() -> None:
    assert {name for name, entry in all_jobs().items() if entry.job().learns} == set(SERVED)
