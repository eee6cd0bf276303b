"""One run of a job at a time on a lake. A lease dies with its process, or after a minute of silence.

Silence is measured by who wants the lease, on that one's own clock: the heartbeat of the holder either goes on while it
is watched, or it does not. Clocks of two machines are never compared. Only a process of the same machine, since the
same start and in the same container, is looked up among the processes.

A lake on a local folder keeps leases as files under <root>/_leases; any other lake keeps them as rows of
ops.leases, where Delta's own conflict check decides between two takers.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from retail_spark.config.secrets import masked
from retail_spark.errors import LeaseHeldError
from retail_spark.lake.conflicts import is_conflict, retried
from retail_spark.lake.contract import DOUBLE, LONG, STRING, Column, Contract
from retail_spark.lake.lake import Lake, text_literal
from retail_spark.spark.failures import explain

BEAT_SECONDS = 10.0
AGAIN_SECONDS = 1.0
SILENT_SECONDS = 60.0
LOOK_SECONDS = 2.0
_TRIES = 5

LEASES = Contract(
    "ops.leases",
    grain="One row per lease that was ever taken on this lake.",
    key=("name",),
    columns=(
        Column("name", STRING, "What the lease is on: a job, or a job and a source."),
        Column("token", STRING, "Identifies the holder; empty when released."),
        Column("host", STRING, "Host of the holder, and a mark of its start and container."),
        Column("pid", LONG, "Process id of the holder."),
        Column("started", DOUBLE, "Start of that process, seconds; tells it from a later one with the same id."),
        Column("beat", DOUBLE, "Last sign of life, seconds since 1970 by the holder's clock."),
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
        return cls(uuid.uuid4().hex, this_host(), os.getpid(), process_start(os.getpid()) or 0.0, time.time())

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Holder:
        """The holder that a lease tells of. Raises ValueError, TypeError or KeyError for one that is damaged."""
        numbers = (int(values["pid"]), float(values["started"]), float(values["beat"]))
        return cls(str(values["token"]), str(values["host"]), *numbers)

    @property
    def is_here(self) -> bool:
        """True when this process could see the holder's among its own neighbours."""
        return self.host == this_host()

    @property
    def is_gone(self) -> bool:
        """True when the process is known to be gone."""
        return self.is_here and process_start(self.pid) != self.started

    def has_moved(self, later: Holder) -> bool:
        """True when the lease has shown life in between, or another holds it."""
        return (self.token, self.beat) != (later.token, later.beat)


class _Store(Protocol):
    def take(self, me: Holder, *, silent: Holder | None = None) -> Holder | None:
        """Takes the lease unless a holder has it that is neither gone nor as `silent` as it was; returns that one."""

    def read(self) -> Holder | None:
        """Who has the lease."""

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
        """Raises LeaseHeldError when the lease was taken over; a store that fails is asked again before it counts."""
        for tries_left in range(_TRIES - 1, -1, -1):
            try:
                is_ours = not self._lost.is_set() and self._store.beat(self._me)
                break
            except Exception:  # as in _beat
                if tries_left == 0:
                    raise
                time.sleep(AGAIN_SECONDS)
        if not is_ours:
            raise LeaseHeldError(
                f"the lease on {self._name} was taken over while this run was silent.",
                fix="let the other run finish; nothing more was written here",
            )

    def release(self) -> None:
        """Ends the heartbeat and gives the lease back."""
        self._ended.set()
        self._beater.join(timeout=BEAT_SECONDS)
        try:
            self._store.release(self._me)
        except OSError as error:  # what the run did is done: a lease that is not given back dies with the process
            _tell(f"the lease on {self._name} could not be given back ({error.strerror}); it ends with this process")

    def _beat(self) -> None:
        """Says again and again that the run lives. A beat that fails is made up for soon, and told once."""
        wait, told = BEAT_SECONDS, False
        while not self._ended.wait(wait):
            try:
                is_ours = self._store.beat(self._me)
            except Exception as error:  # a full disk, a network folder that is away, Spark at its end: all may pass
                if not told and not self._ended.is_set():
                    _tell(
                        f"the heartbeat of the lease on {self._name} failed, and is tried again: {explain(error).what}"
                    )
                wait, told = AGAIN_SECONDS, True
                continue
            wait, told = BEAT_SECONDS, False
            if not is_ours:
                self._lost.set()
                return


@contextmanager
def hold(lake: Lake, name: str) -> Iterator[Lease]:
    """Holds the lease `name` of the lake. Raises LeaseHeldError while another living process has it."""
    store: _Store = _Files(Path(lake.root) / "_leases", name) if lake.has_local_logs else _Table(lake, name)
    me = Holder.me()
    other = _living(store, me)
    if other is not None:
        raise LeaseHeldError(
            f"another run holds the lease on {name} (process {other.pid} on {other.host.partition('#')[0]}).",
            fix="wait for it to end, or stop it; a dead run's lease is taken over by itself within a minute",
        )
    lease = Lease(name, store, me)
    try:
        yield lease
    finally:
        lease.release()


def _living(store: _Store, me: Holder) -> Holder | None:
    """Takes the lease, or returns the living holder. One that cannot be looked up is watched until it shows life."""
    other = store.take(me)
    since = time.monotonic()
    while other is not None and not other.is_here:
        time.sleep(LOOK_SECONDS)
        now = store.read()
        if now is None or not now.token:
            return store.take(me)
        if other.has_moved(now):
            return now
        if time.monotonic() - since > SILENT_SECONDS:
            return store.take(me, silent=other)
    return other


@cache
def this_host() -> str:
    """The name of this host with a mark of its start and of the container: a name alone may be anybody's."""
    mark = hashlib.sha256()
    with contextlib.suppress(OSError):
        mark.update(Path("/proc/sys/kernel/random/boot_id").read_bytes())
        mark.update(bytes(Path("/proc/self/ns/pid").readlink()))
    return f"{socket.gethostname()}#{mark.hexdigest()[:12]}"


def _tell(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{masked(text)}\n")
        sys.stderr.flush()


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

    def take(self, me: Holder, *, silent: Holder | None = None) -> Holder | None:
        with self._guarded():
            holder = self.read()
            if holder is not None and not _is_free(holder, silent):
                return holder
            self._file.unlink(missing_ok=True)
            with self._file.open("x", encoding="utf-8") as file:
                json.dump(asdict(me), file)
        return None

    def beat(self, me: Holder) -> bool:
        with self._guarded():
            holder = self.read()
            if holder is None or holder.token != me.token:
                return False
            fresh = self._file.with_suffix(f".{me.token}")
            fresh.write_text(json.dumps(asdict(me) | {"beat": time.time()}), encoding="utf-8")
            fresh.replace(self._file)
        return True

    def release(self, me: Holder) -> None:
        with self._guarded():
            holder = self.read()
            if holder is not None and holder.token == me.token:
                self._file.unlink(missing_ok=True)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with self._guard.open("a") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield

    def read(self) -> Holder | None:
        """The holder; a file cut off by a crash of its writer, or of no sense, holds nothing."""
        try:
            return Holder.of(json.loads(self._file.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None


def _is_free(holder: Holder, silent: Holder | None) -> bool:
    return holder.is_gone or (silent is not None and not silent.has_moved(holder))


class _Table:
    """Leases as rows: an UPDATE that raced another one is refused by Delta, so at most one taker wins."""

    def __init__(self, lake: Lake, name: str) -> None:
        retried(lambda: lake.ensure(LEASES), table=LEASES.name)
        self._lake = lake
        self._ref = lake.ref(LEASES.table)
        self._name = name
        self._one_at_a_time = threading.Lock()

    def take(self, me: Holder, *, silent: Holder | None = None) -> Holder | None:
        holder = self.read()
        if holder is not None and holder.token and not _is_free(holder, silent):
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
            if not is_conflict(error):
                raise
        now = self.read()
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
                if not is_conflict(error) or tries_left == 0:
                    raise
                time.sleep(0.2)
        return False

    def read(self) -> Holder | None:
        rows = self._lake.read(LEASES.table).where(f"name = {text_literal(self._name)}").collect()
        return Holder(*rows[0][1:]) if rows else None
