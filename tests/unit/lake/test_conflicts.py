from __future__ import annotations

import pytest

from retail_spark.errors import LeaseHeldError
from retail_spark.lake import conflicts
from retail_spark.lake.conflicts import is_conflict, retried


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conflicts, "_FIRST_WAIT_SECONDS", 0.0)


def beaten(times: int, error: Exception) -> list[Exception]:
    return [error] * times


@pytest.mark.parametrize(
    "text",
    [
        "io.delta.exceptions.ConcurrentAppendException: [DELTA_CONCURRENT_APPEND] Files were added",
        "[DELTA_METADATA_CHANGED] MetadataChangedException: The metadata has been changed",
        "[DELTA_TABLE_ALREADY_EXISTS] Table delta.`/x` already exists.",
        "[TABLE_OR_VIEW_ALREADY_EXISTS] Cannot create table",
        "Failed to commit transaction: version 3 already exists",
    ],
)
def test_who_was_beaten_tries_again_until_it_is_done(text: str) -> None:
    left = beaten(3, RuntimeError(text))

    def write() -> str:
        if left:
            raise left.pop()
        return "done"

    assert is_conflict(RuntimeError(text))
    assert retried(write, table="silver.x") == "done"


def test_who_is_always_beaten_says_so_with_its_own_code() -> None:
    def write() -> None:
        raise RuntimeError("[DELTA_CONCURRENT_APPEND] Files were added")

    with pytest.raises(LeaseHeldError, match=r"silver\.x at each of 2 tries: .DELTA_CONCURRENT_APPEND"):
        retried(write, table="silver.x", tries=2)


def test_what_is_no_conflict_is_not_tried_again() -> None:
    tried = []

    def write() -> None:
        tried.append(1)
        raise ValueError("a bad row")

    with pytest.raises(ValueError, match="a bad row"):
        retried(write, table="silver.x")
    assert len(tried) == 1
