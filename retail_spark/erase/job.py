"""The job `erase`: people leave every table whose contract marks a subject, and a tombstone keeps them out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from pyspark.sql import functions as F

from retail_spark.config.section import Settings, section
from retail_spark.engine.catalogue import all_jobs
from retail_spark.engine.job import Job, Outcome, Run, SourcePin, job
from retail_spark.erase.deletion import Erased, erase_from, erase_stages
from retail_spark.erase.settings import JobSettings
from retail_spark.errors import UsageError
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.commit import carry_out
from retail_spark.lake.contract import Contract
from retail_spark.lake.lake import Lake
from retail_spark.lake.table_name import TableName
from retail_spark.lake.tombstones import TOMBSTONES, revealed, tokens_of
from retail_spark.lake.write import upsert
from retail_spark.tables.erasures import ERASURES
from retail_spark.tables.silver import SILVER, quarantine_of

_HEADERS = ("id", "ids", "customer", "customers", "customer_id", "visitor", "visitors", "visitor_id", "user_id")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_IDENTITIES = TableName.parse("gold.visitor_identities")


def erase(run: Run, settings: JobSettings) -> Outcome:
    """Writes the tombstones first, so that nobody comes back meanwhile; then deletes, table by table.

    Cut off half-way it is simply run again: what is gone is gone. Raises UsageError without ids or without a salt.
    """
    salt = revealed(run.settings.privacy.salt)
    ids = _with_linked(run, settings)
    rows = [(token, run.id) for token in tokens_of(ids, salt=salt)]  # hashed here: no plan holds salt or ids
    tokens = frame_of_rows(run.spark, rows, TOMBSTONES.schema)
    carry_out(run.lake, upsert(TOMBSTONES, tokens), run_id=run.id)
    taken: list[Erased] = []
    for contract in with_subjects():
        with run.progress.step("erase", f"erasing from {contract.name}"):
            found = erase_from(run.lake, contract, ids, run_id=run.id)
        taken += [found] if found is not None else []
    stages = erase_stages(run.lake, but=run.id)
    given = {i for kind in ("customers", "visitors") for i in _listed(settings, kind)}
    strangers = len(given - {i for one in taken for i in one.met})
    if strangers:
        run.progress.note(f"{strangers} of {len(given)} ids met no row: they left before, or are written differently")
    run.progress.note(f"old versions still hold the rows until VACUUM: {_ADVICE}")
    return Outcome(
        tables=(upsert(ERASURES, frame_of_rows(run.spark, _told(run, taken), ERASURES.schema)),),
        metrics={
            "subjects": float(len(ids)),
            "rows": float(sum(one.rows for one in taken)),
            "tables": float(sum(one.rows > 0 for one in taken)),
            "stages": float(stages),
            "ids_without_rows": float(strangers),
        },
    )


_ADVICE = "in 168 hours run maintain (it vacuums); learn models anew (recommend) that hold their customers"


def with_subjects() -> tuple[Contract, ...]:
    """Every table of every job, quarantines included, whose contract marks a subject."""
    found: dict[str, Contract] = {}
    for name, entry in all_jobs().items():
        if name != "erase":
            one = entry.job()
            found |= {c.name: c for c in (*one.reads, *one.optional, *one.writes)}
    found |= {c.name: c for table in SILVER for c in (table, quarantine_of(table))}
    return tuple(found[name] for name in sorted(found) if found[name].subjects)


def pin_ids(_: Lake, settings: Settings) -> tuple[SourcePin, ...]:
    """The lists of ids, by a salted digest: the run id tells nobody who left."""
    own = section(settings, "erase", JobSettings)
    salt = revealed(settings.privacy.salt)
    given = {"customers": _listed(own, "customers"), "visitors": _listed(own, "visitors")}
    if not any(given.values()):
        raise UsageError(
            "erase was told of nobody.", fix="give ids, one a line: --set erase.customers=file:PATH (or erase.visitors)"
        )
    return tuple(
        SourcePin(name, len(ids), hashlib.sha256("\n".join([salt, *ids]).encode()).hexdigest())
        for name, ids in given.items()
    )


def _listed(settings: JobSettings, kind: str) -> list[str]:
    reference = getattr(settings, kind)
    text = reference.reveal() if reference is not None else ""
    return ids_of(text)


def ids_of(text: str) -> list[str]:
    """The ids of a list: one a line, in quotes or not, below a header or not."""
    lines = [line.strip() for line in text.lstrip("\ufeff").splitlines() if line.strip()]
    plain = [line[1:-1].replace('""', '"') if _QUOTED.fullmatch(line) else line for line in lines]
    if plain and plain[0].lower() in _HEADERS:
        plain = plain[1:]
    return sorted({one.strip() for one in plain if one.strip()})


def _with_linked(run: Run, settings: JobSettings) -> list[str]:
    """The ids given, and those of visitors that are linked to the customers: few, as were asked for."""
    customers, visitors = _listed(settings, "customers"), _listed(settings, "visitors")
    if settings.linked_visitors and customers and run.lake.exists(_IDENTITIES):
        linked = run.lake.read(_IDENTITIES).where(F.col("customer_id").isin(customers)).select("visitor_id")
        visitors = [*visitors, *(row["visitor_id"] for row in linked.collect())]
    return sorted({*customers, *visitors})


def _told(run: Run, taken: Sequence[Erased]) -> list[tuple[str, str, int, str]]:
    """A row a table. A run that is repeated adds to what its first attempt had counted."""
    before: dict[str, int] = {}
    if run.lake.exists(ERASURES.table):
        rows = run.lake.read(ERASURES.table).where(F.col("run_id") == run.id).collect()
        before = {row["table_name"]: row["rows"] for row in rows}
    return [(run.id, one.table, one.rows + before.get(one.table, 0), _ADVICE) for one in taken]


JOB: Job = job("erase", settings=JobSettings, writes=(ERASURES,), sources=pin_ids, always=True)(erase)
