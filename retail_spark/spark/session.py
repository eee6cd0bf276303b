"""The only place that builds a SparkSession.

Started by spark-submit, on Databricks or against Spark Connect, the session that is there is taken and nothing of
it is changed but what this package cannot do without (ALWAYS). Otherwise a local session is started with
defaults for one machine: Delta's own are for big clusters.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyspark
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from retail_spark.config.secrets import masked
from retail_spark.config.section import Settings
from retail_spark.errors import ServiceMissingError, UsageError
from retail_spark.spark.class_archive import archive_file, empty_conf_folder, use_options
from retail_spark.spark.java import java_home
from retail_spark.spark.stopping import handlers_kept

DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
ALWAYS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # Spark's default, INT96, has no statistics, and other engines read it badly or not at all
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
"""What no session of this package does without, whoever started it."""
CLASS_PATH = "spark.driver.extraClassPath"
JVM_OPTIONS = "spark.driver.extraJavaOptions"
_LOCALE = ("LC_ALL", "LC_CTYPE", "LANG")
"""Where a process reads its locale, the first that is set."""
_GIVEN_BY = {"PYSPARK_GATEWAY_PORT", "DATABRICKS_RUNTIME_VERSION", "SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED"}
_IVY_JARS = Path(os.environ.get("IVY_HOME", Path.home() / ".ivy2.5.2")) / "jars"


def get_session(settings: Settings, *, fast_start: bool = False) -> SparkSession:
    """The session that is there, or a new local one. `fast_start` trades peak speed for a quick first answer.

    Raises ServiceMissingError without a usable Java or Delta JAR, UsageError for a jars_dir without JARs.
    """
    if is_given_by_environment() or SparkSession.getActiveSession() is not None:
        session = SparkSession.builder.getOrCreate()
        _check_delta(session)
        _give_checkpoints(session, settings)
    else:
        session = _start_local(settings, fast_start=fast_start)
    # PySpark repeats every failed query as JSON on stderr; the error that is raised says the same
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL)
    for key, value in ALWAYS.items():
        session.conf.set(key, value)
    return session


def is_classic(spark: SparkSession) -> bool:
    """True when the driver's JVM is at hand (not Spark Connect)."""
    return type(spark).__module__.startswith("pyspark.sql.session") or hasattr(spark, "_jsparkSession")


def is_given_by_environment() -> bool:
    """True in a process that spark-submit, Databricks or a Spark Connect server gives its session to."""
    return not _GIVEN_BY.isdisjoint(os.environ)


def _check_delta(session: SparkSession) -> None:
    if "DATABRICKS_RUNTIME_VERSION" in os.environ or not is_classic(session):
        return
    if DELTA["spark.sql.extensions"] not in (session.conf.get("spark.sql.extensions", "") or ""):
        raise ServiceMissingError(
            "this Spark session does not know Delta Lake.",
            fix="start it with spark-submit --properties-file deploy/spark_submit/spark-defaults.conf, "
            "or give --packages io.delta:delta-spark_4.1_2.13:4.4.0 and Delta's two --conf",
        )


def _give_checkpoints(session: SparkSession, settings: Settings) -> None:
    """A folder for checkpoints where the cluster's session has none. What every node reaches is a path lake."""
    if "DATABRICKS_RUNTIME_VERSION" in os.environ or not is_classic(session):
        return
    root = settings.lake.root
    shared = f"{root}/_checkpoints" if "://" in root else str(_beside(settings, "_checkpoints"))
    folder = settings.spark.checkpoint_dir or (None if settings.lake.catalog else shared)
    if folder is not None and session.sparkContext.getCheckpointDir() is None:
        session.sparkContext.setCheckpointDir(folder)


def _start_local(settings: Settings, *, fast_start: bool) -> SparkSession:
    os.environ["JAVA_HOME"] = str(java_home())
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # Spark's own default is the python3 of PATH
    builder = SparkSession.builder.appName("retail-spark")
    for key, value in _conf_to_start(settings, fast_start=fast_start).items():
        builder = builder.config(key, value)
    log = Path(settings.spark.log_file or _beside(settings, "_logs/spark.log"))
    with _child_output_to(log), _own_conf_folder(), _unicode_names(), handlers_kept():
        try:
            session = builder.getOrCreate()
        except Exception as error:  # py4j and pyspark raise bare exceptions when the JVM does not come up
            raise ServiceMissingError(
                f"Spark did not start: {_last_words(log) or error}",
                fix=f"read {log}; without a network set spark.jars_dir or spark.package_mirror",
            ) from error
    session.sparkContext.setCheckpointDir(settings.spark.checkpoint_dir or str(_beside(settings, "_checkpoints")))
    return session


def _conf_to_start(settings: Settings, *, fast_start: bool) -> dict[str, str]:
    """All that the JVM is started with: defaults, Delta's JARs, the user's own settings, the archive of classes."""
    conf = local_conf(settings, fast_start=fast_start) | delta_jars(settings) | dict(settings.spark.conf)
    if not conf["spark.master"].startswith("local"):
        return conf
    conf = on_class_path(conf)
    archive = class_archive(conf)
    if archive is not None and archive.exists():
        conf[JVM_OPTIONS] = " ".join([conf[JVM_OPTIONS], *use_options(archive)])
    return conf


def local_conf(settings: Settings, *, fast_start: bool) -> dict[str, str]:
    """Spark settings of a local session, Delta's JARs aside."""
    cores = os.cpu_count() or 1
    partitions = settings.spark.shuffle_partitions or max(4, 2 * cores)
    log4j = Path(__file__).absolute().with_name("log4j2.properties")  # as a URI: options are parted by spaces
    java = [f"-Dlog4j2.configurationFile={log4j.as_uri()}", "-XX:+UseParallelGC"]
    if fast_start:
        # C1 alone has room for 48 MB of code by default: a long test process would drop and compile again without end
        java += ["-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=512m"]
    return (
        DELTA
        | ALWAYS
        | {
            "spark.master": settings.spark.master or "local[*]",
            "spark.driver.memory": settings.spark.driver_memory,
            JVM_OPTIONS: " ".join(java),
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.shuffle.partitions": str(partitions),
            "spark.sql.adaptive.enabled": "true",
            # where the smaller side fits into memory, nothing is sorted: a MERGE joins whole files with few changes
            "spark.sql.adaptive.maxShuffledHashJoinLocalMapThreshold": "64m",
            "spark.sql.catalogImplementation": "in-memory",
            "spark.sql.warehouse.dir": str(_beside(settings, "_warehouse")),
            "spark.sql.execution.arrow.pyspark.enabled": "true",
            # a call site for every column costs as much as building the plan; errors name the query all the same
            "spark.python.sql.dataFrameDebugging.enabled": "false",
            "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
            "spark.databricks.delta.snapshotPartitions": "1",
            # what a MERGE reads is staged: Delta need not store it once more against a source that changes
            "spark.databricks.delta.merge.materializeSource": "none",
            "spark.sql.legacy.createHiveTableByDefault": "false",
            "spark.port.maxRetries": "64",
        }
    )


def _beside(settings: Settings, name: str) -> Path:
    """A place under the lake when it is a folder that may be written, else in the user's own temporary folder."""
    if not settings.lake.is_folder:
        return private_folder() / name
    folder = Path(settings.lake.root.removeprefix("file:")).resolve()
    is_read_only = folder.is_dir() and not os.access(folder, os.W_OK)
    return (private_folder() if is_read_only else folder) / name


def private_folder() -> Path:
    """This user's own folder under the temporary one: nobody else may read what Spark writes there."""
    folder = Path(tempfile.gettempdir()) / f"retail-spark-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
        folder.chmod(0o700)
        return folder
    return Path(tempfile.mkdtemp(prefix="retail-spark-"))  # somebody else was there first


def delta_jars(settings: Settings) -> dict[str, str]:
    """Delta's JARs: from a folder, from Spark's own cache, or as a package that Spark resolves."""
    if settings.spark.jars_dir is not None:
        jars = sorted(Path(settings.spark.jars_dir).glob("*.jar"))
        if not any("delta-spark" in jar.name for jar in jars):
            raise UsageError(
                f"spark.jars_dir {settings.spark.jars_dir} holds no delta-spark JAR.",
                fix=f"put {settings.spark.delta_package} and delta-storage of the same version there",
            )
        return {"spark.jars": ",".join(str(jar) for jar in jars)}
    cached = _cached_jars(settings.spark.delta_package)
    if cached:
        return {"spark.jars": ",".join(cached)}
    mirror = settings.spark.package_mirror
    asked = {"spark.jars.repositories": mirror} if mirror else {}
    # Named, because the JVM takes the home of the password file and not HOME.
    return {"spark.jars.packages": settings.spark.delta_package, "spark.jars.ivy": str(_IVY_JARS.parent)} | asked


def on_class_path(conf: Mapping[str, str]) -> dict[str, str]:
    """The same settings with `spark.jars` on the driver's class path, which is all that a local session needs."""
    moved = dict(conf)
    jars = [jar for jar in moved.pop("spark.jars", "").split(",") if jar]
    given = [path for path in (moved.get(CLASS_PATH),) if path]
    return moved | ({CLASS_PATH: os.pathsep.join([*jars, *given])} if jars else {})


def class_archive(conf: Mapping[str, str]) -> Path | None:
    """Where the archive of a local session's classes lies or would lie; None while Spark has to find Delta's JARs."""
    if CLASS_PATH not in conf:
        return None
    jars = [Path(jar) for jar in conf[CLASS_PATH].split(os.pathsep)]
    return archive_file(java_home(), [*jars, Path(pyspark.__file__).parent / "jars"])


@contextmanager
def _own_conf_folder() -> Iterator[None]:
    """Starts Spark with an empty SPARK_CONF_DIR, unless the user has named one: all settings are given to it."""
    before = os.environ.get("SPARK_CONF_DIR")
    if before is None:
        os.environ["SPARK_CONF_DIR"] = str(empty_conf_folder())
    try:
        yield
    finally:
        if before is None:
            del os.environ["SPARK_CONF_DIR"]


@contextmanager
def _unicode_names() -> Iterator[None]:
    """Starts Java so that it reads and writes file names in UTF-8: under LC_ALL=C it knows ASCII names only."""
    given = next((os.environ[name] for name in _LOCALE if os.environ.get(name)), "C")
    before = os.environ.get("LC_ALL")
    if given.partition(".")[0] in ("C", "POSIX") and "utf" not in given.lower():
        os.environ["LC_ALL"] = "C.UTF-8"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("LC_ALL", None)
        else:
            os.environ["LC_ALL"] = before


def _cached_jars(package: str) -> list[str]:
    """JARs that an earlier resolution left in Ivy's cache; resolving anew costs seconds at every start."""
    group, artifact, version = package.split(":")
    wanted = [_IVY_JARS / f"{group}_{artifact}-{version}.jar", _IVY_JARS / f"{group}_delta-storage-{version}.jar"]
    others = sorted(_IVY_JARS.glob("org.antlr_antlr4-runtime-*.jar"))
    return [str(jar) for jar in (*wanted, *others)] if all(jar.exists() for jar in wanted) else []


@contextmanager
def _child_output_to(log: Path) -> Iterator[None]:
    """Lets a child started meanwhile (the JVM) write its stdout and stderr to `log` for all its life."""
    log.parent.mkdir(parents=True, exist_ok=True)
    streams = {1: sys.stdout, 2: sys.stderr}
    for stream in streams.values():
        stream.flush()
    kept = {number: os.dup(number) for number in streams}
    with log.open("ab") as file:
        for number in streams:
            os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        for number, stream in streams.items():
            stream.flush()
            os.dup2(kept[number], number)
            os.close(kept[number])


def _last_words(log: Path) -> str:
    lines = [x for x in log.read_text(encoding="utf-8", errors="replace").splitlines() if x.strip()]
    told = [x for x in lines[-60:] if re.search(r"(?i)error|exception|unresolved|not found", x)]
    return masked(" / ".join(told[-3:]))
