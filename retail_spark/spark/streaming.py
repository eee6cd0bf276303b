"""What every job that drives a stream of its own shares."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.errors import StreamingQueryException
from pyspark.sql.streaming.query import StreamingQuery


def wait_for(query: StreamingQuery, *, errors: Sequence[BaseException]) -> None:
    """Waits for the end of a stream. Raises the first of `errors`, those of its micro-batches, as it was."""
    try:
        query.awaitTermination()
    except StreamingQueryException as error:
        if errors:
            raise errors[0] from error
        raise
