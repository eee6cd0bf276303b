"""The session that stays: answers questions until none has come for a while, then ends by itself.

Started by the command `sql` (see start.py) as `python -m retail_spark.cli.standby.server`, with the settings on its
standard input.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket

from retail_spark.cli.standby.talk import Answer, Question, receive, send
from retail_spark.config.secrets import masked
from retail_spark.config.section import Settings
from retail_spark.spark.failures import explain

_LOOK_SECONDS = 1.0
_PATIENCE_SECONDS = 10.0
"""How long a client may take to send its question."""


class Desk:
    """Listens on a socket, and hands every question to `answer`. One at a time: a session has one set of views."""

    def __init__(self, path: Path, answer: Callable[[Question], Answer], *, stay_seconds: float) -> None:
        self._path = path
        self._answer = answer
        self._stay_seconds = stay_seconds
        self._one_at_a_time = threading.Lock()
        self._busy = 0
        self._last = time.monotonic()

    def serve(self) -> None:
        """Answers until no question has come for stay_seconds, or the socket was removed: so it is told to end."""
        with socket(AF_UNIX, SOCK_STREAM) as listening:
            beside = self._path.with_suffix(f".{os.getpid()}")
            listening.bind(str(beside))
            beside.chmod(0o600)
            listening.listen()
            beside.rename(self._path)  # whoever sees the socket can talk to it
            listening.settimeout(_LOOK_SECONDS)
            mine = self._path.stat().st_ino
            while self._is_wanted(mine):
                with suppress(TimeoutError):
                    line, _ = listening.accept()
                    threading.Thread(target=self._serve_one, args=(line,), daemon=True).start()
            if self._is_mine(mine):
                self._path.unlink(missing_ok=True)

    def _is_mine(self, inode: int) -> bool:
        try:
            return self._path.stat().st_ino == inode
        except OSError:
            return False

    def _is_wanted(self, inode: int) -> bool:
        is_idle = not self._busy and time.monotonic() - self._last > self._stay_seconds
        return not is_idle and (self._is_mine(inode) or bool(self._busy))

    def _serve_one(self, line: socket) -> None:
        self._busy += 1
        try:
            with line:
                line.settimeout(_PATIENCE_SECONDS)
                asked = receive(line)
                line.settimeout(None)
                if asked is not None:
                    with self._one_at_a_time:
                        answer = self._answer(Question(**asked))
                    send(line, asdict(answer))
        except OSError:
            pass  # the client has gone
        finally:
            self._last = time.monotonic()
            self._busy -= 1


def answerer(settings: Settings) -> Callable[[Question], Answer]:
    """What answers questions about the lake, with its session started."""
    from retail_spark.cli.query_output import rendered
    from retail_spark.engine.launch import open_lake_for_query

    lake = open_lake_for_query(settings)
    _ = lake.spark

    def answer(question: Question) -> Answer:
        try:
            text, cut = rendered(
                lake,
                question.query,
                form=question.form,
                limit=question.limit,
                for_spreadsheets=question.for_spreadsheets,
            )
        except Exception as error:  # told to whoever asked; the session goes on
            told = explain(error)
            fix = told.fix or "ask with --engine spark, which keeps the trace"
            return Answer(exit_code=told.exit_code, what=masked(told.what), fix=masked(fix), pid=os.getpid())
        return Answer(text, cut, pid=os.getpid())

    return answer


def main() -> None:
    """Serves the settings on standard input: the socket, minutes to stay, and the sections of the lake and of Spark."""
    from retail_spark.engine.catalogue import settings_class

    given = json.loads(sys.stdin.read())
    settings = settings_class().model_validate(given["settings"])
    Desk(Path(given["socket"]), answerer(settings), stay_seconds=60 * given["stay_minutes"]).serve()
    os._exit(0)  # nothing is open for writing; the JVM ends with its pipe


if __name__ == "__main__":
    main()
