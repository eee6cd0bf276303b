"""What the last run found out and a run may take over: trials of series and boosters whose inputs are still the same.

A fingerprint is made of everything that the numbers are made of, so what is taken over is what a rebuild would compute
again, to the last bit. Local models look at the series of one product: a late sale touches that product alone. The
boosters look at all series and what is known of them: one late sale, and they are trained again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark import __version__
from retail_spark.domains.forecast.features.matrix import names_of
from retail_spark.domains.forecast.models.global_booster import Booster
from retail_spark.domains.forecast.recipe import PROMOTED
from retail_spark.domains.forecast.series.aggregate import PARTS
from retail_spark.domains.forecast.series.availability import OPENING
from retail_spark.domains.forecast.series.frame import KEPT, MARK, Frame
from retail_spark.domains.forecast.series.panel import ATTRIBUTES, KEYS, PEERS
from retail_spark.frames.local_rows import frame_of_rows


def with_fingerprint(packed: DataFrame, *, frame: Frame) -> DataFrame:
    """Same grain; adds fingerprint, 32 hexadecimal digits: of all series of the product, the recipe and the time."""
    zipped = F.arrays_zip("period", "quantity", "out")
    units = F.filter(zipped, lambda e: (e.period <= frame.end) & ~(F.isnan(e.quantity) & F.isnan(e.out)))
    begun = ("store_state", "sold_from", "is_late", "is_stores")
    parts = [F.col(name) for name in (*KEYS, "first", *begun, *OPENING)] + [units]
    if PROMOTED in frame.recipe.models:
        parts.append(F.arrays_zip("period", *(n for n in PARTS if n.endswith(("promotion", "deal", "known")))))
    marks = packed.groupBy("product_id").agg(*_halves(parts))
    told = F.lit(json.dumps([__version__, frame.recipe.to_json(), frame.end, frame.periods, _calendar(frame)]))
    mark = F.concat(*[F.lpad(F.hex(F.xxhash64(F.col(name), told)), 16, "0") for name in ("_h0", "_h1")])
    return packed.join(marks.select("product_id", mark.alias(MARK)), on="product_id", how="left")


def _calendar(frame: Frame) -> list[object]:
    return [list(frame.events), {store: list(events) for store, events in sorted(frame.store_events.items())}]


def fingerprint_of(packed: DataFrame, *, frame: Frame, seed: int) -> str:
    """The fingerprint of all that the boosters learn from: the past of all series with plans and peers, the seed."""
    zipped = F.arrays_zip("period", *PARTS)
    past = F.filter(zipped, lambda e: e.period <= frame.end)
    peers = [F.slice(name, 1, frame.periods) for name in PEERS]
    about = [F.col(name) for name in (*KEYS, *ATTRIBUTES, "first", "is_closed", *OPENING, MARK)]
    row = packed.agg(*_halves([*about, past, *peers])).collect()[0]
    codes = {name: dict(numbers) for name, numbers in frame.codes.items()}
    told = json.dumps([names_of(frame.recipe.frequency), _calendar(frame), codes, seed], sort_keys=True)
    return hashlib.sha256(f"{row['_h0']} {row['_h1']} {told}".encode()).hexdigest()[:32]


def _halves(parts: Sequence[Column]) -> list[Column]:
    """Two hashes of a set of rows, whatever their order: no two rows are equal, they have keys."""
    return [F.bit_xor(F.xxhash64(F.lit(salt), *parts)).alias(f"_h{salt}") for salt in (0, 1)]


def with_kept(packed: DataFrame, trials: DataFrame) -> DataFrame:
    """Same grain; adds what the local models said of series whose fingerprint is in `trials`, else NULL."""
    kept = trials.select(*KEYS, MARK, F.col("values").alias(KEPT))
    return packed.join(kept, on=[*KEYS, MARK], how="left")  # KEYS are the key of the trials


def to_trials(tried: DataFrame, *, frame: Frame) -> DataFrame:
    """FORECAST_TRIALS without lineage, of what was tried: the local models' part of `values`."""
    width = len(frame.recipe.candidates) * frame.recipe.horizon
    local = len(frame.recipe.models) * frame.recipe.horizon
    cuts = [F.slice("values", 1 + at * width, local) for at in range(len(frame.cuts))]
    numbers = F.transform(F.concat(*cuts), lambda value: F.when(~F.isnan(value), value))
    return tried.select(*KEYS, MARK, numbers.alias("values"))


def kept_boosters(rows: DataFrame, *, fingerprint: str, frame: Frame) -> list[Booster]:
    """The boosters of the last run, one a cut, where they are those that would be trained now; else none."""
    same = rows.where(F.col(MARK) == fingerprint).orderBy("cut").collect()  # a handful: one a window
    found = [Booster(bytes(row["booster"]), frame.codes, row["smear"]) for row in same]
    return found if len(found) == len(frame.cuts) else []


def to_booster_rows(spark: SparkSession, boosters: Sequence[Booster], *, fingerprint: str, frame: Frame) -> DataFrame:
    """FORECAST_BOOSTERS without lineage."""
    rows: list[tuple[Any, ...]] = [
        (cut, fingerprint, bytearray(b.raw), b.smear) for cut, b in zip(frame.cuts, boosters, strict=bool(boosters))
    ]
    return frame_of_rows(spark, rows, f"cut INT, {MARK} STRING, booster BINARY, smear DOUBLE")
