"""What became of every row: counts, the conservation law, the refusal of a bad batch, the quarantine's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_spark.errors import ContractError, InputError
from retail_spark.ingest.expressions import names_in
from retail_spark.ingest.hiding import Hidden, raw_json
from retail_spark.ingest.judging import FILTERED, RAW, RULE, Uses
from retail_spark.ingest.reading import FILE, H1, H2, Raw, quoted
from retail_spark.ingest.settling import COLLAPSED, CONFLICT, EXACT, HELD, ID, KIND, QUARANTINED, Table
from retail_spark.lake.contract import Contract
from retail_spark.lake.lake import Lake

_SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class Counts:
    """Rows of one table of one run. Rows in are counted after explode: one an element."""

    table: str
    by_rule: Mapping[str, int]
    """Rule -> rows in quarantine."""
    filtered: int
    exact_duplicates: int
    collapsed: int
    kept: int
    rows_in: int
    superseded: int = 0
    """Stored rows that lost their key to this batch: in quarantine too, but not among the rows in."""

    @cached_property
    def quarantined(self) -> int:
        return sum(self.by_rule.values())

    @property
    def metrics(self) -> dict[str, float]:
        """As metrics of the run: sales.rows_in, sales.kept, ..., sales.quarantined.null_key."""
        names = ("rows_in", "kept", "quarantined", "exact_duplicates", "filtered", "collapsed")
        found = {f"{self.table}.{name}": float(getattr(self, name)) for name in names}
        if self.superseded:
            found[f"{self.table}.superseded"] = float(self.superseded)
        return found | {f"{self.table}.quarantined.{rule}": float(n) for rule, n in sorted(self.by_rule.items())}


def counts_of(lake: Lake, table: Table, quarantine: DataFrame) -> Counts:
    """Counts on the staged rows, each from the frame that is written, never from a writer's metrics.

    Raises ContractError when rows in = kept + quarantined + exact duplicates + filtered + collapsed does not hold.
    """
    judged = _count(table.stage, RULE)
    lost = _count(table.losers, KIND) if table.losers is not None else {}
    superseded = table.superseded.count() if table.superseded is not None else 0
    by_rule = {rule: n for rule, n in judged.items() if rule not in (None, FILTERED)}
    for rule in QUARANTINED:
        by_rule |= {rule: lost[rule]} if lost.get(rule) else {}
    counts = Counts(
        table=table.name,
        by_rule={str(rule): n for rule, n in by_rule.items()},
        filtered=judged.get(FILTERED, 0),
        exact_duplicates=lost.get(EXACT, 0),
        collapsed=lost.get(COLLAPSED, 0),
        kept=table.kept.count(),
        rows_in=sum(judged.values()),
        superseded=superseded,
    )
    in_quarantine = lake.staged_rows(quarantine) if counts.quarantined or superseded else 0
    found = counts.kept + in_quarantine - superseded + counts.exact_duplicates + counts.filtered + counts.collapsed
    if found != counts.rows_in or in_quarantine - superseded != counts.quarantined:
        raise ContractError(
            f"{table.name}: {counts.rows_in} rows in, but {found} accounted for ({counts}; {in_quarantine} in "
            "quarantine).",
            fix="nothing was written; report this with the mapping, it is a fault of ingest",
        )
    return counts


def check_share(counts: Counts, quarantine: DataFrame, *, limit: float, batch: int | None) -> None:
    """Raises InputError when more than `limit` of the rows in are in quarantine; names rules, files and rows."""
    if counts.quarantined <= limit * counts.rows_in:
        return
    worst = sorted(counts.by_rule.items(), key=lambda item: (-item[1], item[0]))[:3]
    rules = ", ".join(f"{rule} ({n} rows)" for rule, n in worst)
    examples = quarantine.where(F.col("rule") == worst[0][0]).orderBy("source_file", "row_hash").limit(3).collect()
    shown = "".join(
        f"\n    {row['source_file']}: {row['detail'] or ''} {row['raw'][:_SHOWN_CHARACTERS]}" for row in examples
    )
    share = counts.quarantined / counts.rows_in
    taken = "" if batch is None else f" Micro-batch {batch} stays untaken."
    fix = "mend the files or the mapping, or raise ingest.max_quarantined_share"
    if batch is not None:
        fix = f"mend the files or the mapping and run again, or take it as it is with --set ingest.accept_batch={batch}"
    if worst[0][0].startswith("bad_value:"):
        column = worst[0][0].removeprefix("bad_value:")
        fix += f"; an expression that makes NULL of a text on purpose: tables.{counts.table}.nullable: [{column}]"
    raise InputError(
        f"{counts.table}: {share:.1%} of {counts.rows_in} rows break a rule, more than the allowed {limit:.1%}: "
        f"{rules}. Nothing was written.{taken} For example:{shown}",
        fix=fix,
    )


def to_quarantine(
    table: Table, *, raw: Raw, uses: Uses, contract: Contract, run_id: str, hidden: Hidden | None = None
) -> DataFrame:
    """One row per raw row in quarantine, with its rule, the values at fault, and the raw row as JSON."""
    bad = table.stage.where(F.col(RULE).isNotNull() & (F.col(RULE) != FILTERED))
    rows = bad.select(F.col(FILE), F.col(RULE).alias("rule"), F.col(RAW).alias("raw"), table.row_hash.alias("row_hash"))
    if table.losers is not None:
        losers = table.losers.where(F.col(KIND).isin(list(QUARANTINED)))
        if not losers.isEmpty():  # else the raw rows would be read again for nothing
            rows = rows.unionByName(_with_raw(losers, table, raw, hidden))
    columns = F.from_json("raw", "map<string,string>")
    rows = rows.withColumn("_rs_raw_map", columns).withColumn("detail", _detail(table, uses, raw))
    rows = rows.withColumnsRenamed({FILE: "source_file"}).withColumn("source", F.lit(table.source))
    rows = rows.withColumn("run_id", F.lit(run_id)).select(*contract.names)
    if table.superseded is None:
        return rows
    old = table.superseded.select(
        "source",
        "source_file",
        F.lit(CONFLICT).alias("rule"),
        F.lit("lost its key to a row of a later batch").alias("detail"),
        F.to_json(F.struct(*table.contract.names)).alias("raw"),
        "row_hash",
        F.lit(run_id).alias("run_id"),
    )
    return rows.unionByName(old)


def _with_raw(losers: DataFrame, table: Table, raw: Raw, hidden: Hidden | None) -> DataFrame:
    """Losers of a key with their raw rows, looked up again by hash: so few that keeping every raw row costs more."""
    named = table.stage.join(losers, ID, "inner").select(
        FILE, F.col(KIND).alias("rule"), table.row_hash.alias("row_hash"), F.col(H1), F.col(H2)
    )
    texts = raw_json([quoted(c) for c in raw.columns], raw, hidden)
    rows = hidden.with_salt(raw.frame) if hidden is not None else raw.frame
    wanted = named.select(H1, H2).distinct()
    found = rows.select(H1, H2, texts.alias("raw")).join(wanted, [H1, H2], "left_semi").dropDuplicates([H1, H2])
    with_raw = named.join(found, [H1, H2], "left")
    return with_raw.select(FILE, "rule", F.coalesce("raw", F.lit("{}")).alias("raw"), "row_hash")


_OF_ONE_COLUMN = ("bad_value", "null", "reserved", "not_finite", "implausible_date")


def _detail(table: Table, uses: Uses, raw: Raw) -> Column:
    """`column=text` for the raw columns behind the rule, or NULL."""
    behind: dict[str, tuple[str, ...]] = {}
    own = {"`" + c.replace("`", "``") + "`": c for c in raw.columns}
    for column in table.spec.columns:
        names = tuple(own[n] for n in uses.by_column[column] if n in own)
        behind |= {f"{kind}:{column}": names for kind in _OF_ONE_COLUMN}
        if column in table.contract.key:
            for rule in ("null_key", CONFLICT, HELD):
                behind[rule] = (*behind.get(rule, ()), *names)
    for name, condition in table.contract.constraints.items():
        inside = [parts[0] for parts in names_in(condition) if parts[0] in table.spec.columns]
        behind[f"check:{name}"] = tuple(own[n] for c in inside for n in uses.by_column[c] if n in own)
    rules = F.create_map(*[x for rule, names in behind.items() for x in (F.lit(rule), _texts(names))])
    shown = F.transform(
        F.try_element_at(rules, F.col("rule")),
        lambda name: F.concat(
            name, F.lit("="), F.coalesce(F.try_element_at(F.col("_rs_raw_map"), name), F.lit("(none)"))
        ),
    )
    return F.nullif(F.concat_ws(", ", shown), F.lit(""))


def _texts(names: tuple[str, ...]) -> Column:
    return F.array(*[F.lit(n) for n in names]).cast("array<string>")


def _count(frame: DataFrame, column: str) -> dict[str, int]:
    return {row[column]: int(row["count"]) for row in frame.groupBy(column).count().collect()}
