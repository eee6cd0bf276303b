"""Progress of long steps, on stderr: a line a step with the seconds it took. Also keeps the seconds per part."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class Progress:
    """Names the step at work and adds up the seconds of each part of a run.

    On a terminal the running step counts its seconds in place; elsewhere a finished step is one line. Steps
    under a second stay silent.
    """

    def __init__(self, label: str, *, stream: TextIO | None = None, quiet: bool = False) -> None:
        self.seconds: dict[str, float] = {}
        self._label = label
        self._stream = stream if stream is not None else sys.stderr
        self._quiet = quiet
        self._depth = 0

    @contextmanager
    def step(self, part: str, doing: str = "") -> Iterator[None]:
        """Times `part`; `doing` says it in words. Inner steps count for themselves and for the outer one."""
        began = time.monotonic()
        self._depth += 1
        ended = threading.Event()
        show = not self._quiet and self._depth == 1
        ticker = threading.Thread(target=self._tick, args=(doing or part, began, ended), daemon=True)
        if show and self._stream.isatty():
            ticker.start()
        try:
            yield
        finally:
            ended.set()
            if ticker.ident is not None:
                ticker.join()
            self._depth -= 1
            took = time.monotonic() - began
            self.seconds[part] = self.seconds.get(part, 0.0) + took
            if show and took >= 1:
                self._say(f"{self._label}: {doing or part} {took:.1f} s\n")

    def note(self, text: str) -> None:
        """A line for the person who watches."""
        if not self._quiet:
            self._say(f"{self._label}: {text}\n")

    def _say(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _tick(self, doing: str, began: float, ended: threading.Event) -> None:
        while not ended.wait(0.5):
            self._say(f"\r{self._label}: {doing} {time.monotonic() - began:.0f} s ")
        self._say("\r\x1b[K")
