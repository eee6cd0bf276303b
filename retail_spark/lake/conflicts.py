"""Two writers at once on one table: Delta lets one commit and refuses the other, who looks again and tries again.

What is tried again is right at every try: a merge by key, a slice of one's own, an append that is made once, a table
that somebody made meanwhile. Who may write a slice at all is the lease's matter.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

from retail_spark.errors import LeaseHeldError
from retail_spark.spark.failures import innermost

_CONFLICT = re.compile(
    r"DELTA_CONCURRENT_|Concurrent(?:Append|DeleteRead|DeleteDelete|Transaction|Write|Modification)Exception"
    r"|DELTA_(?:METADATA|PROTOCOL)_CHANGED|(?:Metadata|Protocol)ChangedException"
    r"|DELTA_TABLE_ALREADY_EXISTS|TABLE_OR_VIEW_ALREADY_EXISTS|TableAlreadyExistsException|DELTA_PATH_EXISTS"
    r"|FileAlreadyExistsException|A table already exists at"
    r"|Commit(?:Failed|Conflict)|[Vv]ersion \d+ already exist|[Cc]oncurrent (?:transaction|append|delete)"
)
TRIES = 8
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.2, 5.0

T = TypeVar("T")


def is_conflict(error: Exception) -> bool:
    """True when another writer was faster, so that looking again may end otherwise."""
    return _CONFLICT.search(f"{type(error).__name__}: {error}") is not None


def retried(write: Callable[[], T], *, table: str, tries: int = TRIES) -> T:
    """Does `write`, again where another writer was faster; it must look at the table anew each time.

    Raises LeaseHeldError when the other ones are always faster, and at once whatever is no conflict.
    """
    wait = _FIRST_WAIT_SECONDS
    for tries_left in range(tries - 1, -1, -1):
        try:
            return write()
        except Exception as error:  # classic Spark passes Delta's conflict through py4j, Connect as its own
            if not is_conflict(error):
                raise
            if tries_left == 0:
                raise LeaseHeldError(
                    f"other writers changed {table} at each of {tries} tries: {innermost(str(error))}",
                    fix="run the same command again when they have ended; nothing is half written",
                ) from error
        time.sleep(wait * (0.5 + time.monotonic_ns() % 1000 / 1000))  # two who met once must not meet again
        wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
    raise AssertionError("the last try returns or raises")
