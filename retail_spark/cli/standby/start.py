"""Asks the session that stays, and starts it where it is not there yet."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import time
from pathlib import Path

from retail_spark.cli.standby.talk import Answer, Question, ask, socket_of
from retail_spark.config.section import Settings
from retail_spark.engine.code_version import code_version
from retail_spark.engine.progress import Progress
from retail_spark.errors import ContractError, InputError, RetailSparkError, ServiceMissingError, UsageError
from retail_spark.spark.session import is_given_by_environment

_START_SECONDS = 120.0
_LOOK_SECONDS = 0.05
_KINDS = {kind.exit_code: kind for kind in (UsageError, InputError, ContractError, ServiceMissingError)}


def answered(settings: Settings, question: Question, *, may_stay: bool) -> tuple[str, bool]:
    """The answer as text, and whether it was cut at the question's limit.

    From the session that stays where one may (on a local lake), else from a session of this process. Raises what the
    query deserves: UsageError, InputError or another error of the house.
    """
    found = answer_from_standby(settings, question) if may_stay and stays(settings) else None
    if found is not None:
        if found.exit_code:
            raise _KINDS.get(found.exit_code, RetailSparkError)(found.what, fix=found.fix)
        return found.text, found.cut
    from retail_spark.cli.query_output import rendered
    from retail_spark.engine.launch import open_lake_for_query

    return rendered(
        open_lake_for_query(settings),
        question.query,
        form=question.form,
        limit=question.limit,
        for_spreadsheets=question.for_spreadsheets,
    )


def stays(settings: Settings) -> bool:
    """True where a session of this package's own answers: on a local lake, unless sql.stay_minutes is 0."""
    is_local = settings.lake.catalog is None and settings.lake.is_folder
    master = settings.spark.master or "local"
    return settings.sql.stay_minutes > 0 and is_local and master.startswith("local") and not is_given_by_environment()


def answer_from_standby(settings: Settings, question: Question) -> Answer | None:
    """The answer of the session that stays, started where it is not there. None where there is no private place.

    Raises ServiceMissingError when it does not start.
    """
    path = socket_of(settings, code=code_version("retail_spark.cli.standby"))
    if path is None:
        return None
    answer = ask(path, question)
    if answer is not None:
        return answer
    with path.with_suffix(".starting").open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # of two that ask at once one starts it
        answer = ask(path, question)
        if answer is not None:
            return answer
        _start(settings, path)
    return ask(path, question)


def _start(settings: Settings, path: Path) -> None:
    Progress("sql").note(
        f"starting a session, which stays for {settings.sql.stay_minutes} minutes after the last question "
        "(sql.stay_minutes=0: none stays)"
    )
    path.unlink(missing_ok=True)
    log = path.with_suffix(".log")
    given = {
        "socket": str(path),
        "stay_minutes": settings.sql.stay_minutes,
        "settings": {name: getattr(settings, name).model_dump(mode="json") for name in ("lake", "spark")},
    }
    with log.open("wb") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "retail_spark.cli.standby.server"],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    assert server.stdin is not None
    server.stdin.write(json.dumps(given).encode())
    server.stdin.close()
    until = time.monotonic() + _START_SECONDS
    while not path.exists():
        if server.poll() is not None or time.monotonic() > until:
            server.kill()
            raise ServiceMissingError(
                "the session that answers SQL did not start.", fix=f"read {log}, or ask with --engine spark"
            )
        time.sleep(_LOOK_SECONDS)
