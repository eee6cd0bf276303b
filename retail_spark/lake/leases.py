"""One run of a job at a time on a lake. A lease dies with its process, or after a minute of silence.

A lake on a local folder keeps leases as files under <root>/_leases; any other lake keeps them as rows of
ops.leases, where Delta's own conflict check decides between two takers.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from retail_spark.errors import LeaseHeldError
from retail_spark.lake.contracts import DOUBLE, LONG, STRING, Column, Contract
from retail_spark.lake.store import Lake, text_literal

BEAT_SECONDS = 10.0
SILENT_SECONDS = 60.0
_TRIES = 5

LEASES = Contract(
    "ops.leases",
    grain="One row per lease that was ever taken on this lake.",
    key=("name",),
    columns=(
        Column("name", STRING, "What the lease is on: a job, or a job and a source."),
        Column("token", STRING, "Identifies the holder; empty when released."),
        Column("host", STRING, "Host of the holder."),
        Column("pid", LONG, "Process id of the holder."),
        Column("started", DOUBLE, "Start of that process, seconds; tells it from a later one with the same id."),
        Column("beat", DOUBLE, "Last sign of life, seconds since 1970."),
    ),
)


@dataclass(frozen=True)
class Holder:
    """Who holds a lease."""

    token: str
    host: str
    pid: int
    started: float
    beat: float

    @classmethod
    def me(cls) -> Holder:
        """This process, now."""
        return cls(uuid.uuid4().hex, socket.gethostname(), os.getpid(), process_start(os.getpid()) or 0.0, time.time())

    @property
    def is_dead(self) -> bool:
        """True when the process is known to be gone, or has been silent for too long."""
        if time.time() - self.beat > SILENT_SECONDS:
            return True
        return self.host == socket.gethostname() and process_start(self.pid) != self.started


class _Store(Protocol):
    def take(self, me: Holder) -> Holder | None:
        """Takes the lease unless a living holder has it; returns that holder, or None when taken."""

    def beat(self, me: Holder) -> bool:
        """Says that the holder lives. False when the lease is another's by now."""

    def release(self, me: Holder) -> None:
        """Gives the lease back, if it is still ours."""


class Lease:
    """A lease that is held. `check` before every write: a process that slept for a minute may have lost it."""

    def __init__(self, name: str, store: _Store, me: Holder) -> None:
        self._name = name
        self._store = store
        self._me = me
        self._lost = threading.Event()
        self._ended = threading.Event()
        self._beater = threading.Thread(target=self._beat, name=f"lease {name}", daemon=True)
        self._beater.start()

    def check(self) -> None:
        """Raises LeaseHeldError when the lease was taken over."""
        if self._lost.is_set() or not self._store.beat(self._me):
            raise LeaseHeldError(
                f"the lease on {self._name} was taken over while this run was silent.",
                fix="let the other run finish; nothing more was written here",
            )

    def release(self) -> None:
        """Ends the heartbeat and gives the lease back."""
        self._ended.set()
        self._beater.join(timeout=BEAT_SECONDS)
        self._store.release(self._me)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            if not self._store.beat(self._me):
                self._lost.set()
                return


@contextmanager
def hold(lake: Lake, name: str) -> Iterator[Lease]:
    """Holds the lease `name` of the lake. Raises LeaseHeldError while another living process has it."""
    store: _Store = _Files(Path(lake.root) / "_leases", name) if lake.has_local_logs else _Table(lake, name)
    me = Holder.me()
    other = store.take(me)
    if other is not None:
        raise LeaseHeldError(
            f"another run holds the lease on {name} (process {other.pid} on {other.host}, "
            f"last heard {max(0.0, time.time() - other.beat):.0f} s ago).",
            fix="wait for it to end, or stop it; a dead run's lease is taken over by itself within a minute",
        )
    lease = Lease(name, store, me)
    try:
        yield lease
    finally:
        lease.release()


def process_start(pid: int) -> float | None:
    """When the process started, in clock ticks since boot; None when there is none (or it is a zombie)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        return 0.0 if _answers(pid) else None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else float(fields[19])


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class _Files:
    """Leases as files. A guard lock makes looking and taking one step, also against a second taker."""

    def __init__(self, folder: Path, name: str) -> None:
        plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"{plain}.json"
        self._guard = folder / f"{plain}.guard"

    def take(self, me: Holder) -> Holder | None:
        with self._guarded():
            holder = self._read()
            if holder is not None and not holder.is_dead:
                return holder
            self._file.unlink(missing_ok=True)
            with self._file.open("x", encoding="utf-8") as file:
                json.dump(asdict(me), file)
        return None

    def beat(self, me: Holder) -> bool:
        with self._guarded():
            holder = self._read()
            if holder is None or holder.token != me.token:
                return False
            fresh = self._file.with_suffix(f".{me.token}")
            fresh.write_text(json.dumps(asdict(me) | {"beat": time.time()}), encoding="utf-8")
            fresh.replace(self._file)
        return True

    def release(self, me: Holder) -> None:
        with self._guarded():
            holder = self._read()
            if holder is not None and holder.token == me.token:
                self._file.unlink(missing_ok=True)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with self._guard.open("a") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield

    def _read(self) -> Holder | None:
        """The holder; a file cut off by a crash of its writer holds nothing."""
        try:
            return Holder(**json.loads(self._file.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None


def _is_conflict(error: Exception) -> bool:
    return "DELTA_CONCURRENT" in str(error)


class _Table:
    """Leases as rows: an UPDATE that raced another one is refused by Delta, so at most one taker wins."""

    def __init__(self, lake: Lake, name: str) -> None:
        lake.ensure(LEASES)
        self._lake = lake
        self._ref = lake.ref(LEASES.table)
        self._name = name
        self._one_at_a_time = threading.Lock()

    def take(self, me: Holder) -> Holder | None:
        holder = self._read()
        if holder is not None and holder.token and not holder.is_dead:
            return holder
        token = holder.token if holder is not None else ""
        values = f"{text_literal(me.token)}, {text_literal(me.host)}, {me.pid}L, {me.started}D, {me.beat}D"
        try:
            self._lake.spark.sql(
                f"MERGE INTO {self._ref} t "
                f"USING (SELECT {text_literal(self._name)} AS name) s ON t.name = s.name "
                f"WHEN MATCHED AND t.token = {text_literal(token)} THEN UPDATE SET token = {text_literal(me.token)}, "
                f"host = {text_literal(me.host)}, pid = {me.pid}L, started = {me.started}D, beat = {me.beat}D "
                f"WHEN NOT MATCHED THEN INSERT (name, token, host, pid, started, beat) VALUES (s.name, {values})"
            ).collect()
        except Exception as error:  # as in _update
            if not _is_conflict(error):
                raise
        now = self._read()
        return None if now is not None and now.token == me.token else now

    def beat(self, me: Holder) -> bool:
        return self._update(me, f"beat = {time.time()}D")

    def release(self, me: Holder) -> None:
        self._update(me, "token = ''")

    def _update(self, me: Holder, change: str) -> bool:
        """Changes our row; tried again when another lease's update came between. False when it is ours no more."""
        mine = f"name = {text_literal(self._name)} AND token = {text_literal(me.token)}"
        for tries_left in range(_TRIES - 1, -1, -1):
            try:
                with self._one_at_a_time:
                    changed = self._lake.spark.sql(f"UPDATE {self._ref} SET {change} WHERE {mine}").collect()
                return bool(changed and changed[0][0] == 1)
            except Exception as error:  # classic Spark passes Delta's conflict through py4j, Connect as its own
                if not _is_conflict(error) or tries_left == 0:
                    raise
                time.sleep(0.2)
        return False

    def _read(self) -> Holder | None:
        rows = self._lake.read(LEASES.table).where(f"name = {text_literal(self._name)}").collect()
        return Holder(*rows[0][1:]) if rows else None
