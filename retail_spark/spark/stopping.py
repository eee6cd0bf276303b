"""Ctrl-C, SIGTERM and SIGHUP end a command alike: what Spark computes is cancelled, what is held is given back.

The first signal unwinds the command as an exception, so that the lease is released and stages are removed. What has
not ended after a grace is ended hard, and so is everything on a second signal: a killed run leaves every table at its
old version or at its new one. Java and Python processes that the command started are ended with it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

EXIT_CODE = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE_SECONDS = 20.0
_KILL_AFTER_SECONDS = 3.0


class Stopping:
    """Whether the command was asked to end, by which signal, and which processes were there before it."""

    def __init__(self) -> None:
        self.by: str | None = None
        self._before = descendants(os.getpid())

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The handler of the signals."""
        if self.by is not None:
            self._end_hard()
        self.by = signal.Signals(number).name
        logging.disable(logging.CRITICAL)  # py4j writes a trace of every call that is cut off
        threading.Thread(target=self._cancel_until_ended, name="stopping", daemon=True).start()
        _forget_call_in_flight()
        raise KeyboardInterrupt

    def end_children(self) -> None:
        """Ends the processes that the command started: politely, then hard."""
        started = descendants(os.getpid()) - self._before
        for pid in started:
            _send(pid, signal.SIGTERM)
        limit = time.monotonic() + _KILL_AFTER_SECONDS
        while started and time.monotonic() < limit:
            time.sleep(0.05)
            started = {pid for pid in started if is_alive(pid)}  # one whose parent ended first is nobody's child
        for pid in started:
            _send(pid, signal.SIGKILL)

    def told(self) -> dict[str, Any]:
        """The last line of stdout."""
        return {"status": "stopped", "exit_code": EXIT_CODE, "error": f"stopped by {self.by}"}

    def tell(self) -> None:
        """One sentence for the terminal, one line of JSON for programs."""
        say = f"stopped by {self.by}: every table is as before or as after; run the same command again to take over"
        for stream, line in ((sys.stderr, say), (sys.stdout, json.dumps(self.told()))):
            stream.write(f"{line}\n")
            stream.flush()

    def _cancel_until_ended(self) -> None:
        """Cancels Spark's jobs again and again, for threads at work begin new ones; after the grace ends hard."""
        limit = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < limit:
            with contextlib.suppress(Exception):  # the JVM may be gone, or be in the middle of starting
                _cancel_jobs()
            time.sleep(0.5)
        self._end_hard()

    def _end_hard(self) -> None:
        with contextlib.suppress(Exception):
            self.tell()
        self.end_children()
        os._exit(EXIT_CODE)


@contextmanager
def stoppable() -> Iterator[Stopping]:
    """Handles the signals meanwhile, where they are not ignored (nohup) and this is the main thread."""
    stopping = Stopping()
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, stopping)
    try:
        yield stopping
    finally:
        logging.disable(logging.NOTSET)
        for kept, handler in before.items():
            signal.signal(kept, handler)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Puts back the handler of Ctrl-C that PySpark replaces: its own asks the JVM in the middle of a call to it."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def descendants(pid: int) -> set[int]:
    """Ids of the processes below one, dead ones left out; none where the system has no /proc."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = stat.read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                parents[int(stat.parent.name)] = int(fields[1])
    found, fresh = set[int](), {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def is_alive(pid: int) -> bool:
    """True while the process runs; one that has ended and waits to be asked for is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def _active_context() -> Any:
    """The classic SparkContext, if there is one. Looked for among what is imported: a stop imports nothing."""
    module = sys.modules.get("pyspark.core.context")
    return module.SparkContext._active_spark_context if module is not None else None


def _cancel_jobs() -> None:
    context = _active_context()
    if context is not None:
        context.cancelAllJobs()


def _forget_call_in_flight() -> None:
    """The thread's next call to the JVM goes through a new connection: the old one still owes it an answer."""
    module = sys.modules.get("pyspark.core.context")
    gateway = module.SparkContext._gateway if module is not None else None
    local = getattr(getattr(gateway, "_gateway_client", None), "thread_connection", None)
    if local is not None:
        local.connection = None
