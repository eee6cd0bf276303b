"""Fetches Delta's JAR once, and tells the environment's own Spark about it, its Java and its Python.

After this, `.venv/bin/spark-submit` works as it is: no flags, no activated environment, no network.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pyspark

import retail_spark
from retail_spark.errors import RetailSparkError
from retail_spark.java import java_home
from retail_spark.session import DELTA, delta_jars, get_session, local_conf
from retail_spark.settings import LakeSettings, Settings, SparkSettings

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
    except RetailSparkError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def fetched(settings: Settings) -> dict[str, str]:
    """Spark settings that name Delta's JARs on this machine; a first start of Spark brings them where they lack."""
    if "spark.jars" not in delta_jars(settings):
        get_session(settings).stop()
    return delta_jars(settings)


def tell_spark(spark_home: Path, defaults: dict[str, str]) -> None:
    """Writes conf/ of pip's Spark, and spares its scripts the search for a Python that knows where Spark is."""
    conf = spark_home / "conf"
    conf.mkdir(exist_ok=True)
    shutil.copyfile(Path(retail_spark.__file__).with_name("log4j2.properties"), conf / "log4j2.properties")
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
