"""The socket of the session that stays, without the session."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket
from tempfile import TemporaryDirectory

import pytest

from retail_spark.cli.standby import server, talk
from retail_spark.cli.standby.server import Desk
from retail_spark.cli.standby.start import stays
from retail_spark.cli.standby.talk import Answer, Question, ask, socket_of
from retail_spark.engine.settings_layers import resolve

Opened = Callable[..., threading.Thread]


def echo(question: Question) -> Answer:
    return Answer(text=f"{question.query} as {question.form}, {question.limit} rows", pid=7)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(server, "_PATIENCE_SECONDS", 0.2)


@pytest.fixture
def place() -> Iterator[Path]:
    with TemporaryDirectory(prefix="rs") as folder:  # names of sockets are short
        yield Path(folder) / "a.sock"


@pytest.fixture
def opened(place: Path) -> Iterator[Opened]:
    """Opens a desk in a thread, and ends it by taking its socket away."""
    threads: list[threading.Thread] = []

    def open_desk(answer: Callable[[Question], Answer] = echo, *, stay_seconds: float = 60) -> threading.Thread:
        thread = threading.Thread(target=Desk(place, answer, stay_seconds=stay_seconds).serve, daemon=True)
        thread.start()
        threads.append(thread)
        until = time.monotonic() + 30
        while not place.exists() and thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        return thread

    yield open_desk
    place.unlink(missing_ok=True)
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()


def test_a_question_comes_back_answered(place: Path, opened: Opened) -> None:
    opened()
    assert ask(place, Question('SELECT "ä\n"', "csv", 3)) == Answer('SELECT "ä\n" as csv, 3 rows', pid=7)


def test_where_nobody_listens_there_is_no_answer(place: Path) -> None:
    question = Question("SELECT 1", "csv", 1)
    assert ask(place, question) is None
    with socket(AF_UNIX, SOCK_STREAM) as left:
        left.bind(str(place))  # what a killed process leaves
    assert ask(place, question) is None


def test_only_its_user_may_open_the_socket(place: Path, opened: Opened) -> None:
    opened()
    assert place.stat().st_mode & 0o777 == 0o600


def test_without_questions_it_ends_and_leaves_no_socket(place: Path, opened: Opened) -> None:
    thread = opened(stay_seconds=0.0)
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert not place.exists()


def test_a_client_that_goes_or_says_nothing_stops_nobody(place: Path, opened: Opened) -> None:
    opened()
    with socket(AF_UNIX, SOCK_STREAM) as silent, socket(AF_UNIX, SOCK_STREAM) as cut:
        silent.connect(str(place))
        cut.connect(str(place))
        cut.sendall(b'{"query": ')
        cut.close()
        assert ask(place, Question("SELECT 1", "csv", 1)) is not None


def test_questions_are_answered_one_at_a_time(place: Path, opened: Opened) -> None:
    at_work: list[int] = []
    most: list[int] = []

    def slow(question: Question) -> Answer:
        at_work.append(1)
        most.append(len(at_work))
        time.sleep(0.05)
        at_work.pop()
        return echo(question)

    opened(slow)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: ask(place, Question(str(n), "csv", n)), range(4)))
    assert [answer.text for answer in answers if answer is not None] == [f"{n} as csv, {n} rows" for n in range(4)]
    assert max(most) == 1


def test_another_lake_or_other_code_is_another_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(talk, "cache_folder", lambda: tmp_path / "c")
    monkeypatch.setattr(talk, "_LONGEST", 1_000)
    one, other = resolve(sets=["lake.root=/a"]), resolve(sets=["lake.root=/b"])
    places = {socket_of(one, code="1"), socket_of(other, code="1"), socket_of(one, code="2")}
    assert len(places) == 3
    assert socket_of(one, code="1") in places


def test_a_folder_that_others_can_open_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    (folder / "standby").mkdir(parents=True, mode=0o755)
    (folder / "standby").chmod(0o755)
    monkeypatch.setattr(talk, "cache_folder", lambda: folder)
    assert socket_of(resolve(), code="1") is None


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("lake.root=/a", True),
        ("lake.root=s3a://b/a", False),
        ("lake.catalog=main", False),
        ("sql.stay_minutes=0", False),
    ],
)
def test_a_session_stays_for_local_lakes_alone(setting: str, expected: bool) -> None:
    assert stays(resolve(sets=["sql.stay_minutes=10", setting])) == expected
