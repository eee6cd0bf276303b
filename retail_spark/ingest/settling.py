"""Judged rows to rows kept: identical rows, rows that disagree on a key, keys held by others, rows already stored.

All of it works on a staged table (`_rs_id` numbers its rows) and on hashes and keys alone: whole rows are never
shuffled. What loses is a small staged table of (`_rs_id`, `_rs_kind`), taken away from the stage by an anti join.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.engine.job import Run
from retail_spark.ingest.judging import ORDER, POS, RULE
from retail_spark.ingest.mapping import TableSpec, has_hashed_key
from retail_spark.ingest.reading import FILE, H1, H2
from retail_spark.lake.contract import Contract
from retail_spark.tables.silver import quarantine_of

ID, KIND, NUMBER = "_rs_id", "_rs_kind", "_rs_number"
EXACT, COLLAPSED, CONFLICT, HELD = "exact_duplicates", "collapsed", "key_conflict", "key_held_by_other_source"
QUARANTINED = (CONFLICT, HELD)


@dataclass(frozen=True)
class Table:
    """One table of one run: its stage, and the rows of it that lose."""

    contract: Contract
    spec: TableSpec
    source: str
    stage: DataFrame
    losers: DataFrame | None = None
    """(_rs_id, _rs_kind) of good rows that are not kept."""
    numbers: DataFrame | None = None
    """(_rs_id, _rs_number) of identical rows that are all kept: 2 for the second."""
    repeated: DataFrame | None = None
    """(_rs_kh) hashes of keys that more than one good row has; None when that was not counted."""
    superseded: DataFrame | None = None
    """Stored rows (of earlier batches) that lose their key to a row of this batch."""

    @property
    def name(self) -> str:
        return self.contract.table.parts[-1]

    @cached_property
    def is_hashed(self) -> bool:
        return has_hashed_key(self.contract, self.spec)

    @property
    def good(self) -> DataFrame:
        """Staged rows that break no rule."""
        return self.stage.where(F.col(RULE).isNull())

    @property
    def row_hash(self) -> Column:
        """128-bit hash of the raw row (and of the element's place, where exploded), 32 hex digits."""
        if not self.spec.explode:
            return _hex(F.col(H1), F.col(H2))
        return _hex(F.xxhash64(H1, POS), F.xxhash64(F.lit(2), H2, POS))

    @property
    def key(self) -> list[Column]:
        """The key's columns; the hashed id as computed from the row's hash and the source's name."""
        if not self.is_hashed:
            return [F.col(name) for name in self.contract.key]
        parts = [F.lit(self.source), F.col(H1), F.col(H2)]
        parts += [F.col(POS)] if self.spec.explode else []
        parts += [F.col(NUMBER)] if self.numbers is not None else [F.lit(1)]
        return [_hex(F.xxhash64(*parts), F.xxhash64(F.lit("id"), *parts)).alias(self.contract.key[0])]

    @property
    def received_at(self) -> Column:
        """When the source delivered the row; for one_row what it orders by, so that later batches can go on."""
        if "received_at" in self.stage.columns:
            return F.col("received_at")
        if self.spec.order is not None:
            return F.col(ORDER).cast("string").try_cast("timestamp")
        return F.lit(None).cast("timestamp")

    @property
    def key_hash(self) -> Column:
        """64 bits of what rows are told apart by: the raw row's hash for hashed ids, else the key."""
        if not self.is_hashed:
            return F.xxhash64(*self.contract.key)
        return F.xxhash64(H1, POS) if self.spec.explode else F.col(H1)

    @property
    def suspects(self) -> DataFrame | None:
        """The kept rows whose key another staged row may have; every other kept row has a key of its own."""
        if self.repeated is None:
            return None
        mine = self.good.withColumn("_rs_kh", self.key_hash).join(self.repeated, "_rs_kh", "left_semi")
        return self._filled(mine.drop("_rs_kh")).select(*self.contract.names)

    @cached_property
    def kept(self) -> DataFrame:
        """One row per kept row: the contract's columns and `_rs_id`."""
        return self._filled(self.good)

    def _filled(self, rows: DataFrame) -> DataFrame:
        """Those of the staged rows that lose to nothing, with all of the contract's columns."""
        if self.losers is not None:
            rows = rows.join(self.losers.select(ID), ID, "left_anti")
        if self.numbers is not None:
            rows = rows.join(self.numbers, ID, "left").withColumn(NUMBER, F.coalesce(NUMBER, F.lit(1)))
        filled = rows.withColumns(
            {
                "source": F.lit(self.source),
                "source_file": F.col(FILE),
                "received_at": self.received_at,
                "row_hash": self.row_hash,
            }
            | ({self.contract.key[0]: self.key[0]} if self.is_hashed else {})
        )
        absent = [c for c in self.contract.columns if c.name not in filled.columns]
        filled = filled.withColumns({c.name: F.lit(None).cast(c.type) for c in absent})
        return filled.select(*self.contract.names, ID)


def settled(
    run: Run, table: Table, *, stored: DataFrame | None, previous: DataFrame, again: frozenset[str] = frozenset()
) -> Table:
    """The table with its losers: within the batch, against other sources, and against what is stored already.

    `stored` are the source's own rows of earlier batches (None in batch mode: they are replaced); `previous` is the
    whole table as it was when the run began; `again` names files that were delivered before, whole.
    """
    table = (
        _numbered(run, table, stored=stored, again=again) if table.spec.duplicates == "keep" else _within(run, table)
    )
    if not table.is_hashed:
        table = _with_losers(run, table, _held_by_others(table, previous), "held")
    if stored is None:
        return table
    met = run.stage(f"{table.name}_met", _met(table, stored))
    table = _with_losers(run, table, met.where("NOT _rs_wins").select(ID, KIND), "stored")
    if table.spec.order is not None or table.is_hashed:
        return table
    won = met.where("_rs_wins").select(*[F.col(f"_rs_k{i}") for i in range(len(table.contract.key))])
    is_same = [F.col(f"_rs_k{i}") == F.col(name) for i, name in enumerate(table.contract.key)]
    return replace(table, superseded=stored.join(won, _all(is_same), "left_semi"))


def known_losers(run: Run, table: Table, *, quarantine: DataFrame, stored: DataFrame) -> Table:
    """Losers that an earlier batch has quarantined, or stored, already count as exact duplicates."""
    if table.losers is None:
        return table
    refused = quarantine.where((F.col("source") == table.source) & (F.col("rule") == CONFLICT))
    known = refused.select("row_hash").union(stored.select("row_hash"))
    named = table.losers.join(table.stage.select(ID, table.row_hash.alias("row_hash")), ID, "inner")
    is_known = (F.col(KIND) == CONFLICT) & F.col("_rs_seen").isNotNull()
    seen = known.distinct().withColumn("_rs_seen", F.lit(True))
    kinds = named.join(seen, "row_hash", "left").withColumn(KIND, F.when(is_known, EXACT).otherwise(F.col(KIND)))
    return replace(table, losers=run.stage(f"{table.name}_losers_known", kinds.select(ID, KIND)))


def quarantine_contract(table: Table) -> Contract:
    """The contract of the table's quarantine."""
    return quarantine_of(table.contract)


def _within(run: Run, table: Table) -> Table:
    """Losers inside the batch: identical rows, and rows that disagree on a key (or are collapsed by one_row)."""
    keys = [H1, *([POS] if table.spec.explode else [])] if table.is_hashed else list(table.contract.key)
    hashes = table.good.select(table.key_hash.alias("_rs_kh"))
    repeated = run.stage(f"{table.name}_repeated", hashes.groupBy("_rs_kh").count().where("count > 1").select("_rs_kh"))
    table = replace(table, repeated=repeated)
    if not run.lake.staged_rows(repeated):
        return table
    good = table.good.withColumn("_rs_kh", table.key_hash).join(repeated, "_rs_kh", "left_semi")
    group = [F.col(k) for k in (*keys, *([H2] if table.is_hashed else []))]
    newest = _newest(table)
    window = W.partitionBy(*group).orderBy(*newest, "_rs_hash", FILE, ID)
    narrow = good.select(
        ID, *{*keys, H2, FILE}, table.row_hash.alias("_rs_hash"), table.received_at.alias("_rs_at"), *_order(table)
    )
    placed = narrow.select(
        ID, "_rs_hash", F.row_number().over(window).alias("_rs_n"), F.lag("_rs_hash").over(window).alias("_rs_before")
    ).where("_rs_n > 1")
    other = COLLAPSED if table.spec.order is not None else CONFLICT
    kind = F.when(F.col("_rs_hash") == F.col("_rs_before"), F.lit(EXACT)).otherwise(F.lit(other))
    kind = F.lit(COLLAPSED) if table.spec.order is not None else kind
    return _with_losers(run, table, placed.select(ID, kind.alias(KIND)), "within")


def _numbered(run: Run, table: Table, *, stored: DataFrame | None, again: frozenset[str]) -> Table:
    """Identical rows are all kept and numbered, on from those that are stored; rows of a file that came before are not.

    The number is the same however the rows are cut into files and batches: 2 is the second there ever was.
    """
    same = [H1, H2, *([POS] if table.spec.explode else [])]
    is_again = F.col(FILE).isin(sorted(again)) if again else F.lit(False)
    new = table.good.where(~is_again)
    repeated = new.groupBy(H1).count().where("count > 1").select(H1)
    narrow = new.select(ID, FILE, *same, table.row_hash.alias("_rs_hash"))
    before = F.lit(0)
    if stored is not None:
        counted = stored.groupBy(F.col("row_hash").alias("_rs_hash")).agg(F.count("*").cast("int").alias("_rs_before"))
        narrow = narrow.join(counted, "_rs_hash", "left")
        repeated = repeated.union(narrow.where("_rs_before > 0").select(H1)).distinct()
        before = F.coalesce("_rs_before", F.lit(0))
    order = W.partitionBy(*same).orderBy(FILE, ID)
    numbered = narrow.join(repeated, H1, "left_semi").select(ID, (F.row_number().over(order) + before).alias(NUMBER))
    table = replace(table, numbers=run.stage(f"{table.name}_numbers", numbered))
    if not again:
        return table
    losers = table.good.where(is_again).select(ID, F.lit(EXACT).alias(KIND))
    return _with_losers(run, table, losers, "within")


def _held_by_others(table: Table, previous: DataFrame) -> DataFrame:
    """Kept rows whose key another source holds in the table."""
    others = previous.where(F.col("source") != table.source).select(*table.contract.key)
    held = table.kept.select(ID, *table.contract.key).join(others, list(table.contract.key), "left_semi")
    return held.select(ID, F.lit(HELD).alias(KIND))


def _met(table: Table, stored: DataFrame) -> DataFrame:
    """Kept rows whose key is stored already: which of the two wins, and what becomes of the other."""
    keys = table.contract.key
    old = stored.select(
        *[F.col(k).alias(f"_rs_k{i}") for i, k in enumerate(keys)],
        F.col("row_hash").alias("_rs_old_hash"),
        F.col("received_at").alias("_rs_old_at"),
    )
    same = _all([F.col(k) == F.col(f"_rs_k{i}") for i, k in enumerate(keys)])
    pairs = table.kept.select(ID, *keys, "row_hash", "received_at").join(old, same, "inner")
    is_first = table.spec.order is not None and table.spec.order[0] == "first"
    far = F.lit("9999-12-31" if is_first else "0001-01-01").cast("timestamp")
    new_at, old_at = F.coalesce("received_at", far), F.coalesce("_rs_old_at", far)
    is_newer = new_at < old_at if is_first else new_at > old_at
    wins = is_newer | ((new_at == old_at) & (F.col("row_hash") < F.col("_rs_old_hash")))
    is_equal = F.col("row_hash") == F.col("_rs_old_hash")
    lost = COLLAPSED if table.spec.order is not None else CONFLICT
    kind = F.when(is_equal & F.lit(table.spec.order is None), F.lit(EXACT)).otherwise(F.lit(lost))
    return pairs.select(ID, *[f"_rs_k{i}" for i in range(len(keys))], wins.alias("_rs_wins"), kind.alias(KIND))


def _with_losers(run: Run, table: Table, more: DataFrame, step: str) -> Table:
    """The table with further losers, staged. Nothing is joined later when there are none."""
    staged = run.stage(f"{table.name}_losers_{step}", more)
    if not run.lake.staged_rows(staged):
        return table
    losers = staged if table.losers is None else table.losers.unionByName(staged)
    return replace(table, losers=losers)


def _newest(table: Table) -> list[Column]:
    """The winner first: by one_row's order, else by the latest received_at."""
    if table.spec.order is not None:
        order = F.col(ORDER)
        return [order.asc_nulls_last() if table.spec.order[0] == "first" else order.desc_nulls_last()]
    return [F.col("_rs_at").desc_nulls_last()]


def _order(table: Table) -> list[str]:
    return [ORDER] if table.spec.order is not None else []


def _hex(high: Column, low: Column) -> Column:
    return F.concat(F.lpad(F.hex(high), 16, "0"), F.lpad(F.hex(low), 16, "0"))


def _all(conditions: list[Column]) -> Column:
    return reduce(lambda a, b: a & b, conditions)
