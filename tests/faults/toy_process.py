"""A toy run in a process of its own, to be killed: says `write` on stdout when it starts to write."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from retail_spark.lifecycle import run_job
from retail_spark.progress import Progress
from retail_spark.session import get_session
from tests.toy import Mode, toy_job, toy_settings


class Announcing(Progress):
    """Tells the parent that the writing begins."""

    @contextmanager
    def step(self, part: str, doing: str = "") -> Iterator[None]:
        if part == "write":
            print("write", flush=True)
        with super().step(part, doing):
            yield


def main(root: str, mode: str, factor: str) -> None:
    settings = toy_settings(root, factor=float(factor), repeat=20)
    spark = get_session(settings)
    run_job(toy_job(cast(Mode, mode)), settings, spark=spark, progress=Announcing("toy", quiet=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
