"""Great Expectations at work: one ephemeral context a process, silent, without telemetry; safe in several threads.

Imported inside functions: the import takes seconds and is not needed to answer `unchanged`.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import count
from typing import Any

from pyspark.sql import DataFrame

_lock = threading.RLock()
_idle: list[Any] = []
_made = count()


def warm() -> None:
    """Imports Great Expectations and makes the context. Safe in a thread beside the start of the JVM."""
    with _lock:
        _context()
        import_module("retail_spark.quality.expectations")


@dataclass(frozen=True)
class Verdict:
    """What Great Expectations says of one expectation: its type, whether it holds, and its result."""

    kind: str
    success: bool
    detail: Mapping[str, Any]


def validate(frame: DataFrame, expectations: Sequence[Any]) -> list[Verdict]:
    """A verdict per expectation on the frame, in the order given.

    Raises RuntimeError for one that could not be evaluated: a check that did not run is no success.
    """
    if not expectations:
        return []
    with _batches() as batches:
        with _lock:
            suite = _great_expectations().ExpectationSuite(name="contract", expectations=list(expectations))
            batch = batches.get_batch(batch_parameters={"dataframe": frame})
        results = batch.validate(suite, result_format="BASIC").results
    found = {}
    for one in results:
        if _did_raise(one.exception_info or {}):
            raise RuntimeError(f"Great Expectations could not evaluate {one.expectation_config}: {one.exception_info}")
        found[_identity(one.expectation_config)] = one
    ordered = [found[_identity(asked.configuration)] for asked in expectations]
    return [Verdict(one.expectation_config.type, bool(one.success), dict(one.result or {})) for one in ordered]


def _identity(configuration: Any) -> tuple[str, str | None]:
    # the results come back in an order of their own
    return configuration.type, configuration.kwargs.get("column")


def _did_raise(told: Mapping[str, Any]) -> bool:
    # one exception, or one for every metric that failed
    return bool(told.get("raised_exception")) or any(
        isinstance(one, dict) and one.get("raised_exception") for one in told.values()
    )


@cache
def _great_expectations() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "False"  # before the import: no setting of the machine turns it on again
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    return great_expectations


@cache
def _context() -> Any:
    context = _great_expectations().get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = {"globally": False}
    return context


@contextmanager
def _batches() -> Iterator[Any]:
    """A data source that no other thread is using: one holds the frame that it looks at. Needs the session."""
    with _lock:
        mine = _idle.pop() if _idle else _new_batches()
    try:
        yield mine
    finally:
        with _lock:
            _idle.append(mine)


def _new_batches() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = _context().data_sources.add_spark(f"retail_spark_{next(_made)}", persist=False)
    return source.add_dataframe_asset("staged").add_batch_definition_whole_dataframe("all")
