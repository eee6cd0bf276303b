"""A small job for each writer, to try the machinery without a domain."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import create_model
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.config.section import LakeSettings, Section, Settings, setting
from retail_spark.engine.job import Job, Outcome, Run, job
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.lake.commit import carry_out
from retail_spark.lake.contract import AS_OF, DATE, DOUBLE, LINEAGE, STRING, Column, Contract, snapshot
from retail_spark.lake.lake import Lake
from retail_spark.lake.write import append_once, replace_slice, upsert

Mode = Literal["upsert", "replace_slice", "append_once"]
MODES: tuple[Mode, ...] = ("upsert", "replace_slice", "append_once")

INPUT = Contract(
    "silver.toy",
    grain="One row per id.",
    key=("id",),
    columns=(
        Column("id", STRING, "Identifies the row."),
        Column("day", DATE, "Day known."),
        Column("value", DOUBLE, "A value, units.", check="value >= 0"),
    ),
    known_by="day",
)
_VALUES = (Column("id", STRING, "Identifies the row."), Column("value", DOUBLE, "A value.", check="value >= 0"))
STATE = Contract(
    "gold.toy_state", grain="One row per id.", key=("id",), columns=(*_VALUES, *LINEAGE), cluster_by=("id",)
)
LOG = Contract("gold.toy_log", grain="One row per id and run.", key=("id", "run_id"), columns=(*_VALUES, *LINEAGE))
SLICE = snapshot("gold.toy_slice", grain="One row per id.", key=("id",), columns=_VALUES)
OUTPUT: dict[Mode, Contract] = {"upsert": STATE, "replace_slice": SLICE, "append_once": LOG}


class ToySettings(Section):
    """Settings of the toy."""

    factor: float = setting(2.0, "what values are multiplied with")
    repeat: int = setting(1, "rows made of each input row", ge=1)


AllSettings = create_model("AllSettings", __base__=Settings, toy=(ToySettings, ToySettings()))


def toy_settings(root: Path | str, *, catalog: str | None = None, **toy: float) -> Settings:
    """Settings of a toy run on a lake of its own."""
    return AllSettings(lake=LakeSettings(root=str(root), catalog=catalog), toy=ToySettings(**toy))


def toy_job(mode: Mode) -> Job:
    """The toy with the given writer."""

    def function(run: Run, settings: ToySettings) -> Outcome:
        copies = F.explode(F.sequence(F.lit(1), F.lit(settings.repeat)))
        rows = (
            run.read(INPUT)
            .withColumn("copy", copies)
            .select(F.concat_ws("-", "id", "copy").alias("id"), (F.col("value") * settings.factor).alias("value"))
        )
        contract = OUTPUT[mode]
        write = {"upsert": upsert, "replace_slice": replace_slice, "append_once": append_once}[mode](contract, rows)
        return Outcome(tables=(write,), metrics={"rows": float(rows.count())})

    return job("toy", settings=ToySettings, reads=(INPUT,), writes=(OUTPUT[mode],))(function)


def put_input(lake: Lake, *rows: tuple[str, str, float], run_id: str = "input") -> None:
    """Makes the input table hold just these rows: (id, day, value)."""
    frame = frame_of_rows(lake.spark, list(rows), "id string, day string, value double")
    carry_out(lake, replace_slice(INPUT, frame.transform(INPUT.select)), run_id=run_id)


def many_inputs(spark: SparkSession, rows: int) -> DataFrame:
    """`rows` inputs of one day."""
    return spark.range(rows).select(
        F.col("id").cast("string").alias("id"), F.lit("2024-01-01").cast("date").alias("day"), F.lit(1.5).alias("value")
    )


__all__ = [
    "AS_OF",
    "INPUT",
    "LOG",
    "MODES",
    "OUTPUT",
    "SLICE",
    "STATE",
    "many_inputs",
    "put_input",
    "toy_job",
    "toy_settings",
]
