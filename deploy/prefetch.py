"""Fetches Delta's JAR once, tells the environment's own Spark about it, its Java and its Python, archives classes.

After this, `.venv/bin/spark-submit` works as it is (no flags, no activated environment, no network), and a local
session starts in half the time.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pyspark
from pyspark.sql import functions as F
from pyspark.sql.window import Window as W

import retail_spark
from retail_spark.config.section import LakeSettings, Settings, SparkSettings
from retail_spark.errors import RetailSparkError
from retail_spark.lake.commit import carry_out
from retail_spark.lake.content_hash import content_hash
from retail_spark.lake.contract import DATE, DOUBLE, STRING, Column, Contract
from retail_spark.lake.lake import Lake
from retail_spark.lake.sql import run_sql
from retail_spark.lake.write import append_once, replace_slice, upsert
from retail_spark.spark.class_archive import make_options
from retail_spark.spark.java import java_home
from retail_spark.spark.session import (
    DELTA,
    JVM_OPTIONS,
    class_archive,
    delta_jars,
    get_session,
    local_conf,
    on_class_path,
)

KEPT_ARCHIVES = 3
"""Every environment has an archive of its own, some 200 MB: its paths are part of it."""
FROM_ENVIRONMENT = ("delta_package", "jars_dir", "package_mirror")
FOR_ONE_MACHINE = (
    "spark.sql.shuffle.partitions",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism",
    "spark.databricks.delta.snapshotPartitions",
    "spark.ui.showConsoleProgress",
)
"""Spark's and Delta's own defaults are for big clusters; these have no effect on a result."""


def main() -> int:
    """Exit code: 0, or that of the error."""
    variables = {key: os.environ.get(f"RETAIL_SPARK__SPARK__{key.upper()}") for key in FROM_ENVIRONMENT}
    given = {key: value for key, value in variables.items() if value}
    try:
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(lake=LakeSettings(root=folder), spark=SparkSettings(**given))
            small = local_conf(settings, fast_start=False)
            conf = DELTA | fetched(settings) | {key: small[key] for key in FOR_ONE_MACHINE}
            tell_spark(Path(pyspark.__file__).parent, conf)
            archive_classes(settings)
    except RetailSparkError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def fetched(settings: Settings) -> dict[str, str]:
    """Spark settings that name Delta's JARs on this machine; a first start of Spark brings them where they lack."""
    if "spark.jars" not in delta_jars(settings):
        get_session(settings).stop()
    return delta_jars(settings)


def archive_classes(settings: Settings) -> None:
    """Makes the archive of classes that a local session loads, unless it is there. Without it nothing is lost."""
    conf = on_class_path(local_conf(settings, fast_start=True) | delta_jars(settings))
    archive = class_archive(conf)
    if archive is None or archive.exists():
        return
    archive.parent.mkdir(parents=True, exist_ok=True)
    made = archive.with_suffix(f".{os.getpid()}.part")
    options = " ".join([conf[JVM_OPTIONS], *make_options(made)])
    at_work = SparkSettings(**(settings.spark.model_dump() | {"conf": {JVM_OPTIONS: options}}))
    spark = get_session(settings.model_copy(update={"spark": at_work}), fast_start=True)
    load_classes(Lake.open(spark, settings.lake))
    jvm = spark.sparkContext._gateway.proc
    spark.stop()
    jvm.stdin.close()  # the JVM ends with its input, and writes the archive then
    jvm.wait(timeout=300)
    if made.exists():
        made.replace(archive)
        for old in sorted(archive.parent.glob("classes-*.jsa"), key=lambda file: file.stat().st_mtime)[:-KEPT_ARCHIVES]:
            old.unlink()  # a JVM that has it open keeps it
    else:
        sys.stderr.write("setup: this Java made no archive of classes; sessions will start more slowly\n")


def load_classes(lake: Lake) -> None:
    """Does a little of all that runs do, so that the classes for it are loaded."""
    spark = lake.spark
    day = Column("day", DATE, "Day.")
    columns = (Column("id", STRING, "Id."), Column("value", DOUBLE, "Value.", check="value >= 0"), day)
    contract = Contract("silver.warm", "One row per id.", ("id",), columns, cluster_by=("id",))
    rows = spark.createDataFrame(pd.DataFrame({"id": ["a", "b"], "value": [1.0, 2.0]})).withColumn(
        "day", F.to_date(F.lit("2024-01-01"))
    )
    for number, write in enumerate((upsert, replace_slice, append_once, upsert)):
        carry_out(lake, write(contract, rows), run_id=str(number))
    read = lake.read(contract.table)
    by_day = W.partitionBy("day").orderBy("value", "id")
    ranked = read.join(rows.select("id"), on="id", how="left").withColumn("n", F.row_number().over(by_day))
    lake.stage("warm", "stage", ranked.groupBy("day").agg(F.sum("n").alias("n"), F.collect_list("id").alias("ids")))
    files = str(Path(lake.root) / "warm")
    read.write.option("header", True).csv(files)
    spark.read.option("header", True).csv(files).where("value > '1'").toPandas()
    content_hash(read)
    lake.history(contract.table).collect()
    run_sql(lake, "SELECT day, count(*) FROM silver.warm GROUP BY day ORDER BY day").collect()
    rows.mapInPandas(lambda frames: frames, rows.schema).collect()


def tell_spark(spark_home: Path, defaults: dict[str, str]) -> None:
    """Writes conf/ of pip's Spark, and spares its scripts the search for a Python that knows where Spark is."""
    conf = spark_home / "conf"
    conf.mkdir(exist_ok=True)
    shutil.copyfile(Path(retail_spark.__file__).parent / "spark" / "log4j2.properties", conf / "log4j2.properties")
    lines = [f"{key} {value}\n" for key, value in defaults.items()]
    (conf / "spark-defaults.conf").write_text("".join(lines), encoding="utf-8")
    (conf / "spark-env.sh").write_text(
        f'export JAVA_HOME="${{JAVA_HOME:-{java_home()}}}"\n'
        f'export PYSPARK_PYTHON="${{PYSPARK_PYTHON:-{sys.executable}}}"\n',
        encoding="utf-8",
    )
    found_by = Path(sys.executable).with_name("find-spark-home")
    found_by.write_text(f'export SPARK_HOME="${{SPARK_HOME:-{spark_home}}}"\n', encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
