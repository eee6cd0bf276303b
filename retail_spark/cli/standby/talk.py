"""How the command `sql` and the session that stays talk: one JSON object a line, over a socket that one user may open.

Nothing here imports Spark: the command must answer before Spark could start.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket
from typing import Any

from retail_spark.config.section import Settings
from retail_spark.spark.class_archive import cache_folder

_LONGEST = 100
"""Bytes that the name of a socket may have on every system."""


@dataclass(frozen=True)
class Question:
    """A query, and the form of its answer."""

    query: str
    form: str
    limit: int
    for_spreadsheets: bool = False


@dataclass(frozen=True)
class Answer:
    """The text of an answer, or what is wrong with the question."""

    text: str = ""
    cut: bool = False
    exit_code: int = 0
    what: str = ""
    fix: str = ""
    pid: int = 0


def socket_of(settings: Settings, *, code: str) -> Path | None:
    """Where the session of this lake, these Spark settings and this code listens; None where no place is private."""
    about = [settings.lake.model_dump(mode="json"), settings.spark.model_dump(mode="json"), str(Path.cwd()), code]
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    folder = _private_folder()
    if folder is None:
        return None
    path = folder / f"{name}.sock"
    return path if len(os.fsencode(path)) <= _LONGEST else None


def ask(path: Path, question: Question) -> Answer | None:
    """The answer of the session that listens there; None where none does."""
    with socket(AF_UNIX, SOCK_STREAM) as line:
        try:
            line.connect(str(path))
        except OSError:
            return None
        send(line, asdict(question))
        found = receive(line)
    return Answer(**found) if found is not None else None


def send(line: socket, message: dict[str, Any]) -> None:
    """Sends one message."""
    line.sendall(json.dumps(message).encode() + b"\n")


def receive(line: socket) -> dict[str, Any] | None:
    """The next message; None when the other side has gone."""
    with line.makefile("rb") as file:
        text = file.readline()
    if not text.endswith(b"\n"):
        return None
    found: dict[str, Any] = json.loads(text)
    return found


def _private_folder() -> Path | None:
    """A folder that nobody else can open, made where it is missing."""
    folder = cache_folder() / "standby"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        about = folder.stat()
    except OSError:
        return None
    is_private = about.st_uid == os.getuid() and not stat.S_IMODE(about.st_mode) & 0o077
    return folder if is_private else None
