"""The three writers, and no others: upsert, replace_slice, append_once.

A job returns Writes; the machinery stages their frames, checks them, and carries them out in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from pyspark.sql import DataFrame

from retail_spark.lake.contract import Contract

SliceValue = str | date | int
Mode = Literal["upsert", "replace_slice", "append_once"]


@dataclass(frozen=True)
class Write:
    """A frame on its way into a table."""

    contract: Contract
    frame: DataFrame
    mode: Mode
    slice: Mapping[str, SliceValue] = field(default_factory=dict)
    """Column -> value of the slice that is replaced, for replace_slice."""
    delete: DataFrame | None = None
    """Keys of rows to delete in the same MERGE, for upsert."""
    staged: bool = False
    """The frame reads from a stage already (Run.stage): staging it again would only copy it."""
    suspects: DataFrame | None = None
    """The rows among which a key may repeat, where the job knows that every other row has a key of its own."""
    is_checked: bool = False
    """The frame has been held to its contract: no key repeats, and the writer need not look again."""
    journal: bool = False
    """An append by the holder of a lease, looked for in the table's log (see append_once)."""
    within: Mapping[str, tuple[datetime, datetime]] = field(default_factory=dict)
    """Column -> first and last value that any row of the frame, or any row that it takes the place of, has."""
    in_order: bool = False
    """The rows are laid out by the first clustering column where they fill several files."""
    rows: int | None = None
    """How many rows the frame has, where that is known."""


def upsert(
    contract: Contract,
    frame: DataFrame,
    *,
    delete: DataFrame | None = None,
    staged: bool = False,
    within: Mapping[str, tuple[datetime, datetime]] | None = None,
) -> Write:
    """MERGE on the contract's key: new keys are inserted, changed rows updated, `delete` keys removed.

    A key that the frame repeats is refused with examples (ContractError), before anything is written. `within` bounds
    the rows of the table that may have one of the keys: a MERGE reads the files that hold them and no others. It must
    be true of the old rows as of the new ones, or a key would be there twice.
    """
    if not contract.key:
        raise ValueError(f"{contract.name} has no key to merge on")
    return Write(contract, frame, "upsert", delete=delete, staged=staged, within=within or {})


def replace_slice(
    contract: Contract, frame: DataFrame, *, staged: bool = False, in_order: bool = False, **slice_: SliceValue
) -> Write:
    """Replaces the rows where every named column has the given value; rows outside the slice are refused.

    A snapshot table's slice is its as_of, filled in by the machinery. `in_order` sorts a large table by its first
    clustering column: later MERGEs then touch few files (see `within`).
    """
    return Write(contract, frame, "replace_slice", slice=slice_, staged=staged, in_order=in_order)


def append_once(contract: Contract, frame: DataFrame, *, staged: bool = False, journal: bool = False) -> Write:
    """Adds rows exactly once a run: a rerun of the same run id adds nothing.

    Delta's own record of appends (txnAppId) holds against two writers at once, but to read it Delta rebuilds the state
    of the table, which costs three times the append. `journal` is for rows that nobody else can write meanwhile,
    such as a run's own in ops.job_runs: there the commit is looked for by its user metadata, where the log is at hand.
    """
    return Write(contract, frame, "append_once", staged=staged, journal=journal)
