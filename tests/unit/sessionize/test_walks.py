"""windowFunnel's rules without Spark; what is expected is what ClickHouse answers."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from retail_spark.domains.sessionize.settings import Funnel, Step
from tests.unit.sessionize.walks import Match, Walk


def level(told: str, *modes: str, steps: str = "abcd", window: int = 10_000) -> int:
    """Events as `a b0 -`: the steps that one fulfils, each a minute after the one before; 0: at the same moment."""
    matches: list[Match] = []
    minute = 0
    for event, word in enumerate(told.split()):
        minute += not word.endswith("0")
        own = [number for number, step in enumerate(steps, start=1) if step in word]
        if not own and "strict_order" in modes:
            own = [0]
        matches += [(minute, number, event) for number in own]
    return Walk(len(steps), window, modes).level(matches)


def test_a_step_that_comes_again_ends_strict_deduplication_at_the_highest_level() -> None:
    assert level("a b d b", "strict_deduplication") == 2, "a step never done is never counted"
    assert level("a b c a b", "strict_deduplication") == 3
    assert level("a b c b d", "strict_deduplication") == 3
    assert level("a a b c d", "strict_deduplication") == 4, "the first step may come again"


def test_strict_order_ends_at_another_event_or_at_a_step_that_comes_too_early() -> None:
    assert level("a b - c d", "strict_order") == 2
    assert level("- a b c d", "strict_order") == 4
    assert level("a c b c d", "strict_order") == 1
    assert level("a c b c d", "strict_order", "allow_reentry") == 4
    assert level("a c b - d", "strict_order", "allow_reentry") == 2


def test_events_of_one_moment_count_in_the_order_of_the_steps() -> None:
    for told in ("a b0 c d", "b a0 c d", "c b0 a0 d"):
        assert level(told) == 4, told
    assert level("a b0 c d", "strict_increase") == 1
    assert level("a b c0 d", "strict_increase") == 2


def test_an_event_of_several_steps_counts_for_each_and_with_strict_once_for_one() -> None:
    assert (level("ab c d"), level("ab c d", "strict_once")) == (4, 1)
    assert (level("ab b c d"), level("ab b c d", "strict_once")) == (4, 4)
    assert level("ab ab0 c d", "strict_once") == 4, "two events of one moment are two"
    assert level("ac b0 d", "strict_once") == 2, "one event is not both the first and the third step"
    assert level("a bc b c d", "strict_once") == 4


def test_the_window_opens_with_the_last_first_step() -> None:
    assert level("a b c", window=1) == 2
    assert level("a b a b c", window=2) == 3


def test_strict_once_finds_what_any_choice_of_events_reaches() -> None:
    """Beside every way to pick one event a step, by force."""
    rng = np.random.default_rng(3)
    kinds = ["a", "b", "c", "ab", "bc", "ac", "abc"]
    for _ in range(400):
        words = [str(rng.choice(kinds)) + ("0" if rng.random() < 0.5 else "") for _ in range(rng.integers(1, 7))]
        told, window = " ".join(words), int(rng.integers(1, 4))
        assert level(told, "strict_once", steps="abc", window=window) == by_force(words, window), (told, window)


def by_force(words: list[str], window: int) -> int:
    minutes = np.cumsum([not word.endswith("0") for word in words])
    best = 0
    paths = [(n,) for n, word in enumerate(words) if "a" in word]
    for number in (1, 2, 3):
        best = number if paths else best
        following = "abc"[number : number + 1]
        paths = [
            (*path, n)
            for path in paths
            for n, word in enumerate(words)
            if following and following in word and n not in path and minutes[n] >= minutes[path[-1]]
            and minutes[n] <= minutes[path[0]] + window
        ]  # fmt: skip
    return best


def test_modes_are_told_as_to_clickhouse() -> None:
    steps = (Step(name="one", where="true"),)
    assert Funnel(steps=steps).mode == ()
    assert Funnel.model_validate({"steps": steps, "mode": "default"}).mode == ()
    given = Funnel.model_validate({"steps": steps, "mode": "strict_order, allow_reentry"})
    assert given.mode == ("strict_order", "allow_reentry")
    with pytest.raises(ValidationError, match="needs strict_order"):
        Funnel.model_validate({"steps": steps, "mode": "allow_reentry"})
