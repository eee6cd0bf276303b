"""The settings of ingest."""

from __future__ import annotations

from datetime import date
from typing import Literal

from retail_spark.config.secrets import SecretRef
from retail_spark.config.section import Section, setting


class JobSettings(Section):
    """How files become tables; what they become is the mapping (source, inputs, tables)."""

    mode: Literal["batch", "incremental"] = setting(
        "batch", "batch replaces all rows of the source; incremental takes every file of its folder once"
    )
    max_quarantined_share: float = setting(
        0.05, "share of a table's rows in quarantine above which nothing is written", unit="share 0..1", ge=0, le=1
    )
    allow_empty: bool = setting(
        False, "a source that held rows in a table and now brings none may empty it (batch only)"
    )
    accept_batch: int | None = setting(
        None, "micro-batch that is taken however many bad rows it has (incremental only)", unit="batch id", ge=0
    )
    checkpoint_dir: str | None = setting(
        None, "what has been taken (incremental only); empty: <lake.root>/_checkpoints/ingest_<source>"
    )
    oldest: date = setting(date(1970, 1, 1), "dates before this one are quarantined as implausible", unit="date")
    newest: date = setting(date(2100, 1, 1), "dates after this one are quarantined as implausible", unit="date")
    hash_columns: tuple[str, ...] = setting(
        (), "canonical columns stored only as salted SHA-256, such as customer_id, visitor_id or user_agent"
    )
    hash_salt: SecretRef | None = setting(None, "salt of hash_columns: env:NAME, file:PATH or databricks:SCOPE/KEY")
