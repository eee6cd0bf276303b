"""The way to MLflow: where it is, how to talk to it without noise, and one error when it does not answer.

MLflow's import and the first opening of its sqlite database take seconds, so nothing here imports it before it is
used, and `warm` does both while the JVM starts.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from retail_spark.config.secrets import SecretRef, masked
from retail_spark.config.section import Settings
from retail_spark.errors import ServiceMissingError, UsageError

# Set before MLflow is imported, unless the environment says otherwise: no telemetry, nothing on stdout (its last
# line belongs to the run), no look-ups of build tools at every model.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",
}
_SQLITE = "sqlite:///"
# MLflow answered, and said no: waiting or restarting the server does not help.
_REFUSALS = frozenset(
    {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "PERMISSION_DENIED", "UNAUTHENTICATED", "INVALID_STATE"}
    | {"RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "RESOURCE_LIMIT_EXCEEDED"}
)

# Address -> the thread that opens it: one a process, whoever asks.
_WARMING: dict[str, threading.Thread] = {}


def quiet_mlflow() -> Any:
    """The module mlflow, imported without telemetry and messages: its errors come as exceptions, told once."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    retries = logging.getLogger("urllib3.connectionpool")
    if retries.level == logging.NOTSET:
        retries.setLevel(logging.ERROR)
    import mlflow

    # the environment speaks only to an import that comes after: someone may have been first
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    return mlflow


@dataclass(frozen=True)
class Connection:
    """Where MLflow is and how long to wait for it. Opening one talks to nobody."""

    uri: str
    artifact_root: str | None
    """Where a database store keeps artifacts; None: the server decides."""
    token: SecretRef | None
    timeout_seconds: int

    @classmethod
    def of(cls, settings: Settings) -> Connection:
        """The server or store of the settings, else sqlite under a local lake root.

        Raises UsageError for a remote lake root without mlflow.tracking_uri.
        """
        home = _beside_the_lake(settings.lake.root)
        uri = settings.mlflow.tracking_uri
        if uri is None:
            if "://" in home:
                raise UsageError(
                    f"the lake {masked(settings.lake.root)} is remote, and MLflow's database cannot lie there.",
                    fix="set mlflow.tracking_uri to an MLflow server (on Databricks: databricks)",
                )
            uri = f"{_SQLITE}{home}/mlflow.db"
        elif uri.startswith("env:"):  # a database's address holds its password
            uri = SecretRef(uri).reveal()
        is_database = not uri.startswith(("http://", "https://", "databricks", "uc:"))
        root = f"{home}/artifacts" if is_database else None
        return cls(uri, root, settings.mlflow.token, settings.mlflow.timeout_seconds)

    @property
    def shown(self) -> str:
        """The address for messages: no password in it."""
        return masked(self.uri)

    @property
    def is_local(self) -> bool:
        """True when artifacts are files of this machine, so that reading one copies nothing."""
        return self.artifact_root is not None and "://" not in self.artifact_root

    def prepare(self) -> None:
        """Imports MLflow and makes the sqlite database where it is missing. Raises ServiceMissingError."""
        warming = _WARMING.get(self.uri)
        if warming is not None and warming is not threading.current_thread():
            warming.join()
        quiet_mlflow()
        if not self.uri.startswith(_SQLITE):
            return
        database = Path(self.uri.removeprefix(_SQLITE))
        try:
            database.parent.mkdir(parents=True, exist_ok=True)
            if not database.exists():
                self._make_database(database)
            with sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=self.timeout_seconds) as file:
                file.execute("PRAGMA schema_version")
            file.close()
        except (OSError, sqlite3.Error) as error:
            raise self._does_not_answer(error) from error

    def _make_database(self, database: Path) -> None:
        """Runs MLflow's migrations beside the place and then links the result there, in one step.

        So a process killed half-way leaves no half-migrated database (MLflow could not open it again), and of two
        that start at once the first wins.
        """
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        with TemporaryDirectory(prefix="new-", dir=database.parent) as folder:
            fresh = Path(folder) / database.name
            with _unsynced(fresh):
                SqlAlchemyStore(f"{_SQLITE}{fresh}", self.artifact_root).engine.dispose()
            with fresh.open("rb") as file:
                os.fsync(file.fileno())
            try:
                os.link(fresh, database)
            except FileExistsError:
                return
            except OSError:  # a file system without hard links
                if not database.exists():
                    fresh.rename(database)

    @contextmanager
    def talking(self, *, retries: int = 2) -> Iterator[Any]:
        """An MlflowClient, for the body only: what MLflow keeps per process is put back afterwards.

        Raises ServiceMissingError when MLflow does not answer or refuses, with MLflow's error as its cause.
        """
        mlflow = quiet_mlflow()
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else ""
        environment = {
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(self.timeout_seconds),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        }
        if self.token is not None:
            environment["MLFLOW_TRACKING_TOKEN"] = self.token.reveal()
        try:
            with _environment(environment):
                # The registry inside a sqlite store looks a model up by the process's tracking address.
                mlflow.set_tracking_uri(self.uri)
                try:
                    yield mlflow.MlflowClient(tracking_uri=self.uri)
                finally:
                    mlflow.set_tracking_uri(before)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise self._does_not_answer(error) from error

    def ping(self) -> None:
        """Asks MLflow for one experiment. Raises ServiceMissingError when it does not answer in timeout_seconds.

        A server is asked in a thread of its own: neither a name look-up nor a database driver can be relied on to
        give up in time. Imports and a local database are this machine's own work, and are waited for.
        """
        self.prepare()
        if self.uri.startswith(_SQLITE):
            self._ask()
            return
        failures: list[Exception] = []

        def ask() -> None:
            try:
                self._ask()
            except Exception as error:  # handed to the caller's thread, which raises it
                failures.append(error)

        asking = threading.Thread(target=ask, name="mlflow-ping", daemon=True)
        asking.start()
        asking.join(self.timeout_seconds)
        if asking.is_alive():
            raise self._does_not_answer(TimeoutError(f"no answer within {self.timeout_seconds} seconds"))
        if failures:
            raise failures[0]

    def _ask(self) -> None:
        try:
            with self.talking(retries=0) as client:
                client.search_experiments(max_results=1)
        except ModuleNotFoundError as error:  # the driver of the database in mlflow.tracking_uri
            raise ServiceMissingError(
                f"MLflow's database {self.shown} needs the package {error.name}, which is not installed.",
                fix=f"install {error.name}, or point mlflow.tracking_uri at an MLflow server",
            ) from error

    def _does_not_answer(self, error: Exception) -> ServiceMissingError:
        code = getattr(error, "error_code", "")
        if code in _REFUSALS:
            return ServiceMissingError(
                f"MLflow at {self.shown} refused ({code}): {_first_line(error)}",
                fix="mend what it names (rights, mlflow.token, names), then run the job again",
            )
        return ServiceMissingError(
            f"MLflow at {self.shown} does not answer: {_first_line(_root_of(error))}",
            fix="start it or correct mlflow.tracking_uri, then run the job again",
        )


def _root_of(error: BaseException) -> BaseException:
    """The error at the bottom: "Connection refused", not the page of wrappers around it."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return error


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return masked(text.splitlines()[0]) if text else type(error).__name__


def warm(connection: Connection) -> None:
    """Imports MLflow and opens its sqlite database in a thread, while something else starts.

    The first real use waits for it. What fails here fails again there, and is told there.
    """

    def work() -> None:
        try:
            connection.prepare()
            if connection.uri.startswith(_SQLITE):
                connection.ping()
        except Exception:
            return

    if connection.uri not in _WARMING:
        thread = threading.Thread(target=work, name="mlflow-warm", daemon=True)
        thread.start()
        _WARMING[connection.uri] = thread


@contextmanager
def _unsynced(database: Path) -> Iterator[None]:
    """Lets sqlite build this one file without waiting for the disk at every step of MLflow's migrations.

    They took 4 to 5 seconds on a busy disk, and about 1 second so. Nobody reads the file before it is whole and synced.
    """
    from sqlalchemy import Engine, event

    def relax(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            opened = connection.execute("PRAGMA database_list").fetchone()[2]
            if os.path.realpath(opened) == os.path.realpath(database):
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute("PRAGMA journal_mode = MEMORY")

    event.listen(Engine, "connect", relax)
    try:
        yield
    finally:
        event.remove(Engine, "connect", relax)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _beside_the_lake(root: str) -> str:
    """<lake.root>/_mlflow; an absolute path when the lake is a local folder."""
    if "://" in root and not root.startswith("file:"):
        return f"{root.rstrip('/')}/_mlflow"
    path = root.removeprefix("file://") if root.startswith("file://") else root.removeprefix("file:")
    return str(Path(path).resolve() / "_mlflow")
